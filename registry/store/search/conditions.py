"""From a parsed filter to one SQL condition.

Invariant: a condition is true or false and never NULL, so that NOT takes in what a comparison leaves out for want of
the field. Values in other tables are asked for by EXISTS, which the databases answer with an index, row by row.
"""

from sqlalchemy import ColumnElement, and_, exists, literal_column, not_, or_

from registry.filters import And, Comparison, Node, Not, Op, Or
from registry.store.search.places import Column, Places, Rows
from registry.store.search.values import compare


def condition(node: Node, places: Places, dialect: str) -> ColumnElement[bool]:
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


def there_are(rows: Rows, *conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    """Whether a field has a value, or one for which the conditions hold."""
    return exists(literal_column("1")).where(*rows.where, *conditions)


def _comparison(node: Comparison, places: Places, dialect: str) -> ColumnElement[bool]:
    place = places.of(node.field)
    if node.op in (Op.IS_NULL, Op.IS_NOT_NULL):
        there = place.value.is_not(None) if isinstance(place, Column) else there_are(place)
        return there if node.op is Op.IS_NOT_NULL else not_(there)
    if isinstance(place, Rows):
        return there_are(place, compare(place.value, node.op, node.value, dialect=dialect, has_nan=place.has_nan))
    holds = compare(place.value, node.op, node.value, dialect=dialect)
    return and_(place.value.is_not(None), holds) if place.nullable else holds
