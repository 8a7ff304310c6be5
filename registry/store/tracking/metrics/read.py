"""The metric history of a run, and the points of logged models, in SQL.

Guarantees: NaN is stored as NULL and read as NaN.
"""

import math
from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, insert, literal, select

from registry.entities import LifecycleStage, Metric
from registry.exceptions import LoggedModelNotFoundError
from registry.store.dialects import table
from registry.store.tables import LatestMetricRow, LoggedModelMetricRow, LoggedModelRow, MetricRow
from registry.store.tracking.metrics.write import value_to_db


def value_from_db(value: float | None) -> float:
    """Convert a stored metric value to a float: NULL is NaN."""
    return math.nan if value is None else value


def insert_model_points(
    connection: Connection, run_key: int | None, metrics: Iterable[Metric], evaluation_dataset: int | None = None
) -> None:
    """Append the points that name a logged model to the metrics of that model, with the data set of an evaluation."""
    points = [metric for metric in metrics if metric.model_id is not None]
    keys = {model_id: _model_key(connection, model_id) for model_id in {str(point.model_id) for point in points}}
    rows = [
        {
            "logged_model_id": keys[str(point.model_id)],
            "run_id": run_key,
            "key": point.key,
            "step": point.step,
            "timestamp": point.timestamp,
            "value": value_to_db(point.value),
            "dataset_name": point.dataset_name,
            "dataset_digest": point.dataset_digest,
            "evaluation_dataset_id": evaluation_dataset,
        }
        for point in points
    ]
    if rows:
        connection.execute(insert(table(LoggedModelMetricRow)), rows)


def link_run_points(connection: Connection, run_key: int, model_key: int, step: int, keys: Sequence[str] = ()) -> None:
    """Copy the points that a run has at a step, and all those of some keys, to a logged model, as MLflow does."""
    is_linked = MetricRow.step == step
    if keys:
        is_linked |= LatestMetricRow.key.in_(keys)
    points = (
        select(
            literal(model_key),
            LatestMetricRow.run_id,
            LatestMetricRow.key,
            MetricRow.step,
            MetricRow.timestamp,
            MetricRow.value,
        )
        .join(MetricRow, MetricRow.series_id == LatestMetricRow.id)
        .where(LatestMetricRow.run_id == run_key, is_linked)
        .order_by(LatestMetricRow.key, MetricRow.timestamp)
    )
    columns = ["logged_model_id", "run_id", "key", "step", "timestamp", "value"]
    connection.execute(insert(table(LoggedModelMetricRow)).from_select(columns, points))


def _model_key(connection: Connection, model_id: str) -> int:
    query = select(LoggedModelRow.id).where(
        LoggedModelRow.model_id == model_id, LoggedModelRow.lifecycle_stage == LifecycleStage.ACTIVE
    )
    key = connection.execute(query).scalar_one_or_none()
    if key is None:
        raise LoggedModelNotFoundError(f"Logged model with ID '{model_id}' not found.")
    return key


def read_history(connection: Connection, run_key: int, key: str) -> list[Metric]:
    """Return all points of one series by (timestamp, step, value), MLflow's order."""
    query = (
        select(MetricRow.step, MetricRow.timestamp, MetricRow.value)
        .join(LatestMetricRow, LatestMetricRow.id == MetricRow.series_id)
        .where(LatestMetricRow.run_id == run_key, LatestMetricRow.key == key)
        .order_by(MetricRow.timestamp, MetricRow.step, MetricRow.value.is_(None), MetricRow.value)
    )
    return [
        Metric(key=key, value=value_from_db(value), timestamp=timestamp, step=step)
        for step, timestamp, value in connection.execute(query)
    ]
