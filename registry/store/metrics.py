"""Metric points in SQL: a series per run and key with its latest point, and all its points.

Invariant: `latest_metrics` holds the greatest point of its series by (step, timestamp, value), where NaN is less than
any number; it is kept by upsert in the same transaction as the points, never by read-then-write.
"""

import functools
import math
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, case, insert, select, tuple_

from registry.entities import LifecycleStage, Metric
from registry.exceptions import LoggedModelNotFoundError
from registry.store.statements import insert_into, table
from registry.store.tables import LatestMetricRow, LoggedModelMetricRow, LoggedModelRow, MetricRow

Rank = tuple[int, int, bool, float]


def rank(metric: Metric) -> Rank:
    """What "latest" compares: step, then timestamp, then value; NaN loses to any number."""
    number = not math.isnan(metric.value)
    return (metric.step, metric.timestamp, number, metric.value if number else 0.0)


def stored(value: float) -> float | None:
    """A metric value as its column has it: NaN is NULL."""
    return None if math.isnan(value) else value


def loaded(value: float | None) -> float:
    """A metric value as callers see it."""
    return math.nan if value is None else value


def insert_points(connection: Connection, run_key: int, experiment: int, metrics: Iterable[Metric]) -> None:
    """Append points to the series of a run of this experiment."""
    points = list(metrics)
    latest: dict[str, Metric] = {}
    for metric in points:
        before = latest.get(metric.key)
        if before is None or rank(metric) > rank(before):
            latest[metric.key] = metric
    series = _advance(connection, {"run_id": run_key, "experiment_id": experiment}, latest)
    connection.execute(
        insert(table(MetricRow)),
        [
            {
                "series_id": series[metric.key],
                "step": metric.step,
                "timestamp": metric.timestamp,
                "value": stored(metric.value),
            }
            for metric in points
        ],
    )


def _advance(connection: Connection, run: Mapping[str, int], latest: Mapping[str, Metric]) -> dict[str, int]:
    """Make or advance the series; their ids by key. Sorted, so that overlapping writers do not deadlock."""
    rows = [
        {**run, "key": key, "step": m.step, "timestamp": m.timestamp, "value": stored(m.value)}
        for key, m in sorted(latest.items())
    ]
    result = connection.execute(_advance_statement(connection.dialect.name), rows)
    return {row.key: row.id for row in result}


@functools.cache
def _advance_statement(dialect: str) -> Any:
    new = insert_into(dialect, LatestMetricRow)
    old, given = table(LatestMetricRow).c, new.excluded
    is_newer = tuple_(given.step, given.timestamp, given.value.is_not(None), given.value) > tuple_(
        old.step, old.timestamp, old.value.is_not(None), old.value
    )
    # Every row is updated, if only to itself: a row that ON CONFLICT leaves alone would not be returned.
    return new.on_conflict_do_update(
        index_elements=["run_id", "key"],
        set_={name: case((is_newer, given[name]), else_=old[name]) for name in ("step", "timestamp", "value")},
    ).returning(old.id, old.key)


def insert_model_points(connection: Connection, run_key: int | None, metrics: Iterable[Metric]) -> None:
    """Append the points that name a logged model to that model's own metrics.

    Raises:
        LoggedModelNotFoundError: no such logged model.
    """
    points = [metric for metric in metrics if metric.model_id is not None]
    keys = {model_id: _model_key(connection, model_id) for model_id in {str(point.model_id) for point in points}}
    rows = [
        {
            "logged_model_id": keys[str(point.model_id)],
            "run_id": run_key,
            "key": point.key,
            "step": point.step,
            "timestamp": point.timestamp,
            "value": stored(point.value),
            "dataset_name": point.dataset_name,
            "dataset_digest": point.dataset_digest,
        }
        for point in points
    ]
    if rows:
        connection.execute(insert(table(LoggedModelMetricRow)), rows)


def _model_key(connection: Connection, model_id: str) -> int:
    query = select(LoggedModelRow.id).where(
        LoggedModelRow.model_id == model_id, LoggedModelRow.lifecycle_stage == LifecycleStage.ACTIVE
    )
    key = connection.execute(query).scalar_one_or_none()
    if key is None:
        raise LoggedModelNotFoundError(f"Logged model with ID '{model_id}' not found.")
    return key


def read_history(connection: Connection, run_key: int, key: str) -> list[Metric]:
    """All points of one series, by (timestamp, step, value), as MLflow orders them."""
    query = (
        select(MetricRow.step, MetricRow.timestamp, MetricRow.value)
        .join(LatestMetricRow, LatestMetricRow.id == MetricRow.series_id)
        .where(LatestMetricRow.run_id == run_key, LatestMetricRow.key == key)
        .order_by(MetricRow.timestamp, MetricRow.step, MetricRow.value.is_(None), MetricRow.value)
    )
    return [
        Metric(key=key, value=loaded(value), timestamp=timestamp, step=step)
        for step, timestamp, value in connection.execute(query)
    ]
