"""Where the fields of a search are in the tables.

A field is a column of the subject's row (`Column`), or the values of some rows of another table (`Rows`). `Keyed` makes
the latter for a key: the param, tag or metric of that name. Invariant: a `Keyed` field has at most one row per subject
when it is joined, so that an ordering never repeats a subject.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Alias, ColumnElement, and_

from registry.filters import Field, Kind
from registry.store.statements import table
from registry.store.tables import Base


@dataclass(frozen=True, slots=True)
class Column:
    """A value in the row of the subject; `order` is what orders by it, if that is not the value itself."""

    value: ColumnElement[Any]
    nullable: bool = False
    order: ColumnElement[Any] | None = None


@dataclass(frozen=True, slots=True)
class Rows:
    """Values in those rows of other tables for which `where` holds; a NULL among them is NaN if `has_nan`."""

    value: ColumnElement[Any]
    where: tuple[ColumnElement[bool], ...]
    has_nan: bool = False


@dataclass(frozen=True, slots=True)
class Joined:
    """The one row that has the value of a key, to be joined to the subject."""

    target: Alias
    on: ColumnElement[bool]

    @property
    def value(self) -> ColumnElement[Any]:
        """The value of the key; NULL is NaN or missing."""
        return self.target.c.value

    @property
    def is_missing(self) -> ColumnElement[bool]:
        """Whether an outer join found no such row."""
        return self.target.c.key.is_(None)


class Keyed:
    """A table of values by (owner, key), seen from the row that `owner` refers to.

    `scope` are columns that are the same in the table and in the subject's row, by name; an index may begin with them.
    """

    def __init__(
        self,
        row: type[Base],
        owner: str,
        of: ColumnElement[Any],
        *,
        has_nan: bool = False,
        scope: Mapping[str, ColumnElement[Any]] | None = None,
    ) -> None:
        self.table = table(row)
        self.owner = owner
        self.of = of
        self.has_nan = has_nan
        self.scope = scope or {}

    def rows(self, key: str) -> Rows:
        """The values of a key."""
        columns = self.table.c
        return Rows(columns.value, (columns[self.owner] == self.of, columns.key == key), self.has_nan)

    def joined(self, key: str) -> Joined:
        """The row of a key, under a name of its own."""
        alias = self.table.alias()
        scope = [alias.c[name] == value for name, value in self.scope.items()]
        return Joined(alias, and_(alias.c[self.owner] == self.of, alias.c.key == key, *scope))


@dataclass(frozen=True, slots=True)
class Places:
    """The places of all fields of one subject."""

    attributes: Mapping[str, Column | Rows]
    keyed: Mapping[Kind, Keyed]
    datasets: Mapping[str, Rows] = field(default_factory=dict)

    def of(self, name: Field) -> Column | Rows:
        """The place of a field."""
        if name.kind is Kind.ATTRIBUTE:
            return self.attributes[name.key]
        if name.kind is Kind.DATASET:
            return self.datasets[name.key]
        return self.keyed[name.kind].rows(name.key)
