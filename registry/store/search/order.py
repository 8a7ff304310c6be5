"""From order_by to the terms that SQL sorts by.

Numbers and texts come first, then NaN, then what lacks the field, in both directions. The leading field is not sorted
by that rank: each rank is a `Segment`, a query of its own, so that an index on the value gives the order and a page
that the numbers fill never looks at the rest.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import ColumnElement, SQLColumnExpression, case

from registry.filters import Field, Kind, OrderBy
from registry.store.dialects import AnySelect
from registry.store.search.field_mapping import Column, FieldMap, Joined

VALUE: Final = 0
NAN: Final = 1
MISSING: Final = 2


@dataclass(frozen=True, slots=True)
class Term:
    """An expression to sort by. It is NULL only where the terms before it tell those rows from all others."""

    value: SQLColumnExpression[Any]
    ascending: bool = True


@dataclass(frozen=True, slots=True)
class Segment:
    """The subjects whose leading field has one rank, and what sorts them."""

    rank: int
    terms: tuple[Term, ...]
    inner: tuple[Joined, ...] = ()
    outer: tuple[Joined, ...] = ()
    where: tuple[ColumnElement[bool], ...] = field(default=())

    def of(self, statement: AnySelect) -> AnySelect:
        """A statement narrowed to this segment, not sorted yet."""
        for joined in self.inner:
            statement = statement.join(joined.target, joined.on)
        for joined in self.outer:
            statement = statement.outerjoin(joined.target, joined.on)
        return statement.where(*self.where)


def segments(order_by: Sequence[OrderBy], places: FieldMap, ties: Sequence[tuple[str, bool]]) -> list[Segment]:
    """The segments of an ordering, in their order; `ties` are attributes (and whether ascending) that end it.

    The last of `ties` is unique, so that the order is total.
    """
    named = {key.field for key in order_by}
    tie_keys = [OrderBy(Field(Kind.ATTRIBUTE, name), ascending) for name, ascending in ties]
    keys = [*order_by, *(key for key in tie_keys if key.field not in named)]
    outer: list[Joined] = []
    rest = tuple(term for key in keys[1:] for term in _terms(key, places, outer))
    return _leading(keys[0], places, rest, tuple(outer))


def _leading(key: OrderBy, places: FieldMap, rest: tuple[Term, ...], outer: tuple[Joined, ...]) -> list[Segment]:
    if key.field.kind is Kind.ATTRIBUTE:
        column = _column(key, places)
        value = _sorted_by(column)
        first = (Term(value, key.ascending), *rest)
        if not column.nullable:
            return [Segment(VALUE, first, outer=outer, where=(places.scope,))]
        return [
            Segment(VALUE, first, outer=outer, where=(places.scope, value.is_not(None))),
            Segment(MISSING, rest, outer=outer, where=(places.scope, value.is_(None))),
        ]
    keyed = places.keyed[key.field.kind]
    joined = keyed.joined(key.field.key)
    first = (Term(joined.value, key.ascending), *rest)
    # Said once, of the joined rows: said of both, a planner without statistics joins by the scope, all rows with all.
    scope = () if joined.in_scope else (places.scope,)
    found = [Segment(VALUE, first, (joined,), outer, (*scope, joined.value.is_not(None)))]
    if keyed.has_nan:
        found.append(Segment(NAN, rest, (joined,), outer, (*scope, joined.value.is_(None))))
    return [*found, Segment(MISSING, rest, outer=(joined, *outer), where=(places.scope, joined.is_missing))]


def _terms(key: OrderBy, places: FieldMap, outer: list[Joined]) -> list[Term]:
    """The terms of a field that does not lead: its rank, if it can be missing, and its value."""
    if key.field.kind is Kind.ATTRIBUTE:
        column = _column(key, places)
        value = _sorted_by(column)
        rank = [Term(case((value.is_(None), MISSING), else_=VALUE))] if column.nullable else []
        return [*rank, Term(value, key.ascending)]
    joined = places.keyed[key.field.kind].joined(key.field.key)
    outer.append(joined)
    ranked = case((joined.is_missing, MISSING), (joined.value.is_(None), NAN), else_=VALUE)
    return [Term(ranked), Term(joined.value, key.ascending)]


def _column(key: OrderBy, places: FieldMap) -> Column:
    place = places.attributes[key.field.key]
    assert isinstance(place, Column), "parse_order_by refuses fields of many values"  # noqa: S101 - for the type checker
    return place


def _sorted_by(column: Column) -> SQLColumnExpression[Any]:
    return column.value if column.order is None else column.order
