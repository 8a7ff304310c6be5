"""Whole series of points as columns, for many runs and metrics at once, or a sample of each.

Leaves single points to `metrics`. A sample cuts the steps of a series into stretches of equal width (its time, if all
points have one step), and keeps of each the least and the greatest value and one NaN if there is any; the first and the
last step are stretches of their own. Invariant: the database makes the sample, so that only the sample moves.
"""

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from sqlalchemy import Connection, Text, func, select

from registry.exceptions import RunNotFoundError
from registry.store.dialects import table
from registry.store.input_rows import execute_with_rows
from registry.store.tables import LatestMetricRow, MetricRow, RunRow
from registry.store.tracking.metrics.read import value_from_db
from registry.store.tracking.run_data import in_keys, keys_parameter
from registry.store.transactions import Store, read_transaction

# Of a stretch: the least value, the greatest, a NaN.
_KEPT: Final = 3
# The smallest sample: the first and the last step, and three stretches between them.
LEAST_SAMPLE: Final = 5 * _KEPT
_BLOCK: Final = 500
_WIDEST: Final = 2**63 - 1

_POINT: Final = table(MetricRow).c
_ORDER: Final = (_POINT.step, _POINT.timestamp, _POINT.value.is_not(None), _POINT.value)

_ALL: Final = "series_id, step, timestamp, value"
_SORTED: Final = "ORDER BY series_id, step, timestamp, value IS NOT NULL, value"
# A stretch of steps is a range of an index; its least and greatest point and a NaN are found in it one by one.
_STEPS: Final = "series since until"
_STEP_KINDS: Final = "bigint bigint bigint"
_RANGE: Final = "FROM metrics WHERE series_id = given.series AND step BETWEEN given.since AND given.until AND value IS"
_KEPT_ONES: Final = (
    f"{_RANGE} NOT NULL ORDER BY value, step, timestamp LIMIT 1",
    f"{_RANGE} NOT NULL ORDER BY value DESC, step, timestamp LIMIT 1",
    f"{_RANGE} NULL ORDER BY step, timestamp LIMIT 1",
)
_ROWIDS: Final = " UNION ".join(f"SELECT (SELECT rowid {one}) FROM given" for one in _KEPT_ONES)  # noqa: S608
_POINTS: Final = " UNION ".join(f"(SELECT {_ALL} {one})" for one in _KEPT_ONES)
_BY_STEP: Final = {
    "sqlite": f"WITH {{given}} SELECT {_ALL} FROM metrics WHERE rowid IN ({_ROWIDS}) {_SORTED}",  # noqa: S608
    "postgresql": f"WITH {{given}} SELECT {_ALL} FROM given, LATERAL ({_POINTS}) AS kept {_SORTED}",  # noqa: S608
}
# No index helps with times: one pass and one sort, whatever a planner thinks of it. A join with the extremes may become
# all rows with all.
_TIMES: Final = "series low high width"
_TIME_KINDS: Final = "bigint bigint bigint bigint"
_BY_TIME: Final = f"""
    WITH {{given}}, placed AS (
        SELECT point.series_id, point.step, point.timestamp, point.value, point.timestamp / given.width AS stretch,
            CASE point.timestamp WHEN given.low THEN 1 WHEN given.high THEN 2 ELSE 0 END AS edge
        FROM given JOIN metrics AS point ON point.series_id = given.series
    ), bounded AS (
        SELECT placed.*, min(value) OVER stretches AS least, max(value) OVER stretches AS greatest
        FROM placed WINDOW stretches AS (PARTITION BY series_id, stretch, edge)
    ), numbered AS (
        SELECT bounded.*, row_number() OVER (
            PARTITION BY series_id, stretch, edge, value ORDER BY step, timestamp
        ) AS number
        FROM bounded WHERE value = least OR value = greatest OR value IS NULL
    )
    SELECT {_ALL} FROM numbered WHERE number = 1 {_SORTED}
"""  # noqa: S608 - made of the constants above


@dataclass(frozen=True, slots=True)
class Series:
    """Points of one metric of one run, by (step, timestamp, value), NaN first; timestamps are milliseconds."""

    run_id: str
    key: str
    steps: "array[int]" = field(default_factory=lambda: array("q"))
    timestamps: "array[int]" = field(default_factory=lambda: array("q"))
    values: "array[float]" = field(default_factory=lambda: array("d"))


class SeriesStore(Store):
    """Reads series."""

    @read_transaction
    def read(
        self, connection: Connection, run_ids: Sequence[str], keys: Sequence[str] | None, max_points: int | None
    ) -> list[Series]:
        """These metrics of these runs, or all that they have, as they were asked for, all in one snapshot.

        A series of more than `max_points` (at least `LEAST_SAMPLE`) points comes as a sample of at most so many.

        Raises:
            RunNotFoundError: no such run.
        """
        found = _find(connection, run_ids, keys)
        long = {} if max_points is None else _long(connection, list(found), max_points)
        if whole := [series for series in found if series not in long]:
            _read(found, _whole(connection, whole).partitions(_BLOCK))
        _read(found, _sampled(connection, long))
        return list(found.values())


def _find(connection: Connection, run_ids: Sequence[str], keys: Sequence[str] | None) -> dict[int, Series]:
    """Empty series by their number, in the order in which they were asked for."""
    dialect = connection.dialect.name
    text = Text()
    named = select(RunRow.run_id, RunRow.id).where(in_keys(dialect, table(RunRow).c.run_id, "ids", text))
    runs = {row.run_id: row.id for row in connection.execute(named, keys_parameter(dialect, run_ids, "ids"))}
    for run_id in run_ids:
        if run_id not in runs:
            raise RunNotFoundError(f"Run with id={run_id} not found")
    latest = table(LatestMetricRow).c
    query = select(latest.run_id, latest.key, latest.id).where(in_keys(dialect, latest.run_id))
    parameters = keys_parameter(dialect, list(runs.values()))
    if keys is not None:
        query = query.where(in_keys(dialect, latest.key, "names", text))
        parameters |= keys_parameter(dialect, keys, "names")
    there = {(run, key): series for run, key, series in connection.execute(query, parameters)}
    names = sorted({key for _, key in there}) if keys is None else keys
    pairs = [(run_id, key) for run_id in run_ids for key in names if (runs[run_id], key) in there]
    return {there[runs[run_id], key]: Series(run_id, key) for run_id, key in pairs}


def _whole(connection: Connection, series: Sequence[int]) -> Any:
    dialect = connection.dialect.name
    query = (
        select(_POINT.series_id, _POINT.step, _POINT.timestamp, _POINT.value)
        .where(in_keys(dialect, _POINT.series_id))
        .order_by(_POINT.series_id, *_ORDER)
    )
    return connection.execute(query, keys_parameter(dialect, series))


@dataclass(frozen=True, slots=True)
class _Long:
    """A series of too many points: its first and last step and time, and how many stretches may lie between them."""

    steps: tuple[int, int]
    times: tuple[int, int]
    stretches: int


def _long(connection: Connection, series: Sequence[int], max_points: int) -> dict[int, _Long]:
    """Those of these series that have more points."""
    dialect = connection.dialect.name
    ends = (func.min(_POINT.step), func.max(_POINT.step), func.min(_POINT.timestamp), func.max(_POINT.timestamp))
    query = (
        select(_POINT.series_id, func.count(), func.count(_POINT.value), *ends)
        .where(in_keys(dialect, _POINT.series_id))
        .group_by(_POINT.series_id)
        .having(func.count() > max_points)
    )
    found: dict[int, _Long] = {}
    for number, points, numbers, low, high, since, until in connection.execute(query, keys_parameter(dialect, series)):
        stretches = max_points // (_KEPT if numbers < points else _KEPT - 1) - 2
        found[number] = _Long((low, high), (since, until), stretches)
    return found


def _sampled(connection: Connection, long: Mapping[int, _Long]) -> Iterator[Sequence[Any]]:
    """The points of the samples of these series."""
    ranges = [
        (number, *stretch)
        for number, one in long.items()
        if one.steps[0] < one.steps[1]
        for stretch in _stretches(*one.steps, one.stretches)
    ]
    times = [(number, *one.times, _width(one)) for number, one in long.items() if one.steps[0] == one.steps[1]]
    if ranges:
        for answer in execute_with_rows(connection, _STEPS, _STEP_KINDS, _BY_STEP[connection.dialect.name], ranges):
            yield answer.rows
    if times:
        for answer in execute_with_rows(connection, _TIMES, _TIME_KINDS, _BY_TIME, times):
            yield answer.rows


def _stretches(low: int, high: int, count: int) -> Iterator[tuple[int, int]]:
    """The first step, at most so many ranges of equal width, and the last step; both ends belong to a range."""
    yield low, low
    width = max(-(-(high - low - 1) // count), 1)
    for since in range(low + 1, high, width):
        yield since, min(since + width, high) - 1
    yield high, high


def _width(one: _Long) -> int:
    """The width of stretches of time of which no more are touched than may be, wherever the first one begins."""
    low, high = one.times
    return min((high - low) // (one.stretches - 1) + 1, _WIDEST)


def _read(found: Mapping[int, Series], blocks: Iterable[Sequence[Any]]) -> None:
    """Put blocks of points, which come series by series, where they belong."""
    for rows in filter(None, blocks):
        alone = rows[0][0] == rows[-1][0]
        for number, points in [(rows[0][0], rows)] if alone else groupby(rows, itemgetter(0)):
            _, steps, timestamps, values = zip(*points, strict=True)
            series = found[number]
            series.steps.extend(steps)
            series.timestamps.extend(timestamps)
            series.values.extend(map(value_from_db, values) if None in values else values)
