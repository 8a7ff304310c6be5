"""Appending points to the metrics of a run: a series per run and key with its latest point, and all its points.

Owns the statements that do it, one round trip on PostgreSQL for any number of points; `metrics` reads them. Invariant:
`latest_metrics` holds the greatest point of its series by (step, timestamp, value), where NaN is less than any number;
it is kept by upsert in the transaction of the points, never by read-then-write.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from sqlalchemy import Connection

from registry.entities import Metric
from registry.store.cursors import run, run_many
from registry.store.input_rows import execute_with_rows

_COLUMNS: Final = "place key step timestamp value"
_KINDS: Final = "int text bigint bigint float8"
_NEWER: Final = """
    (excluded.step, excluded.timestamp, excluded.value IS NOT NULL, excluded.value)
    > (old.step, old.timestamp, old.value IS NOT NULL, old.value)
"""
# Every row is updated, if only to itself: one that ON CONFLICT leaves alone would not be returned. Sorted, so that
# transactions that overlap lock rows in one order.
_ADVANCE: Final = f"""
    INSERT INTO latest_metrics AS old (run_id, experiment_id, key, step, timestamp, value)
    SELECT runs.id, runs.experiment_id, given.key, given.step, given.timestamp, given.value
    FROM runs, given WHERE runs.run_id = %s AND runs.lifecycle_stage = 'active' ORDER BY given.key
    ON CONFLICT (run_id, key) DO UPDATE SET
        step = CASE WHEN {_NEWER} THEN excluded.step ELSE old.step END,
        timestamp = CASE WHEN {_NEWER} THEN excluded.timestamp ELSE old.timestamp END,
        value = CASE WHEN {_NEWER} THEN excluded.value ELSE old.value END
    RETURNING id, key
"""  # noqa: S608 - made of the constants above
_SERIES: Final = f"WITH {{given}} {_ADVANCE}"
SQLITE_POINTS: Final = "INSERT INTO metrics (series_id, step, timestamp, value) VALUES (?, ?, ?, ?)"
_POSTGRES: Final = f"""
    WITH {{given}}, series AS ({_ADVANCE})
    INSERT INTO metrics (series_id, step, timestamp, value)
    SELECT series.id, point.step, point.timestamp, point.value
    FROM unnest(CAST(%s AS int[]), CAST(%s AS bigint[]), CAST(%s AS bigint[]), CAST(%s AS float8[]))
        AS point(place, step, timestamp, value)
    JOIN given ON given.place = point.place
    JOIN series ON series.key = given.key COLLATE "C"
"""  # noqa: S608 - made of the constants above
# Planning the statement above takes longer than running this one, which does for one point that is the newest of its
# series; it leaves a series alone that has a newer point.
_POSTGRES_POINT: Final = f"""
    WITH series AS (
        INSERT INTO latest_metrics AS old (run_id, experiment_id, key, step, timestamp, value)
        SELECT id, experiment_id, %s, %s, %s, %s FROM runs WHERE run_id = %s AND lifecycle_stage = 'active'
        ON CONFLICT (run_id, key) DO UPDATE
        SET step = excluded.step, timestamp = excluded.timestamp, value = excluded.value WHERE {_NEWER}
        RETURNING id, old.step, old.timestamp, old.value
    )
    INSERT INTO metrics (series_id, step, timestamp, value) SELECT id, step, timestamp, value FROM series
"""  # noqa: S608 - made of the constants above


def value_to_db(value: float) -> float | None:
    """A metric value as its column has it: NaN is NULL."""
    return None if math.isnan(value) else value


def append_points(connection: Connection, run_id: str, points: Sequence[Metric]) -> bool:
    """Append points to an active run; False, and nothing is written, if there is no active run of that id."""
    latest = _latest(points)
    if connection.dialect.name == "sqlite":
        series = advance(connection, run_id, latest.values())
        if not series:
            return False
        rows = [(series[m.key], m.step, m.timestamp, m.value if m.value == m.value else None) for m in points]
        run_many(connection, SQLITE_POINTS, rows)
        return True
    if len(points) == 1:
        (m,) = points
        values = (m.key, m.step, m.timestamp, value_to_db(m.value), run_id)
        if run(connection, _POSTGRES_POINT, values).written:
            return True
    place = {key: number for number, key in enumerate(latest)}
    columns = (
        _array(place[m.key] for m in points),
        _array(m.step for m in points),
        _array(m.timestamp for m in points),
        _array(m.value if m.value == m.value else "NULL" for m in points),
    )
    (answer,) = execute_with_rows(connection, _COLUMNS, _KINDS, _POSTGRES, _rows(latest.values()), run_id, *columns)
    return bool(answer.written)


def advance(connection: Connection, run_id: str, latest: Iterable[Metric]) -> dict[str, int]:
    """Make the series of an active run, or advance them to these points; their keys by name, none without a run."""
    found = execute_with_rows(connection, _COLUMNS, _KINDS, _SERIES, _rows(latest), run_id)
    return {key: series for answer in found for series, key in answer.rows}


def _latest(points: Sequence[Metric]) -> dict[str, Metric]:
    """The greatest point of each key."""
    if len(points) == 1:
        return {points[0].key: points[0]}
    latest: dict[str, Metric] = {}
    for point in points:
        before = latest.setdefault(point.key, point)
        if point.step > before.step or (point.step == before.step and _rank(point) > _rank(before)):
            latest[point.key] = point
    return latest


def _rank(point: Metric) -> tuple[int, bool, float]:
    number = not math.isnan(point.value)
    return (point.timestamp, number, point.value if number else 0.0)


def _rows(latest: Iterable[Metric]) -> list[tuple[Any, ...]]:
    return [(place, m.key, m.step, m.timestamp, value_to_db(m.value)) for place, m in enumerate(latest)]


def _array(numbers: Iterator[Any]) -> str:
    """PostgreSQL's text form of an array of numbers; the driver would take ten times as long to make it."""
    return f"{{{','.join(map(str, numbers))}}}"
