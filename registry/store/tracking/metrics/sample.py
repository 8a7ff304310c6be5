"""Metric series as columns, for many runs and metrics at once, whole or sampled.

Sampling cuts the steps of a series into stretches of equal width (its times, if all points have the same step). Of each
stretch it keeps the least value, the greatest value and one NaN, if any. The first and the last step are stretches of
their own. A sketch is coarser, and takes milliseconds however long the series is: of each stretch it has the first
point, which is one look-up in the index. Guarantees: the database computes the sample, so only sampled points are
transferred.
"""

import functools
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, TypeAlias

from sqlalchemy import ColumnElement, Connection, Text, func, literal, select

from registry.entities import Metric
from registry.exceptions import RunNotFoundError
from registry.store.compiled_statements import Compiled
from registry.store.dialects import AnySelect, table
from registry.store.driver_sql import Statement, end_with_next
from registry.store.long_lists import among, among_selected, in_keys, keys_parameter
from registry.store.rows_as_cte import send_with_rows
from registry.store.tables import LatestMetricRow, MetricRow, RunRow
from registry.store.tracking.metrics.read import value_from_db
from registry.store.tracking.metrics.write import value_to_db
from registry.store.transactions import Store, read_transaction

# Of each stretch: the least value, the greatest value, one NaN.
_POINTS_PER_STRETCH: Final = 3
# The smallest sample: the first and the last step, and three stretches between them.
LEAST_SAMPLE: Final = 5 * _POINTS_PER_STRETCH
_BLOCK: Final = 500
# The first and the last step of a read.
Steps: TypeAlias = tuple[int, int]
ALL_STEPS: Final[Steps] = (-(2**63), 2**63 - 1)
_MAX_WIDTH: Final = 2**63 - 1

_POINT: Final = table(MetricRow).c
_ORDER: Final = (_POINT.step, _POINT.timestamp, _POINT.value.is_not(None), _POINT.value)

_POINT_COLUMNS: Final = "series_id, step, timestamp, value"
_SORTED: Final = "ORDER BY series_id, step, timestamp, value IS NOT NULL, value"
# A stretch of steps is an index range; three index look-ups find its least point, its greatest point and a NaN.
_STEP_COLUMNS: Final = "series since until"
_STEP_TYPES: Final = "bigint bigint bigint"
_RANGE: Final = "FROM metrics WHERE series_id = given.series AND step BETWEEN given.since AND given.until AND value IS"
_KEPT_POINTS: Final = (
    f"{_RANGE} NOT NULL ORDER BY value, step, timestamp LIMIT 1",
    f"{_RANGE} NOT NULL ORDER BY value DESC, step, timestamp LIMIT 1",
    f"{_RANGE} NULL ORDER BY step, timestamp LIMIT 1",
)
_ROWIDS: Final = " UNION ".join(f"SELECT (SELECT rowid {point}) FROM given" for point in _KEPT_POINTS)  # noqa: S608
_POINTS: Final = " UNION ".join(f"(SELECT {_POINT_COLUMNS} {point})" for point in _KEPT_POINTS)
_BY_STEP: Final = {
    "sqlite": f"WITH {{given}} SELECT {_POINT_COLUMNS} FROM metrics WHERE rowid IN ({_ROWIDS}) {_SORTED}",  # noqa: S608
    "postgresql": f"WITH {{given}} SELECT {_POINT_COLUMNS} FROM given, LATERAL ({_POINTS}) AS kept {_SORTED}",  # noqa: S608
}
_FIRST_POINT: Final = (
    "FROM metrics WHERE series_id = given.series AND step BETWEEN given.since AND given.until ORDER BY step LIMIT 1"
)
_SKETCH: Final = {
    "sqlite": (
        f"WITH {{given}} SELECT {_POINT_COLUMNS} FROM metrics "  # noqa: S608
        f"WHERE rowid IN (SELECT (SELECT rowid {_FIRST_POINT}) FROM given) {_SORTED}"
    ),
    "postgresql": (
        f"WITH {{given}} SELECT {_POINT_COLUMNS} FROM given, "  # noqa: S608
        f"LATERAL (SELECT {_POINT_COLUMNS} {_FIRST_POINT}) AS kept {_SORTED}"
    ),
}
# No index helps with times. Window functions take one pass and one sort; a join with the extremes may be planned as
# each row with each row.
_TIME_COLUMNS: Final = "series low high width"
_TIME_TYPES: Final = "bigint bigint bigint bigint"
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
    SELECT {_POINT_COLUMNS} FROM numbered WHERE number = 1 {_SORTED}
"""  # noqa: S608 - made of the constants above


@dataclass(frozen=True, slots=True)
class Series:
    """The points of one metric of one run, sorted by (step, timestamp, value), NaN first. Timestamps: milliseconds.

    A sketch has no least and greatest values.
    """

    run_id: str
    key: str
    steps: "array[int]" = field(default_factory=lambda: array("q"))
    timestamps: "array[int]" = field(default_factory=lambda: array("q"))
    values: "array[float]" = field(default_factory=lambda: array("d"))
    is_sketch: bool = False


class SeriesStore(Store):
    """The metric series of a database."""

    @read_transaction
    def read(
        self,
        connection: Connection,
        run_ids: Sequence[str],
        keys: Sequence[str] | None,
        max_points: int | None,
        steps: Steps = ALL_STEPS,
        sketch_over: int | None = None,
    ) -> list[Series]:
        """Read metrics of runs in the requested order, in one snapshot; `keys` None reads all metrics.

        Args:
            connection: The connection of this transaction.
            run_ids: The runs.
            keys: The metrics.
            max_points: A series of more points (at least `LEAST_SAMPLE`) is sampled to at most as many.
            steps: The first and the last step to read.
            sketch_over: With `max_points`: sketch a series of more than this many points.
        """
        dialect, asked = connection.dialect.name, _Asked(connection, run_ids, keys)
        points = asked.among_series(_POINT.series_id), asked.parameters
        if max_points is None:
            end_with_next(connection)
            rows = _select_whole(connection, *points, steps)
            series = asked.series()
            _append_points(series, rows.partitions(_BLOCK))
            return list(series.values())
        huge: dict[int, tuple[int, int]] = {}
        if sketch_over is not None:
            huge = _find_huge_series(connection, asked, sketch_over, steps)
            # Where all points have one step, there is nothing to seek by.
            huge = {series_key: ends for series_key, ends in huge.items() if ends[0] < ends[1]}
            rest = [series_key for series_key in asked.series() if series_key not in huge]
            points = in_keys(dialect, _POINT.series_id), keys_parameter(dialect, rest)
        long = _find_long_series(connection, *points, max_points, steps)
        series = asked.series()
        samples = [*_send_samples(connection, long), *_send_sketches(connection, huge, max_points)]
        whole = [series_key for series_key in series if series_key not in huge and series_key not in long]
        end_with_next(connection)
        points = in_keys(dialect, _POINT.series_id), keys_parameter(dialect, whole)
        _append_points(series, _select_whole(connection, *points, steps).partitions(_BLOCK))
        for series_key in huge:
            series[series_key] = replace(series[series_key], is_sketch=True)
        _append_points(series, (sample.rows for sample in samples))
        return list(series.values())

    @read_transaction
    def extremes(
        self, connection: Connection, run_id: str, keys: Sequence[str], most_points: int
    ) -> dict[str, tuple[float, float] | None]:
        """Return the least and the greatest value of metrics of a run by key; NaN, if that is all there is.

        None stands for a series of more than `most_points` points, which is not read.
        """
        asked = _Asked(connection, [run_id], keys)
        huge = _find_huge_series(connection, asked, most_points, ALL_STEPS)
        series = asked.series()
        dialect = connection.dialect.name
        short = [series_key for series_key in series if series_key not in huge]
        query = (
            select(_POINT.series_id, func.min(_POINT.value), func.max(_POINT.value))
            .where(in_keys(dialect, _POINT.series_id))
            .group_by(_POINT.series_id)
        )
        ends: dict[str, tuple[float, float] | None] = {series[series_key].key: None for series_key in huge}
        end_with_next(connection)
        for series_key, least, greatest in connection.execute(query, keys_parameter(dialect, short)):
            ends[series[series_key].key] = value_from_db(least), value_from_db(greatest)
        return ends

    @read_transaction
    def latest(self, connection: Connection, run_ids: Sequence[str]) -> dict[str, list[Metric]]:
        """Return the latest point of each metric of runs, by run id and sorted by key."""
        dialect = connection.dialect.name
        latest, runs = table(LatestMetricRow).c, table(RunRow).c
        query = (
            select(runs.run_id, latest.key, latest.step, latest.timestamp, latest.value)
            .join_from(table(RunRow), table(LatestMetricRow), latest.run_id == runs.id)
            .where(in_keys(dialect, runs.run_id, "ids", Text()))
            .order_by(latest.key)
        )
        points: dict[str, list[Metric]] = {run_id: [] for run_id in run_ids}
        for run_id, key, step, timestamp, value in connection.execute(query, keys_parameter(dialect, run_ids, "ids")):
            points[run_id].append(Metric(key, value_from_db(value), timestamp, step))
        return points

    @read_transaction
    def stored(self, connection: Connection, run_id: str, points: Sequence[Metric]) -> list[Metric]:
        """Return those of the points that the run has: same key, step, timestamp and value."""
        if not points:
            return []
        dialect, latest, runs = connection.dialect.name, table(LatestMetricRow).c, table(RunRow).c
        query = (
            select(latest.key, _POINT.step, _POINT.timestamp, _POINT.value)
            .join_from(table(RunRow), table(LatestMetricRow), latest.run_id == runs.id)
            .join(table(MetricRow), _POINT.series_id == latest.id)
            .where(runs.run_id == run_id)
            .where(among(latest.key, {point.key for point in points}, dialect))
            .where(among(_POINT.step, {point.step for point in points}, dialect))
        )
        existing = {tuple(row) for row in connection.execute(query)}
        return [
            point for point in points if (point.key, point.step, point.timestamp, value_to_db(point.value)) in existing
        ]


class _Asked:
    """The metrics of runs that a call asks for; the query of their series travels with the next statement.

    The next statement finds the series by itself (`among_series`), so it need not wait for their keys.
    """

    def __init__(self, connection: Connection, run_ids: Sequence[str], keys: Sequence[str] | None) -> None:
        self._dialect, self._run_ids, self._keys = connection.dialect.name, run_ids, keys
        self.parameters = keys_parameter(self._dialect, run_ids, "ids")
        if keys is not None:
            self.parameters |= keys_parameter(self._dialect, keys, "names")
        self._found = _series_query(self._dialect, some_keys=keys is not None).send(connection, self.parameters)

    def among_series(self, column: ColumnElement[Any]) -> ColumnElement[bool]:
        """Test whether a column has the key of one of the series; takes `parameters`."""
        return among_selected(self._dialect, column, _select_series(self._dialect, some_keys=self._keys is not None))

    def series(self) -> dict[int, Series]:
        """Return empty series by their surrogate key, in the requested order.

        Raises:
            RunNotFoundError: A run does not exist.
        """
        run_ids = {run_id for run_id, _, _ in self._found.rows}
        for run_id in self._run_ids:
            if run_id not in run_ids:
                raise RunNotFoundError(f"Run with id={run_id} not found")
        existing = {(run_id, key): series for run_id, key, series in self._found.rows if key is not None}
        names = sorted({key for _, key in existing}) if self._keys is None else self._keys
        pairs = [(run_id, key) for run_id in self._run_ids for key in names if (run_id, key) in existing]
        return {existing[pair]: Series(*pair) for pair in pairs}


@functools.cache
def _series_query(dialect: str, *, some_keys: bool) -> Compiled:
    """Return the query of run id, metric and surrogate key of series; a run without a series has one row."""
    latest, runs = table(LatestMetricRow), table(RunRow)
    is_of_run = latest.c.run_id == runs.c.id
    if some_keys:
        is_of_run &= in_keys(dialect, latest.c.key, "names", Text())
    query = select(runs.c.run_id, latest.c.key, latest.c.id).select_from(runs.outerjoin(latest, is_of_run))
    return Compiled(query.where(in_keys(dialect, runs.c.run_id, "ids", Text())))


@functools.cache
def _select_series(dialect: str, *, some_keys: bool) -> AnySelect:
    latest, runs = table(LatestMetricRow).alias().c, table(RunRow).alias().c
    query = select(latest.id).where(latest.run_id == runs.id, in_keys(dialect, runs.run_id, "ids", Text()))
    return query.where(in_keys(dialect, latest.key, "names", Text())) if some_keys else query


def _within(steps: Steps) -> tuple[ColumnElement[bool], ...]:
    return () if steps == ALL_STEPS else (_POINT.step.between(*steps),)


def _select_whole(
    connection: Connection, is_meant: ColumnElement[bool], parameters: Mapping[str, Any], steps: Steps
) -> Any:
    query = (
        select(_POINT.series_id, _POINT.step, _POINT.timestamp, _POINT.value)
        .where(is_meant, *_within(steps))
        .order_by(_POINT.series_id, *_ORDER)
    )
    return connection.execute(query, parameters)


@dataclass(frozen=True, slots=True)
class _LongSeries:
    """A series to sample: its first and last step, its first and last time, and how many stretches to cut between."""

    steps: tuple[int, int]
    times: tuple[int, int]
    stretches: int


def _find_huge_series(connection: Connection, asked: _Asked, points: int, steps: Steps) -> dict[int, tuple[int, int]]:
    """Return the first and the last step of the series with more points than that; reads no more of each."""
    latest = table(LatestMetricRow).c
    of_series = (_POINT.series_id == latest.id, *_within(steps))
    low, high = (select(end(_POINT.step)).where(*of_series).scalar_subquery() for end in (func.min, func.max))
    one_more = select(literal(1)).where(*of_series).select_from(table(MetricRow)).limit(1).offset(points)
    query = (
        select(latest.id, low, high)
        .where(asked.among_series(latest.id))
        .where(one_more.correlate(table(LatestMetricRow)).scalar_subquery().is_not(None))
    )
    rows = connection.execute(query, asked.parameters)
    return {series_key: (first, last) for series_key, first, last in rows}


def _find_long_series(
    connection: Connection, is_meant: ColumnElement[bool], parameters: Mapping[str, Any], max_points: int, steps: Steps
) -> dict[int, _LongSeries]:
    """Return the series with more than `max_points` points, by surrogate key."""
    ends = (func.min(_POINT.step), func.max(_POINT.step), func.min(_POINT.timestamp), func.max(_POINT.timestamp))
    query = (
        select(_POINT.series_id, func.count(), func.count(_POINT.value), *ends)
        .where(is_meant, *_within(steps))
        .group_by(_POINT.series_id)
        .having(func.count() > max_points)
    )
    long: dict[int, _LongSeries] = {}
    for series_key, points, numbers, low, high, since, until in connection.execute(query, parameters):
        stretches = max_points // (_POINTS_PER_STRETCH if numbers < points else _POINTS_PER_STRETCH - 1) - 2
        long[series_key] = _LongSeries((low, high), (since, until), stretches)
    return long


def _send_sketches(connection: Connection, huge: Mapping[int, tuple[int, int]], max_points: int) -> list[Statement]:
    """Ask for the first point of each stretch of these series, in the round trip of the next statement."""
    ranges = [
        (series_key, *stretch)
        for series_key, ends in huge.items()
        for stretch in _split_steps(*ends, max_points - _POINTS_PER_STRETCH)
    ]
    return send_with_rows(connection, _STEP_COLUMNS, _STEP_TYPES, _SKETCH[connection.dialect.name], ranges)


def _send_samples(connection: Connection, long: Mapping[int, _LongSeries]) -> list[Statement]:
    """Ask for the sampled points of these series, in the round trip of the next statement."""
    ranges = [
        (series_key, *stretch)
        for series_key, series in long.items()
        if series.steps[0] < series.steps[1]
        for stretch in _split_steps(*series.steps, series.stretches)
    ]
    times = [
        (series_key, *series.times, _time_width(series))
        for series_key, series in long.items()
        if series.steps[0] == series.steps[1]
    ]
    by_step = _BY_STEP[connection.dialect.name]
    return [
        *send_with_rows(connection, _STEP_COLUMNS, _STEP_TYPES, by_step, ranges),
        *send_with_rows(connection, _TIME_COLUMNS, _TIME_TYPES, _BY_TIME, times),
    ]


def _split_steps(low: int, high: int, count: int) -> Iterator[tuple[int, int]]:
    """Yield the first step, at most `count` ranges of equal width, and the last step; both ends are inclusive."""
    yield low, low
    width = max(-(-(high - low - 1) // count), 1)
    for since in range(low + 1, high, width):
        yield since, min(since + width, high) - 1
    yield high, high


def _time_width(series: _LongSeries) -> int:
    """Return a width in milliseconds such that the points touch at most `stretches` stretches of time."""
    low, high = series.times
    # Stretches begin at multiples of the width, not at `low`, so the points can touch one more than they would fill.
    return min((high - low) // (series.stretches - 1) + 1, _MAX_WIDTH)


def _append_points(series_by_key: Mapping[int, Series], blocks: Iterable[Sequence[Any]]) -> None:
    """Append blocks of points, which arrive series by series, to their series."""
    for rows in filter(None, blocks):
        is_one_series = rows[0][0] == rows[-1][0]
        for series_key, points in [(rows[0][0], rows)] if is_one_series else groupby(rows, itemgetter(0)):
            _, steps, timestamps, values = zip(*points, strict=True)
            series = series_by_key[series_key]
            series.steps.extend(steps)
            series.timestamps.extend(timestamps)
            series.values.extend(map(value_from_db, values) if None in values else values)
