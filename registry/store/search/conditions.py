"""Compile a parsed filter to one SQL condition.

Values in other tables are tested by EXISTS, row by row of the subject and by index, so the cost of a page grows with
the page and planning is cheap. Guarantees: a condition is true or false, never NULL, so NOT includes rows without the
field.
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
