"""The metric points that a promotion was judged on: recorded in its event, and checked again by `verify`.

A run that continues is not tampering: later points, and points that gc removed with their run, are reported as notes.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, select

from registry.entities.history import HistoryEvent, canonical_json
from registry.entities.history_replay import ModelState
from registry.entities.monitors import CHECK
from registry.exceptions import IntegrityError
from registry.store.dialects import AnyRow, AnySelect
from registry.store.logged_models.evidence import find_evidence
from registry.store.monitors.checks import find_check_evidence
from registry.store.tables import LatestMetricRow, MetricRow, RunRow
from registry.store.tracking.metrics.read import value_from_db

if TYPE_CHECKING:
    from registry.rules import PromotionRule

Order = tuple[int, int, bool, float]


@dataclass(frozen=True, slots=True)
class JudgedPoint:
    """The latest point of a metric when a rule was evaluated; `value` has all its digits, or is ``nan`` or ``inf``."""

    version: int
    run_id: str
    metric: str
    value: str
    step: int
    timestamp: int


def judged_metrics(rules: "Iterable[PromotionRule]") -> set[str]:
    """Return the metrics of runs that rules refer to; those on a data set are other evidence."""
    on_runs = (rule for rule in rules if getattr(rule, "dataset", None) is None)
    return {metric for rule in on_runs if (metric := getattr(rule, "metric", None)) is not None}


def select_points(run_id: Any) -> AnySelect:
    """Return a query of the latest points of a run; `run_id` is an expression."""
    query = select(LatestMetricRow.key, LatestMetricRow.step, LatestMetricRow.timestamp, LatestMetricRow.value)
    return query.join(RunRow, RunRow.id == LatestMetricRow.run_id).where(RunRow.run_id == run_id)


def points_for_event(
    version: int, run_id: str | None, points: dict[str, AnyRow], metrics: set[str]
) -> list[dict[str, Any]]:
    """Return the judged points of a version in the form that its event stores."""
    return [
        asdict(JudgedPoint(version, str(run_id), key, repr(value_from_db(row.value)), row.step, row.timestamp))
        for key, row in sorted(points.items())
        if key in metrics
    ]


def check_judged_points(
    connection: Connection, name: str, events: Sequence[HistoryEvent], state: ModelState
) -> Iterator[str]:
    """Check every point that a promotion was judged on; yield a note for each that changed or cannot be checked.

    Raises:
        IntegrityError: A point was edited or removed, or the latest value is not the last point.
    """
    judged = [JudgedPoint(**point) for event in events for point in event.details.get("judged", ())]
    for point in dict.fromkeys(judged):
        subject = f"{point.metric} = {point.value} (step {point.step}) of version {point.version} of {name!r}"
        series = (LatestMetricRow.run_id == RunRow.id) & (LatestMetricRow.key == point.metric)
        query = select(RunRow.purged_time, LatestMetricRow.__table__).outerjoin(LatestMetricRow, series)
        row = connection.execute(query.where(RunRow.run_id == point.run_id)).one_or_none()
        if row is None and _is_deleted(state, point.version):
            yield f"{subject}: no longer checkable, its run was removed"
        elif row is None or row.id is None:
            raise IntegrityError(f"{subject} was judged, but its run or metric is missing.")
        else:
            yield from _check_series(connection, subject, point, row)


def judged_evidence(event: HistoryEvent) -> Iterator[dict[str, Any]]:
    """Yield the records that the rules of a promotion were judged on, as `Evidence.to_event` described them."""
    rules = event.details.get("rules")
    # A rollback has a text instead: its rules were not judged.
    for verdict in rules if isinstance(rules, list) else ():
        record = verdict.get("evidence")
        if record is not None:
            yield record


def check_judged_evidence(
    connection: Connection, name: str, events: Sequence[HistoryEvent], state: ModelState
) -> Iterator[str]:
    """Check that every record that a rule was judged on still says what the event says; yield what gc removed.

    Raises:
        IntegrityError: A record was edited or removed.
    """
    seen: set[str] = set()
    for event in events:
        for judged in judged_evidence(event):
            if (form := canonical_json(judged)) in seen:
                continue
            seen.add(form)
            subject = f"{judged['kind']} {judged['id']} of version {event.version} of {name!r}"
            find = find_check_evidence if judged["kind"] == CHECK else partial(find_evidence, kind=judged["kind"])
            record = find(connection, key=judged["id"])
            if record is None and event.version is not None and _is_deleted(state, event.version):
                yield f"{subject}: no longer checkable, its logged model was removed"
            elif record is None:
                raise IntegrityError(f"{subject} was judged, but this evidence no longer exists: it was removed.")
            elif canonical_json(record.to_event()) != form:
                raise IntegrityError(f"{subject} was judged, but this evidence was edited: it is {record.to_event()}.")


def _is_deleted(state: ModelState, number: int) -> bool:
    version = state.versions.get(number)
    return state.deleted or version is None or version.deleted


def _check_series(connection: Connection, subject: str, point: JudgedPoint, latest: AnyRow) -> Iterator[str]:
    judged = _order(point.step, point.timestamp, float(point.value))
    now = _order(latest.step, latest.timestamp, value_from_db(latest.value))
    last = _last_point(connection, latest.id)
    if last is None and latest.purged_time is not None:
        if now < judged:
            raise IntegrityError(f"{subject} was judged, but the latest value of its run is older: it was edited.")
        if now != judged:
            yield f"{subject}: no longer checkable, gc removed the points of its run"
        return
    if last != now:
        raise IntegrityError(f"{subject} was judged, but the latest value of its run now differs from its last point.")
    if not _has_point(connection, latest.id, point):
        raise IntegrityError(f"{subject} was judged, but this point no longer exists: it was edited or removed.")
    if now != judged:
        yield f"{subject}: changed since, the latest value is {value_from_db(latest.value)!r} (step {latest.step})"


def _last_point(connection: Connection, series: int) -> Order | None:
    """Return the last point of a series in the order of `latest_metrics`, or None."""
    in_series = MetricRow.series_id == series
    top = select(MetricRow.step).where(in_series).order_by(MetricRow.step.desc()).limit(1).scalar_subquery()
    query = select(MetricRow.step, MetricRow.timestamp, MetricRow.value).where(in_series, MetricRow.step == top)
    rows = connection.execute(query).all()
    return max((_order(row.step, row.timestamp, value_from_db(row.value)) for row in rows), default=None)


def _has_point(connection: Connection, series: int, point: JudgedPoint) -> bool:
    query = select(MetricRow.value).where(
        MetricRow.series_id == series, MetricRow.step == point.step, MetricRow.timestamp == point.timestamp
    )
    return any(repr(value_from_db(value)) == point.value for value in connection.execute(query).scalars())


def _order(step: int, timestamp: int, value: float) -> Order:
    """Return the sort key of a point: step, then time, then value, with NaN lowest."""
    return (step, timestamp, not math.isnan(value), 0.0 if math.isnan(value) else value)
