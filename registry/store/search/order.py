"""Compile order_by to SQL sort terms.

In both directions, numbers and texts sort first, then NaN, then subjects without the field. For the leading field, each
of these ranks is a `Segment`, a query of its own. So an index on the value gives the order, and a page that the first
segment fills never reads the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import ColumnElement, SQLColumnExpression, case

from registry.filters import Field, Kind, OrderBy
from registry.store.dialects import AnySelect
from registry.store.search.field_mapping import Column, FieldMap, JoinedRow

VALUE: Final = 0
NAN: Final = 1
MISSING: Final = 2


@dataclass(frozen=True, slots=True)
class Term:
    """An expression to sort by. It is NULL only in rows that an earlier term has already separated."""

    value: SQLColumnExpression[Any]
    ascending: bool = True


@dataclass(frozen=True, slots=True)
class Segment:
    """The subjects whose leading field has one rank, and their sort terms."""

    rank: int
    terms: tuple[Term, ...]
    inner: tuple[JoinedRow, ...] = ()
    outer: tuple[JoinedRow, ...] = ()
    where: tuple[ColumnElement[bool], ...] = field(default=())

    def narrow(self, statement: AnySelect) -> AnySelect:
        """Restrict a statement to this segment, without sorting it."""
        for joined in self.inner:
            statement = statement.join(joined.target, joined.on)
        for joined in self.outer:
            statement = statement.outerjoin(joined.target, joined.on)
        return statement.where(*self.where)


def segments(order_by: Sequence[OrderBy], fields: FieldMap, tie_breakers: Sequence[tuple[str, bool]]) -> list[Segment]:
    """Return the segments of an ordering, in order.

    `tie_breakers` are attributes (and whether ascending) appended to the ordering. The last one is unique, so the order
    is total.
    """
    explicit = {key.field for key in order_by}
    tie_keys = [OrderBy(Field(Kind.ATTRIBUTE, name), ascending) for name, ascending in tie_breakers]
    keys = [*order_by, *(key for key in tie_keys if key.field not in explicit)]
    outer: list[JoinedRow] = []
    rest = tuple(term for key in keys[1:] for term in _sort_terms(key, fields, outer))
    return _leading_segments(keys[0], fields, rest, tuple(outer))


def _leading_segments(
    key: OrderBy, fields: FieldMap, rest: tuple[Term, ...], outer: tuple[JoinedRow, ...]
) -> list[Segment]:
    if key.field.kind is Kind.ATTRIBUTE:
        column = _column(key, fields)
        value = _sort_expression(column)
        first = (Term(value, key.ascending), *rest)
        if not column.nullable:
            return [Segment(VALUE, first, outer=outer, where=(fields.scope,))]
        return [
            Segment(VALUE, first, outer=outer, where=(fields.scope, value.is_not(None))),
            Segment(MISSING, rest, outer=outer, where=(fields.scope, value.is_(None))),
        ]
    key_values = fields.keyed[key.field.kind]
    joined = key_values.join(key.field.key)
    first = (Term(joined.value, key.ascending), *rest)
    # Restrict only the joined rows to the scope. If both sides are restricted, a planner without statistics joins by
    # the scope, each row with each row.
    scope = () if joined.in_scope else (fields.scope,)
    ranked = [Segment(VALUE, first, (joined,), outer, (*scope, joined.value.is_not(None)))]
    if key_values.has_nan:
        ranked.append(Segment(NAN, rest, (joined,), outer, (*scope, joined.value.is_(None))))
    return [*ranked, Segment(MISSING, rest, outer=(joined, *outer), where=(fields.scope, joined.is_missing))]


def _sort_terms(key: OrderBy, fields: FieldMap, outer: list[JoinedRow]) -> list[Term]:
    """Return the terms of a field that does not lead: its rank, if it can be missing, then its value."""
    if key.field.kind is Kind.ATTRIBUTE:
        column = _column(key, fields)
        value = _sort_expression(column)
        rank = [Term(case((value.is_(None), MISSING), else_=VALUE))] if column.nullable else []
        return [*rank, Term(value, key.ascending)]
    joined = fields.keyed[key.field.kind].join(key.field.key)
    outer.append(joined)
    rank_of_row = case((joined.is_missing, MISSING), (joined.value.is_(None), NAN), else_=VALUE)
    return [Term(rank_of_row), Term(joined.value, key.ascending)]


def _column(key: OrderBy, fields: FieldMap) -> Column:
    column = fields.attributes[key.field.key]
    assert isinstance(column, Column), "parse_order_by refuses fields of many values"  # noqa: S101 - for the type checker
    return column


def _sort_expression(column: Column) -> SQLColumnExpression[Any]:
    return column.value if column.order is None else column.order
