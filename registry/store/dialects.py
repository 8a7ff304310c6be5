"""INSERT with ON CONFLICT, which SQLAlchemy spells per dialect.

Statements are built once per dialect, because building one costs more than running it.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from sqlalchemy import Connection, Row, Select, Table

from registry.store.compiled_statements import Compiled
from registry.store.tables import Base

# Rows and queries with untyped columns. SQLAlchemy 2.0 and 2.1 differ in the number of type arguments.
if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql, sqlite

    AnyRow: TypeAlias = Row[*tuple[Any, ...]]
    AnySelect: TypeAlias = Select[*tuple[Any, ...]]
else:
    AnyRow, AnySelect = Row, Select


def table(row: type[Base]) -> Table:
    """Return the table of a row class, for Core statements."""
    return row.__table__


def insert_into(dialect: str, row: type[Base]) -> "sqlite.Insert | postgresql.Insert":
    """Return an INSERT of this dialect, with `on_conflict_do_update` and `on_conflict_do_nothing`."""
    return _insert(dialect, table(row))


def _insert(dialect: str, target: Table) -> "sqlite.Insert | postgresql.Insert":
    if dialect == "sqlite":
        from sqlalchemy.dialects import sqlite

        return sqlite.insert(target)
    from sqlalchemy.dialects import postgresql

    return postgresql.insert(target)


@functools.cache
def _upsert(dialect: str, target: Table) -> Compiled:
    insert = _insert(dialect, target)
    keys = [column.name for column in target.primary_key.columns]
    changed = {column.name: insert.excluded[column.name] for column in target.columns if column.name not in keys}
    return Compiled(insert.on_conflict_do_update(index_elements=keys, set_=changed))


def upsert(connection: Connection, row: type[Base], values: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows, in the round trip of the next statement; if the primary key exists, overwrite the other columns."""
    # Sorted by key, so that overlapping transactions lock rows in one order.
    target = table(row)
    keys = [column.name for column in target.primary_key.columns]
    ordered = sorted(values, key=lambda value: [value[key] for key in keys])
    _upsert(connection.dialect.name, target).write_many(connection, ordered)
