"""Pass a call's rows to one SQL statement as a CTE named ``given``, so that any number of rows takes one round trip.

The statements are driver SQL, not Core: logging is called millions of times, and Core would spend more time on a
statement than the database. All SQL text is constant; every value is bound.
"""

import functools
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, Final

from sqlalchemy import Connection

from registry.store.driver_sql import Answer, Statement, run, send

# SQLite binds at most 32,766 values.
_ROWS: Final = 2_000

Rows = Sequence[tuple[Any, ...]]


def execute_with_rows(
    connection: Connection, columns: str, kinds: str, statement: str, rows: Rows, *rest: Any
) -> Iterator[Answer]:
    """Run a statement that reads ``given``, and yield one answer per batch of rows.

    `columns` and `kinds` (PostgreSQL types) are separated by blanks. ``{given}`` in the statement marks where the CTE
    is defined. `rest` are the values of the ``%s`` parameters, which all come after it.
    """
    for batch in _statements(connection, columns, kinds, statement, rows, *rest):
        yield run(connection, batch.text, batch.parameters)


def send_with_rows(
    connection: Connection, columns: str, kinds: str, statement: str, rows: Rows, *rest: Any
) -> list[Statement]:
    """Let a statement of `execute_with_rows` travel with the next one, in batches of rows; none without rows."""
    return [send(connection, batch) for batch in _statements(connection, columns, kinds, statement, rows, *rest)]


def _statements(
    connection: Connection, columns: str, kinds: str, statement: str, rows: Rows, *rest: Any
) -> Iterator[Statement]:
    if connection.dialect.name == "sqlite":
        for start in range(0, len(rows), _ROWS):
            batch = rows[start : start + _ROWS]
            yield Statement(_sqlite(columns, statement, len(batch)), (*chain.from_iterable(batch), *rest))
    elif rows:
        yield statement_with_rows(columns, kinds, statement, rows, *rest)


def statement_with_rows(columns: str, kinds: str, statement: str, rows: Rows, *rest: Any) -> Statement:
    """Return PostgreSQL's statement of `execute_with_rows`."""
    arrays = [list(column) for column in zip(*rows, strict=True)]
    return Statement(_postgres(columns, kinds, statement), (*arrays, *rest))


@functools.lru_cache(maxsize=256)
def _sqlite(columns: str, statement: str, rows: int) -> str:
    names = columns.split()
    row = f"({', '.join('?' * len(names))})"
    return statement.replace("%s", "?").format(given=f"given({', '.join(names)}) AS (VALUES {', '.join([row] * rows)})")


@functools.cache
def _postgres(columns: str, kinds: str, statement: str) -> str:
    arrays = ", ".join(f"CAST(%s AS {kind}[])" for kind in kinds.split())
    names = ", ".join(columns.split())
    return statement.format(given=f"given({names}) AS (SELECT * FROM unnest({arrays}))")  # noqa: S608 - names of ours
