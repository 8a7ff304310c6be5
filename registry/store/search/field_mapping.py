"""Map the fields of a search to tables and columns.

A field is a column of the subject's row (`Column`) or a value in rows of another table (`RelatedRows`). `KeyValueTable`
builds the latter for a key: the param, tag or metric of that name. Guarantees: a `KeyValueTable` field joins at most
one row per subject, so an ordering never repeats a subject.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import ColumnElement, FromClause, SQLColumnExpression, and_, true

from registry.filters import Field, Kind
from registry.store.dialects import table
from registry.store.long_lists import FEW, among
from registry.store.tables import Base


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the subject's row; `order` replaces it in ORDER BY if set."""

    value: SQLColumnExpression[Any]
    nullable: bool = False
    order: SQLColumnExpression[Any] | None = None


@dataclass(frozen=True, slots=True)
class RelatedRows:
    """Values in the rows of other tables that match `where`; NULL is NaN if `has_nan`.

    `by_owner`: an index leads from the subject's row to these rows, so starting with these rows gains nothing.
    """

    value: SQLColumnExpression[Any]
    where: tuple[ColumnElement[bool], ...]
    has_nan: bool = False
    by_owner: bool = False


@dataclass(frozen=True, slots=True)
class JoinedRow:
    """The row with the value of a key, to be joined to the subject.

    `in_scope`: the join condition restricts it to the search's scope. `owner`: its column that equals `subject_key`, a
    column of the subject, if it is joined by that.
    """

    target: FromClause
    on: ColumnElement[bool]
    in_scope: bool = False
    owner: SQLColumnExpression[Any] | None = None
    subject_key: SQLColumnExpression[Any] | None = None

    @property
    def value(self) -> SQLColumnExpression[Any]:
        """The value of the key; NULL means NaN or missing."""
        return self.target.c.value

    @property
    def is_missing(self) -> ColumnElement[bool]:
        """Whether an outer join matched no row."""
        return self.target.c.key.is_(None)


class KeyValueTable:
    """A table of values by (owner, key), joined where the column `owner` equals `subject_key`.

    `scope` maps leading index columns of the table to the values that they have if the subject is in scope.
    """

    def __init__(
        self,
        row: type[Base],
        owner: str,
        subject_key: SQLColumnExpression[Any],
        *,
        has_nan: bool = False,
        scope: Mapping[str, Sequence[int]] | None = None,
        dialect: str = "sqlite",
    ) -> None:
        self.table = table(row)
        self.owner = owner
        self.subject_key = subject_key
        self.has_nan = has_nan
        self.scope = scope or {}
        self.dialect = dialect

    def based_on(self, joined: JoinedRow) -> "KeyValueTable":
        """Return a copy that is joined by the owner column of a joined row, if it has the same owner."""
        if joined.owner is None or joined.subject_key is not self.subject_key:
            return self
        rebased = copy.copy(self)
        rebased.subject_key = joined.owner
        return rebased

    def rows(self, key: str) -> RelatedRows:
        """Return the rows of a key, for EXISTS."""
        columns = self.table.c
        return RelatedRows(
            columns.value, (columns[self.owner] == self.subject_key, columns.key == key), self.has_nan, by_owner=True
        )

    def join(self, key: str) -> JoinedRow:
        """Return the row of a key under a new table alias, for JOIN."""
        alias = self.table.alias()
        scope = [is_one_of(alias.c[name], values, self.dialect) for name, values in self.scope.items()]
        owner = alias.c[self.owner]
        on = and_(owner == self.subject_key, alias.c.key == key, *scope)
        return JoinedRow(alias, on, bool(scope), owner, self.subject_key)


def is_one_of(column: SQLColumnExpression[Any], values: Sequence[Any], dialect: str) -> ColumnElement[bool]:
    """Test whether a column has one of some values; use ``=`` for a single value, which preserves index order."""
    if len(values) > FEW:
        return among(column, values, dialect)
    return column == values[0] if len(values) == 1 else column.in_(values)


@dataclass(frozen=True, slots=True, eq=False)
class FieldMap:
    """The columns and rows of all fields of one subject; `scope` limits which subjects are searched."""

    attributes: Mapping[str, Column | RelatedRows]
    keyed: Mapping[Kind, KeyValueTable]
    datasets: Mapping[str, RelatedRows] = field(default_factory=dict)
    scope: ColumnElement[bool] = field(default_factory=true)

    def based_on(self, joined: JoinedRow) -> "FieldMap":
        """Return a copy whose key-value tables are joined to a joined row instead of the subject.

        If that row leads the order, most subjects are filtered out before their own row is read.
        """
        return replace(self, keyed={kind: keyed.based_on(joined) for kind, keyed in self.keyed.items()})

    def locate(self, name: Field) -> Column | RelatedRows:
        """Return the column or the rows that hold a field."""
        if name.kind is Kind.ATTRIBUTE:
            return self.attributes[name.key]
        if name.kind is Kind.DATASET:
            return self.datasets[name.key]
        return self.keyed[name.kind].rows(name.key)
