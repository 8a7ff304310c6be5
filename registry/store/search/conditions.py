"""From a parsed filter to one SQL condition.

Invariant: a condition is true or false and never NULL, so that NOT takes in what a comparison leaves out for want of
the field. Values in other tables are asked for by EXISTS, row by row of the subject and by index: so a page costs what
it shows, and planning it next to nothing.
"""

from sqlalchemy import (
    ColumnElement,
    and_,
    exists,
    literal_column,
    not_,
    or_,
    select,
)

from registry.filters import And, Comparison, Node, Not, Op, Or
from registry.store.dialects import AnySelect
from registry.store.search.field_mapping import Column, FieldMap, RelatedRows
from registry.store.search.values import compare


def condition(node: Node, places: FieldMap, dialect: str) -> ColumnElement[bool]:
    """The condition that a filter stands for."""
    match node:
        case And():
            return and_(*(condition(item, places, dialect) for item in node.items))
        case Or():
            return or_(*(condition(item, places, dialect) for item in node.items))
        case Not():
            return not_(condition(node.item, places, dialect))
        case Comparison():
            return _comparison(node, places, dialect)


def exists_row(rows: RelatedRows, *conditions: ColumnElement[bool], dialect: str) -> ColumnElement[bool]:
    """Whether a field has a value, or one for which the conditions hold."""
    found: AnySelect = select(literal_column("1")).where(*rows.where, *conditions)
    if rows.by_owner and dialect != "sqlite":
        # PostgreSQL would make a join of it, and take longer to weigh the orders of joins than to run the best one.
        found = found.offset(literal_column("0"))
    return exists(found)


def _comparison(node: Comparison, places: FieldMap, dialect: str) -> ColumnElement[bool]:
    place = places.of(node.field)
    if node.op in (Op.IS_NULL, Op.IS_NOT_NULL):
        there = place.value.is_not(None) if isinstance(place, Column) else exists_row(place, dialect=dialect)
        return there if node.op is Op.IS_NOT_NULL else not_(there)
    if isinstance(place, RelatedRows):
        holds = compare(place.value, node.op, node.value, dialect=dialect, has_nan=place.has_nan)
        return exists_row(place, holds, dialect=dialect)
    holds = compare(place.value, node.op, node.value, dialect=dialect)
    return and_(place.value.is_not(None), holds) if place.nullable else holds
