"""Insert the points of one series from arrays: many by COPY on PostgreSQL, by executemany on SQLite.

Guarantees: all points of a call are written, or none.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Final

from sqlalchemy import Connection

from registry.entities import Metric
from registry.store.driver_sql import copy, run_many
from registry.store.tracking.metrics.write import INSERT_POINTS_SQLITE, append_points, upsert_latest, value_to_db

_BLOCK: Final = 20_000
# COPY takes three round trips more than a statement, and less time for each point.
_FEW: Final = 1_000
_COPY: Final = "COPY metrics (series_id, step, timestamp, value) FROM STDIN"
_NULL: Final = "\\N"


def append_series(
    connection: Connection,
    run_id: str,
    key: str,
    *,
    steps: Sequence[int],
    timestamps: Sequence[int],
    values: Sequence[float],
) -> bool:
    """Append points to one series of an active run; return False and write nothing if there is no such run.

    On PostgreSQL a few points travel with COMMIT, in a statement that fails if there is no such run.
    """
    if connection.dialect.name != "sqlite" and len(steps) <= _FEW:
        points = zip(values, timestamps, steps, strict=True)
        return append_points(connection, run_id, [Metric(key, *point) for point in points])
    series = upsert_latest(connection, run_id, [_latest_point(key, steps, timestamps, values)]).get(key)
    if series is None:
        return False
    if connection.dialect.name == "sqlite":
        rows = zip([series] * len(steps), steps, timestamps, map(value_to_db, values), strict=True)
        run_many(connection, INSERT_POINTS_SQLITE, list(rows))
    else:
        copy(connection, _COPY, _copy_blocks(series, steps, timestamps, values))
    return True


def _latest_point(key: str, steps: Sequence[int], timestamps: Sequence[int], values: Sequence[float]) -> Metric:
    last = max(steps)
    candidates = [
        (timestamp, not math.isnan(value), value)
        for step, timestamp, value in zip(steps, timestamps, values, strict=True)
        if step == last
    ]
    timestamp, _, value = max(candidates, key=lambda c: c if c[1] else (c[0], False, 0.0))
    return Metric(key, value, timestamp, last)


def _copy_blocks(
    series: int, steps: Sequence[int], timestamps: Sequence[int], values: Sequence[float]
) -> Iterator[str]:
    """Yield the rows in COPY's text format, in blocks of _BLOCK rows."""
    for start in range(0, len(steps), _BLOCK):
        block = slice(start, start + _BLOCK)
        rows = zip(steps[block], timestamps[block], values[block], strict=True)
        yield "".join(f"{series}\t{s}\t{t}\t{_NULL if math.isnan(v) else v}\n" for s, t, v in rows)
