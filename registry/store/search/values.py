"""Compare a field's value with a filter's value, the same on both databases."""

import string
from typing import Any, Final

from sqlalchemy import ColumnElement, SQLColumnExpression, collate, func, literal, or_

from registry.exceptions import InvalidFilterError
from registry.filters import Op, Scalar
from registry.store.long_lists import among, bind_value
from registry.store.tables import KEY

# SQLite refuses patterns of more than 50,000 bytes; a character takes at most four, escaped or not.
MAX_PATTERN: Final = 10_000

_FOLDED: Final = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_GLOB: Final = str.maketrans({"%": "*", "_": "?", "*": "[*]", "?": "[?]", "[": "[[]"})


def by_code_point(column: SQLColumnExpression[Any], dialect: str) -> SQLColumnExpression[Any]:
    """Make a text column compare and fold by code point, whatever its collation; SQLite does so already."""
    return column if dialect == "sqlite" else collate(column, "C")


def compare(
    column: SQLColumnExpression[Any],
    op: Op,
    value: Scalar | tuple[Scalar, ...] | None,
    *,
    dialect: str,
    has_nan: bool = False,
) -> ColumnElement[bool]:
    """Compare a column that has a value. If `has_nan`, NULL means NaN, which is unequal to every number."""
    if isinstance(value, tuple):
        is_listed = among(column, value, dialect)
        return ~is_listed if op is Op.NOT_IN else is_listed
    assert value is not None, "IS NULL is about a field, not a value"  # noqa: S101 - for the type checker
    if op in (Op.LIKE, Op.ILIKE):
        return _like(column, str(value), ignore_case=op is Op.ILIKE, dialect=dialect)
    other = bind_value(value)
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


def _like(column: SQLColumnExpression[Any], pattern: str, *, ignore_case: bool, dialect: str) -> ColumnElement[bool]:
    if len(pattern) > MAX_PATTERN:
        raise InvalidFilterError(f"A pattern may have at most {MAX_PATTERN} characters; this one has {len(pattern)}.")
    if ignore_case:
        # Both databases fold ASCII only: SQLite always, PostgreSQL under the collation C.
        column, pattern = func.lower(by_code_point(column, dialect)), pattern.translate(_FOLDED)
    if dialect == "sqlite":
        # SQLite's LIKE ignores case. GLOB respects it, and quotes wildcards in brackets.
        return column.op("GLOB", is_comparison=True)(literal(pattern.translate(_GLOB), KEY))
    return column.like(literal(pattern.replace("\\", "\\\\"), KEY), escape="\\")
