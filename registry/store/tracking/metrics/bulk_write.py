"""Many points of one series at once, from arrays: PostgreSQL takes them by COPY, SQLite by one executemany.

Owns the writing alone; `points` keeps the latest value. Invariant: as everywhere, all points of a call or none.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Final

from sqlalchemy import Connection

from registry.entities import Metric
from registry.store.cursors import copy, run_many
from registry.store.tracking.metrics.write import SQLITE_POINTS, advance, value_to_db

_BLOCK: Final = 20_000
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
    """Append points to one series of an active run; False, and nothing is written, if there is no such run."""
    series = advance(connection, run_id, [_latest(key, steps, timestamps, values)]).get(key)
    if series is None:
        return False
    if connection.dialect.name == "sqlite":
        rows = zip([series] * len(steps), steps, timestamps, map(value_to_db, values), strict=True)
        run_many(connection, SQLITE_POINTS, list(rows))
    else:
        copy(connection, _COPY, _blocks(series, steps, timestamps, values))
    return True


def _latest(key: str, steps: Sequence[int], timestamps: Sequence[int], values: Sequence[float]) -> Metric:
    last = max(steps)
    candidates = [
        (timestamp, not math.isnan(value), value)
        for step, timestamp, value in zip(steps, timestamps, values, strict=True)
        if step == last
    ]
    timestamp, _, value = max(candidates, key=lambda c: c if c[1] else (c[0], False, 0.0))
    return Metric(key, value, timestamp, last)


def _blocks(series: int, steps: Sequence[int], timestamps: Sequence[int], values: Sequence[float]) -> Iterator[str]:
    """The rows in COPY's text form."""
    for start in range(0, len(steps), _BLOCK):
        piece = slice(start, start + _BLOCK)
        rows = zip(steps[piece], timestamps[piece], values[piece], strict=True)
        yield "".join(f"{series}\t{s}\t{t}\t{_NULL if math.isnan(v) else v}\n" for s, t, v in rows)
