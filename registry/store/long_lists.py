"""Test whether a column has one of many values: any number of them in one statement, on both databases."""

import json
from collections.abc import Collection, Sequence
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Double,
    Select,
    SQLColumnExpression,
    Text,
    any_,
    bindparam,
    func,
    literal,
    or_,
    select,
)
from sqlalchemy.types import TypeEngine

from registry.filters import Scalar
from registry.store.tables import KEY

# Up to this many values have one parameter each, which gives the planner the best estimates.
FEW: Final = 1_000
_INTEGER: Final = BigInteger()


def bind_value(value: Scalar) -> SQLColumnExpression[Any]:
    """Bind a value as a parameter of its own type."""
    if isinstance(value, str):
        return literal(value, KEY)
    return literal(value, Double() if isinstance(value, float) else BigInteger())


def among(column: SQLColumnExpression[Any], values: Collection[Scalar], dialect: str) -> ColumnElement[bool]:
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
    listed = func.json_each(literal(json.dumps(texts + integers), Text())).table_valued("value")
    found = column.in_(select(listed.c.value))
    return or_(found, column.in_([bind_value(value) for value in doubles])) if doubles else found


def in_keys(
    dialect: str, column: ColumnElement[Any], name: str = "keys", kind: TypeEngine[Any] = _INTEGER
) -> ColumnElement[bool]:
    """Test whether a column has one of the values of the parameter that `keys_parameter` makes."""
    if dialect == "sqlite":
        listed = func.json_each(bindparam(name, type_=Text())).table_valued("value")
        return column.in_(select(listed.c.value))
    return column == any_(bindparam(name, type_=ARRAY(kind)))


def among_selected(
    dialect: str, column: SQLColumnExpression[Any], query: Select[Any], kind: TypeEngine[Any] = _INTEGER
) -> ColumnElement[bool]:
    """Test whether a column has one of the values that a query selects, which does not depend on the column's row.

    On PostgreSQL they are an array, which is read before the rest: a join might be planned as a scan of a huge table.
    """
    if dialect == "sqlite":
        return column.in_(query)
    return column == any_(func.array(query.correlate(None).scalar_subquery(), type_=ARRAY(kind)))


def keys_parameter(dialect: str, keys: Sequence[int] | Sequence[str], name: str = "keys") -> dict[str, Any]:
    """Return the parameter for a statement with `in_keys`."""
    return {name: json.dumps(list(keys)) if dialect == "sqlite" else list(keys)}
