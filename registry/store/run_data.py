"""What was logged to runs, for many runs in one statement.

Invariant: a statement has one parameter for all keys, so it is the same for one run and for a thousand, is built once
per dialect and compiled once.
"""

import functools
import json
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Connection,
    Double,
    Text,
    any_,
    bindparam,
    cast,
    func,
    literal_column,
    null,
    select,
    union_all,
)
from sqlalchemy.types import TypeEngine

from registry.entities import RunData
from registry.store.driver import Compiled
from registry.store.metrics import loaded
from registry.store.statements import table
from registry.store.tables import DatasetInputRow, LatestMetricRow, ParamRow, RunModelRow, TagRow

_INTEGER: Final = BigInteger()
_METRIC: Final = 0
_PARAM: Final = 1
_TAG: Final = 2
_USE: Final = 3


def among_keys(
    dialect: str, column: ColumnElement[Any], name: str = "keys", kind: TypeEngine[Any] = _INTEGER
) -> ColumnElement[bool]:
    """Whether a column is one of the values that `keys_parameter` makes the parameter of; integers unless said."""
    if dialect == "sqlite":
        listed = func.json_each(bindparam(name, type_=Text())).table_valued("value")
        return column.in_(select(listed.c.value))
    return column == any_(bindparam(name, type_=ARRAY(kind)))


def keys_parameter(dialect: str, keys: Sequence[int] | Sequence[str], name: str = "keys") -> dict[str, Any]:
    """The parameter of a statement with `among_keys`."""
    return {name: json.dumps(list(keys)) if dialect == "sqlite" else list(keys)}


def read_run_data(connection: Connection, run_keys: Sequence[int]) -> tuple[dict[int, RunData], list[int]]:
    """What was logged to these runs, each kind sorted by key, and the runs that have inputs or outputs."""
    dialect = connection.dialect.name
    metrics: dict[int, dict[str, float]] = {key: {} for key in run_keys}
    params: dict[int, dict[str, str]] = {key: {} for key in run_keys}
    tags: dict[int, dict[str, str]] = {key: {} for key in run_keys}
    users: dict[int, None] = {}
    for kind, run_key, key, text, number in _run_data(dialect).tuples(connection, keys_parameter(dialect, run_keys)):
        if kind == _METRIC:
            metrics[run_key][key] = loaded(number)
        elif kind == _USE:
            users[run_key] = None
        else:
            (params if kind == _PARAM else tags)[run_key][key] = text
    data = {key: RunData(_sorted(metrics[key]), _sorted(params[key]), _sorted(tags[key])) for key in run_keys}
    return data, list(users)


@functools.cache
def _run_data(dialect: str) -> Compiled:
    metrics, params, tags = table(LatestMetricRow).c, table(ParamRow).c, table(TagRow).c
    no_text, no_number = cast(null(), Text), cast(null(), Double)
    uses = [table(row).c.run_id for row in (DatasetInputRow, RunModelRow)]
    every = union_all(
        select(_literal(_METRIC), metrics.run_id, metrics.key, no_text, metrics.value).where(
            among_keys(dialect, metrics.run_id)
        ),
        select(_literal(_PARAM), params.run_id, params.key, params.value, no_number).where(
            among_keys(dialect, params.run_id)
        ),
        select(_literal(_TAG), tags.run_id, tags.key, tags.value, no_number).where(among_keys(dialect, tags.run_id)),
        *(select(_literal(_USE), used, no_text, no_text, no_number).where(among_keys(dialect, used)) for used in uses),
    )
    return Compiled(every)


def _literal(kind: int) -> ColumnElement[int]:
    return literal_column(str(kind), BigInteger)


def _sorted(pairs: dict[str, Any]) -> dict[str, Any]:
    return dict(sorted(pairs.items()))
