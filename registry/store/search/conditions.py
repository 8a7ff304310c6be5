"""Compile a parsed filter to one SQL condition.

Values in other tables are tested by EXISTS, row by row of the subject and by index, so the cost of a page grows with
the page and planning is cheap. Guarantees: a condition is true or false, never NULL, so NOT includes rows without the
field.
"""

import string
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Double,
    SQLColumnExpression,
    and_,
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
        is_listed = column.in_([bind_value(item) for item in value])
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


def compile_condition(node: Node, fields: FieldMap, dialect: str) -> ColumnElement[bool]:
    """Compile a filter to a condition on the rows of its subject."""
    match node:
        case And():
            return and_(*(compile_condition(item, fields, dialect) for item in node.items))
        case Or():
            return or_(*(compile_condition(item, fields, dialect) for item in node.items))
        case Not():
            return not_(compile_condition(node.item, fields, dialect))
        case Comparison():
            return _comparison(node, fields, dialect)


def exists_row(rows: RelatedRows, *conditions: ColumnElement[bool], dialect: str) -> ColumnElement[bool]:
    """Test whether a field has a value that meets the conditions."""
    query: AnySelect = select(literal_column("1")).where(*rows.where, *conditions)
    if rows.by_owner and dialect != "sqlite":
        # OFFSET 0 keeps PostgreSQL from turning EXISTS into a join: comparing join orders would take longer than the
        # query itself.
        query = query.offset(literal_column("0"))
    return exists(query)


def _comparison(node: Comparison, fields: FieldMap, dialect: str) -> ColumnElement[bool]:
    source = fields.locate(node.field)
    if node.op in (Op.IS_NULL, Op.IS_NOT_NULL):
        has_value = source.value.is_not(None) if isinstance(source, Column) else exists_row(source, dialect=dialect)
        return has_value if node.op is Op.IS_NOT_NULL else not_(has_value)
    if isinstance(source, RelatedRows):
        matches = compare(source.value, node.op, node.value, dialect=dialect, has_nan=source.has_nan)
        return exists_row(source, matches, dialect=dialect)
    matches = compare(source.value, node.op, node.value, dialect=dialect)
    return and_(source.value.is_not(None), matches) if source.nullable else matches
