"""Compare a field's value with a filter's value, the same on both databases."""

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
    any_,
    collate,
    func,
    literal,
    or_,
    select,
)

from registry.exceptions import InvalidFilterError
from registry.filters import Op, Scalar
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
