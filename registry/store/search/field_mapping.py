"""Map the fields of a search to tables and columns.

A field is a column of the subject's row (`Column`) or values in rows of another table (`RelatedRows`). `KeyValueTable`
makes the latter for a key: the param, tag or metric of that name. Guarantees: a `KeyValueTable` field joins at most one
row per subject, so an ordering never repeats a subject.
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
    """A value in the row of the subject; `order` is what orders by it, if that is not the value itself."""

    value: SQLColumnExpression[Any]
    nullable: bool = False
    order: SQLColumnExpression[Any] | None = None


@dataclass(frozen=True, slots=True)
class RelatedRows:
    """Values in those rows of other tables for which `where` holds; a NULL among them is NaN if `has_nan`.

    `by_owner`: the subject's own row leads to them by an index, and nothing is gained by beginning with them.
    """

    value: SQLColumnExpression[Any]
    where: tuple[ColumnElement[bool], ...]
    has_nan: bool = False
    by_owner: bool = False


@dataclass(frozen=True, slots=True)
class Joined:
    """The one row that has the value of a key, to be joined to the subject; `in_scope` if only those in scope are.

    `owner` is its column that equals `of`, a column of the subject, if that is how it is joined.
    """

    target: FromClause
    on: ColumnElement[bool]
    in_scope: bool = False
    owner: SQLColumnExpression[Any] | None = None
    of: SQLColumnExpression[Any] | None = None

    @property
    def value(self) -> SQLColumnExpression[Any]:
        """The value of the key; NULL is NaN or missing."""
        return self.target.c.value

    @property
    def is_missing(self) -> ColumnElement[bool]:
        """Whether an outer join found no such row."""
        return self.target.c.key.is_(None)


class KeyValueTable:
    """A table of values by (owner, key), seen from the row that `owner` refers to.

    `scope` are columns of the table, by name, that have one of some values wherever the subject is in scope; an index
    begins with them.
    """

    def __init__(
        self,
        row: type[Base],
        owner: str,
        of: SQLColumnExpression[Any],
        *,
        has_nan: bool = False,
        scope: Mapping[str, Sequence[int]] | None = None,
        dialect: str = "sqlite",
    ) -> None:
        self.table = table(row)
        self.owner = owner
        self.of = of
        self.has_nan = has_nan
        self.scope = scope or {}
        self.dialect = dialect

    def seen_from(self, joined: Joined) -> "KeyValueTable":
        """The same, seen from a joined row that refers to the same owner."""
        if joined.owner is None or joined.of is not self.of:
            return self
        seen = copy.copy(self)
        seen.of = joined.owner
        return seen

    def rows(self, key: str) -> RelatedRows:
        """The values of a key."""
        columns = self.table.c
        return RelatedRows(
            columns.value, (columns[self.owner] == self.of, columns.key == key), self.has_nan, by_owner=True
        )

    def joined(self, key: str) -> Joined:
        """The row of a key, under a name of its own."""
        alias = self.table.alias()
        scope = [one_of(alias.c[name], values, self.dialect) for name, values in self.scope.items()]
        owner = alias.c[self.owner]
        return Joined(alias, and_(owner == self.of, alias.c.key == key, *scope), bool(scope), owner, self.of)


def one_of(column: SQLColumnExpression[Any], values: Sequence[Any], dialect: str) -> ColumnElement[bool]:
    """Whether a column has one of some values; a single one is compared by ``=``, which keeps an index in order."""
    if len(values) > FEW:
        return among(column, values, dialect)
    return column == values[0] if len(values) == 1 else column.in_(values)


@dataclass(frozen=True, slots=True, eq=False)
class FieldMap:
    """The places of all fields of one subject, and which subjects are looked at at all (`scope`)."""

    attributes: Mapping[str, Column | RelatedRows]
    keyed: Mapping[Kind, KeyValueTable]
    datasets: Mapping[str, RelatedRows] = field(default_factory=dict)
    scope: ColumnElement[bool] = field(default_factory=true)

    def seen_from(self, joined: Joined) -> "FieldMap":
        """The same, with the rows of a key found from a joined row.

        Where that row leads the order, most subjects are passed over before their own row is read.
        """
        return replace(self, keyed={kind: keyed.seen_from(joined) for kind, keyed in self.keyed.items()})

    def of(self, name: Field) -> Column | RelatedRows:
        """The place of a field."""
        if name.kind is Kind.ATTRIBUTE:
            return self.attributes[name.key]
        if name.kind is Kind.DATASET:
            return self.datasets[name.key]
        return self.keyed[name.kind].rows(name.key)
