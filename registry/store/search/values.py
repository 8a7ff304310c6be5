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
# Up to this many values have one parameter each, which gives the planner the best estimates.
FEW: Final = 1_000

_FOLDED: Final = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_GLOB: Final = str.maketrans({"%": "*", "_": "?", "*": "[*]", "?": "[?]", "[": "[[]"})


def bind_value(value: Scalar) -> SQLColumnExpression[Any]:
    """Bind a value as a parameter of its own type."""
    if isinstance(value, str):
        return literal(value, KEY)
    return literal(value, Double() if isinstance(value, float) else BigInteger())


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


def among(column: SQLColumnExpression[Any], values: Sequence[Scalar], dialect: str) -> ColumnElement[bool]:
    """Test whether a column has one of some values; many are one parameter per type, as statements have a limit."""
    if len(values) <= FEW:
        return column.in_([bind_value(value) for value in values])
    texts = [value for value in values if isinstance(value, str)]
    integers = [value for value in values if isinstance(value, int)]
    doubles = [value for value in values if isinstance(value, float)]
    if dialect != "sqlite":
        typed: tuple[tuple[Sequence[Scalar], Any], ...] = ((texts, KEY), (integers, BigInteger()), (doubles, Double()))
        return or_(*(column == any_(literal(listed, ARRAY(kind))) for listed, kind in typed if listed))
    # Doubles stay parameters: SQLite's JSON keeps only 15 digits.
    values_table = func.json_each(literal(json.dumps(texts + integers), Text())).table_valued("value")
    is_listed = column.in_(select(values_table.c.value))
    return or_(is_listed, column.in_([bind_value(value) for value in doubles])) if doubles else is_listed


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
