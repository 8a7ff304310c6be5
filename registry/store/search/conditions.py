"""From a parsed filter to one SQL condition.

Invariant: a condition is true or false and never NULL, so that NOT takes in what a comparison leaves out for want of
the field. Values in other tables are asked for by EXISTS, row by row of the subject and by index: so a page costs what
it shows, and planning it next to nothing.
"""

import json
import string
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Double,
    SQLColumnExpression,
    Text,
    and_,
    any_,
    collate,
    exists,
    func,
    literal,
    literal_column,
    not_,
    or_,
    select,
)

from registry.exceptions import InvalidFilterError
from registry.filters import And, Comparison, Node, Not, Op, Or, Scalar
from registry.store.dialects import AnySelect
from registry.store.search.field_mapping import Column, FieldMap, RelatedRows
from registry.store.tables import KEY

# SQLite refuses patterns of more than 50,000 bytes; a character takes at most four, escaped or not.
MAX_PATTERN: Final = 10_000
# So many values have a parameter each, as the planner likes it best.
FEW: Final = 1_000

_FOLDED: Final = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_GLOB: Final = str.maketrans({"%": "*", "_": "?", "*": "[*]", "?": "[?]", "[": "[[]"})


def bound(value: Scalar) -> SQLColumnExpression[Any]:
    """A value as a parameter of its own type."""
    if isinstance(value, str):
        return literal(value, KEY)
    return literal(value, Double() if isinstance(value, float) else BigInteger())


def by_code_point(column: SQLColumnExpression[Any], dialect: str) -> SQLColumnExpression[Any]:
    """A text that compares and folds by code point, whatever its collation; SQLite's does so already."""
    return column if dialect == "sqlite" else collate(column, "C")


def compare(
    column: SQLColumnExpression[Any],
    op: Op,
    value: Scalar | tuple[Scalar, ...] | None,
    *,
    dialect: str,
    has_nan: bool = False,
) -> ColumnElement[bool]:
    """Whether a value that is there compares so; NULL is NaN where `has_nan`, and unequal to every number."""
    if isinstance(value, tuple):
        listed = among(column, value, dialect)
        return ~listed if op is Op.NOT_IN else listed
    assert value is not None, "IS NULL is about a field, not a value"  # noqa: S101 - for the type checker
    if op in (Op.LIKE, Op.ILIKE):
        return _like(column, str(value), folded=op is Op.ILIKE, dialect=dialect)
    other = bound(value)
    match op:
        case Op.EQ:
            return column == other
        case Op.NE:
            return or_(column != other, column.is_(None)) if has_nan else column != other
        case Op.LT:
            return column < other
        case Op.LE:
            return column <= other
        case Op.GT:
            return column > other
        case _:
            return column >= other


def among(column: SQLColumnExpression[Any], values: Sequence[Scalar], dialect: str) -> ColumnElement[bool]:
    """Whether a value is one of these; of many, each type is one parameter: a statement has some 30,000 at most."""
    if len(values) <= FEW:
        return column.in_([bound(value) for value in values])
    texts = [value for value in values if isinstance(value, str)]
    integers = [value for value in values if isinstance(value, int)]
    doubles = [value for value in values if isinstance(value, float)]
    if dialect != "sqlite":
        typed: tuple[tuple[Sequence[Scalar], Any], ...] = ((texts, KEY), (integers, BigInteger()), (doubles, Double()))
        return or_(*(column == any_(literal(listed, ARRAY(kind))) for listed, kind in typed if listed))
    # SQLite's JSON would cut a double to 15 digits.
    listed = func.json_each(literal(json.dumps(texts + integers), Text())).table_valued("value")
    found = column.in_(select(listed.c.value))
    return or_(found, column.in_([bound(value) for value in doubles])) if doubles else found


def _like(column: SQLColumnExpression[Any], pattern: str, *, folded: bool, dialect: str) -> ColumnElement[bool]:
    if len(pattern) > MAX_PATTERN:
        raise InvalidFilterError(f"A pattern may have {MAX_PATTERN} characters; this one has {len(pattern)}.")
    if folded:
        # Both databases fold ASCII only: SQLite always, PostgreSQL under the collation C.
        column, pattern = func.lower(by_code_point(column, dialect)), pattern.translate(_FOLDED)
    if dialect == "sqlite":
        # Its LIKE ignores case; GLOB does not, and quotes its wildcards in brackets.
        return column.op("GLOB", is_comparison=True)(literal(pattern.translate(_GLOB), KEY))
    return column.like(literal(pattern.replace("\\", "\\\\"), KEY), escape="\\")


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
