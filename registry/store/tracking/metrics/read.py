"""The metric history of a run, and the points of logged models, in SQL.

Guarantees: NaN is stored as NULL and read as NaN.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Final

from sqlalchemy import ColumnElement, Connection, bindparam, insert, select

from registry.entities import LifecycleStage, Metric
from registry.exceptions import LoggedModelNotFoundError
from registry.store.compiled_statements import Compiled
from registry.store.dialects import table
from registry.store.driver_sql import Answer, Statement, check, run_all, send
from registry.store.rows_as_cte import execute_with_rows, statement_with_rows
from registry.store.tables import LatestMetricRow, LoggedModelMetricRow, LoggedModelRow, MetricRow, RunRow
from registry.store.tracking.metrics.write import value_to_db


def value_from_db(value: float | None) -> float:
    """Convert a stored metric value to a float: NULL is NaN."""
    return math.nan if value is None else value


_COLUMNS: Final = "ordinal model key step timestamp value dataset_name dataset_digest evaluation_dataset"
_TYPES: Final = "int text text bigint bigint float8 text text bigint"
_INSERT_MODEL_POINTS: Final = """
    WITH {given} INSERT INTO logged_model_metrics
        (logged_model_id, run_id, key, step, timestamp, value, dataset_name, dataset_digest, evaluation_dataset_id)
    SELECT logged_models.id, (SELECT runs.id FROM runs WHERE runs.run_id = %s),
        given.key, given.step, given.timestamp, given.value, given.dataset_name, given.dataset_digest,
        given.evaluation_dataset
    FROM given JOIN logged_models ON logged_models.model_id = given.model AND logged_models.lifecycle_stage = 'active'
    ORDER BY given.ordinal
"""
_LOG_MODEL_POINTS: Final = f"""
    {_INSERT_MODEL_POINTS.replace(" INSERT", ", written AS (INSERT", 1)} RETURNING 1)
    SELECT {check("count(*) = %s")} FROM written
"""  # noqa: S608 - made of the constants above


def insert_model_points(
    connection: Connection, run_id: str | None, metrics: Iterable[Metric], evaluation_dataset: int | None = None
) -> None:
    """Append the points that name a logged model to the metrics of that model, as measured by a run.

    `evaluation_dataset` is the key of the data set of an evaluation. On PostgreSQL the statement fails if there is no
    such model.
    """
    rows = [
        (
            ordinal,
            m.model_id,
            m.key,
            m.step,
            m.timestamp,
            value_to_db(m.value),
            m.dataset_name,
            m.dataset_digest,
            evaluation_dataset,
        )
        for ordinal, m in enumerate(metrics)
        if m.model_id is not None
    ]
    if not rows:
        return
    if connection.dialect.name == "sqlite":
        for model_id in {str(row[1]) for row in rows}:
            model_key(connection, model_id)
        list(execute_with_rows(connection, _COLUMNS, _TYPES, _INSERT_MODEL_POINTS, rows, run_id))
    else:
        send(connection, statement_with_rows(_COLUMNS, _TYPES, _LOG_MODEL_POINTS, rows, run_id, len(rows)))


def link_run_points(connection: Connection, model_id: str, step: int, keys: Sequence[str] = ()) -> None:
    """Copy points of a logged model's run to the model: those at a step, as MLflow does, and all those of some keys."""
    _LINK_POINTS.send(connection, {"public_id": model_id, "at_step": step})
    for key in keys:
        _LINK_METRIC.send(connection, {"public_id": model_id, "at_step": step, "given_key": key})


def _link(*conditions: ColumnElement[bool]) -> Compiled:
    points = (
        select(
            LoggedModelRow.id,
            LatestMetricRow.run_id,
            LatestMetricRow.key,
            MetricRow.step,
            MetricRow.timestamp,
            MetricRow.value,
        )
        .join(LatestMetricRow, LatestMetricRow.run_id == LoggedModelRow.run_id)
        .join(MetricRow, MetricRow.series_id == LatestMetricRow.id)
        .where(LoggedModelRow.model_id == bindparam("public_id"), *conditions)
        .order_by(LatestMetricRow.key, MetricRow.timestamp)
    )
    columns = ["logged_model_id", "run_id", "key", "step", "timestamp", "value"]
    return Compiled(insert(table(LoggedModelMetricRow)).from_select(columns, points))


_LINK_POINTS: Final = _link(MetricRow.step == bindparam("at_step"))
_LINK_METRIC: Final = _link(LatestMetricRow.key == bindparam("given_key"), MetricRow.step != bindparam("at_step"))


def model_key(connection: Connection, model_id: str) -> int:
    """Return the key of a logged model; raise LoggedModelNotFoundError if it is deleted."""
    run_all(connection, found := model_statement(connection, model_id))
    return check_model(found, model_id)


def model_statement(connection: Connection, model_id: str) -> Statement:
    """Return the query of the key of a logged model, for `check_model`."""
    return _MODEL.statement(connection, {"public_id": model_id})


def check_model(found: Statement, model_id: str) -> int:
    """Return the key that `model_statement` found; raise LoggedModelNotFoundError if the model is deleted."""
    if not found.rows:
        raise LoggedModelNotFoundError(f"Logged model with ID '{model_id}' not found.")
    return int(found.rows[0][0])


_MODEL: Final = Compiled(
    select(LoggedModelRow.id).where(
        LoggedModelRow.model_id == bindparam("public_id"), LoggedModelRow.lifecycle_stage == LifecycleStage.ACTIVE
    )
)


def history_statement(connection: Connection, run_id: str, key: str) -> Statement:
    """Return the query whose answer `points_of` takes: the points of one series of a run, in MLflow's order."""
    return _HISTORY.statement(connection, {"given_id": run_id, "given_key": key})


def points_of(answer: Answer, key: str) -> list[Metric]:
    """Return the points of one series by (timestamp, step, value)."""
    return [
        Metric(key=key, value=value_from_db(value), timestamp=timestamp, step=step)
        for step, timestamp, value in answer.rows
    ]


_HISTORY: Final = Compiled(
    select(MetricRow.step, MetricRow.timestamp, MetricRow.value)
    .join(LatestMetricRow, LatestMetricRow.id == MetricRow.series_id)
    .join(RunRow, RunRow.id == LatestMetricRow.run_id)
    .where(RunRow.run_id == bindparam("given_id"), LatestMetricRow.key == bindparam("given_key"))
    .order_by(MetricRow.timestamp, MetricRow.step, MetricRow.value.is_(None), MetricRow.value)
)
