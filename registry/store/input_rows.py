"""Rows that a call hands in, as the table ``given`` inside one statement: one round trip however many they are.

This is driver SQL, not Core statements: logging is called millions of times, and Core would spend more time on a
statement than the database does. Texts come from here alone; every value is bound.
"""

import functools
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, Final

from sqlalchemy import Connection

from registry.store.cursors import Answer, run

# SQLite binds at most 32,766 values.
_ROWS: Final = 2_000

Rows = Sequence[tuple[Any, ...]]


def execute_with_rows(
    connection: Connection, columns: str, kinds: str, statement: str, rows: Rows, *rest: Any
) -> Iterator[Answer]:
    """Run a statement that reads ``given``; the answer of each piece that the rows had to be sent in.

    `columns` and `kinds` (PostgreSQL's types) are separated by blanks; ``{given}`` in the statement is where the table
    is defined, and `rest` are the values of its other places, all of which come after, written ``%s``.
    """
    if connection.dialect.name == "sqlite":
        for start in range(0, len(rows), _ROWS):
            piece = rows[start : start + _ROWS]
            text = _sqlite(columns, statement, len(piece))
            yield run(connection, text, (*chain.from_iterable(piece), *rest))
    else:
        arrays = [list(column) for column in zip(*rows, strict=True)]
        yield run(connection, _postgres(columns, kinds, statement), (*arrays, *rest))


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
