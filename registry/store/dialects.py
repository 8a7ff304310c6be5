"""Statements that both databases understand but SQLAlchemy spells per dialect: INSERT with ON CONFLICT.

Statements are built once per dialect; building them costs more than running them.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from sqlalchemy import Connection, Row, Select, Table
from sqlalchemy.dialects import postgresql, sqlite

from registry.store.tables import Base

# Rows and queries whose columns are known by name only. SQLAlchemy 2.0 and 2.1 count type arguments differently.
if TYPE_CHECKING:
    AnyRow: TypeAlias = Row[*tuple[Any, ...]]
    AnySelect: TypeAlias = Select[*tuple[Any, ...]]
else:
    AnyRow, AnySelect = Row, Select


def table(row: type[Base]) -> Table:
    """The table of a row class, for Core statements."""
    found = row.__table__
    assert isinstance(found, Table)  # noqa: S101 - every row class maps one table
    return found


def insert_into(dialect: str, row: type[Base]) -> sqlite.Insert | postgresql.Insert:
    """An INSERT of this dialect, which has `on_conflict_do_update` and `on_conflict_do_nothing`."""
    return sqlite.insert(table(row)) if dialect == "sqlite" else postgresql.insert(table(row))


@functools.cache
def _upsert(dialect: str, row: type[Base]) -> sqlite.Insert | postgresql.Insert:
    insert = insert_into(dialect, row)
    target = table(row)
    keys = [column.name for column in target.primary_key.columns]
    changed = {column.name: insert.excluded[column.name] for column in target.columns if column.name not in keys}
    return insert.on_conflict_do_update(index_elements=keys, set_=changed)


def upsert(connection: Connection, row: type[Base], values: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows, or overwrite the other columns of those whose primary key is there."""
    if values:
        # Sorted by key, so that two transactions that overlap lock rows in one order.
        keys = [column.name for column in table(row).primary_key.columns]
        ordered = sorted(values, key=lambda value: [value[key] for key in keys])
        connection.execute(_upsert(connection.dialect.name, row), ordered)
