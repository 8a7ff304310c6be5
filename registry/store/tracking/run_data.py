"""What was logged to runs, for many runs in one statement.

Invariant: a statement has one parameter for all keys, so it is the same for one run and for a thousand, is built once
per dialect and compiled once.
"""

import functools
import json
from collections.abc import Mapping, Sequence
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
from registry.store.compiled import Compiled
from registry.store.cursors import run
from registry.store.dialects import table
from registry.store.input_rows import execute_with_rows
from registry.store.tables import DatasetInputRow, LatestMetricRow, ParamRow, RunModelRow, TagRow
from registry.store.tracking.metrics.read import value_from_db

_INTEGER: Final = BigInteger()
_METRIC: Final = 0
_PARAM: Final = 1
_TAG: Final = 2
_USE: Final = 3


def in_keys(
    dialect: str, column: ColumnElement[Any], name: str = "keys", kind: TypeEngine[Any] = _INTEGER
) -> ColumnElement[bool]:
    """Whether a column is one of the values that `keys_parameter` makes the parameter of; integers unless said."""
    if dialect == "sqlite":
        listed = func.json_each(bindparam(name, type_=Text())).table_valued("value")
        return column.in_(select(listed.c.value))
    return column == any_(bindparam(name, type_=ARRAY(kind)))


def keys_parameter(dialect: str, keys: Sequence[int] | Sequence[str], name: str = "keys") -> dict[str, Any]:
    """The parameter of a statement with `in_keys`."""
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
            metrics[run_key][key] = value_from_db(number)
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
            in_keys(dialect, metrics.run_id)
        ),
        select(_literal(_PARAM), params.run_id, params.key, params.value, no_number).where(
            in_keys(dialect, params.run_id)
        ),
        select(_literal(_TAG), tags.run_id, tags.key, tags.value, no_number).where(in_keys(dialect, tags.run_id)),
        *(select(_literal(_USE), used, no_text, no_text, no_number).where(in_keys(dialect, used)) for used in uses),
    )
    return Compiled(every)


def _literal(kind: int) -> ColumnElement[int]:
    return literal_column(str(kind), BigInteger)


def _sorted(pairs: dict[str, Any]) -> dict[str, Any]:
    return dict(sorted(pairs.items()))


_COLUMNS: Final = "key value"
_KINDS: Final = "text text"
_FROM_RUN: Final = """
    SELECT runs.id, given.key, given.value
    FROM runs, given WHERE runs.run_id = %s AND runs.lifecycle_stage = 'active' ORDER BY given.key
"""
_PARAMS: Final = f"""
    WITH {{given}} INSERT INTO params (run_id, key, value) {_FROM_RUN}
    ON CONFLICT DO NOTHING RETURNING key
"""
_TAGS: Final = f"""
    WITH {{given}} INSERT INTO tags (run_id, key, value) {_FROM_RUN}
    ON CONFLICT (run_id, key) DO UPDATE SET value = excluded.value RETURNING key
"""

_RUN_COLUMNS: Final = "run_id, name, user_id, start_time, experiment_id, status, lifecycle_stage"
_INSERT_RUN: Final = f"""
    INSERT INTO runs ({_RUN_COLUMNS})
    SELECT %s, %s, %s, CAST(%s AS bigint), experiments.id, 'RUNNING', 'active'
    FROM experiments WHERE experiments.id = %s AND experiments.lifecycle_stage = 'active'
"""  # noqa: S608 - made of the constants above
_LOCATION: Final = "SELECT artifact_location FROM experiments WHERE experiments.id = {run}.experiment_id"
_SQLITE_RUN: Final = f"{_INSERT_RUN} RETURNING ({_LOCATION.format(run='runs')})".replace("%s", "?")
_POSTGRES_RUN: Final = f"""
    WITH run AS ({_INSERT_RUN} RETURNING id, experiment_id), tagged AS (
        INSERT INTO tags (run_id, key, value)
        SELECT run.id, given.key, given.value
        FROM run, unnest(CAST(%s AS text[]), CAST(%s AS text[])) AS given(key, value)
    )
    SELECT ({_LOCATION.format(run="run")}) FROM run
"""  # noqa: S608 - made of the constants above


def insert_run(
    connection: Connection,
    run_id: str,
    experiment: int,
    *,
    name: str,
    user_id: str,
    start_time: int,
    tags: Mapping[str, str],
) -> str | None:
    """A new run with its tags; the artifact location of its experiment, or None if there is no active one."""
    values = (run_id, name, user_id, start_time, experiment)
    if connection.dialect.name == "sqlite":
        found = run(connection, _SQLITE_RUN, values).rows
        if found:
            set_tags(connection, run_id, tags)
    else:
        pairs = (list(tags), list(tags.values()))
        found = run(connection, _POSTGRES_RUN, (*values, *pairs)).rows
    return found[0][0] if found else None


def insert_params(connection: Connection, run_id: str, params: Mapping[str, str]) -> set[str]:
    """Write params of an active run that it does not have yet; the keys that were written."""
    results = execute_with_rows(connection, _COLUMNS, _KINDS, _PARAMS, list(params.items()), run_id)
    return {key for answer in results for (key,) in answer.rows}


def set_tags(connection: Connection, run_id: str, tags: Mapping[str, str]) -> bool:
    """Set tags of an active run; False, and nothing is written, if there is no active run of that id."""
    results = execute_with_rows(connection, _COLUMNS, _KINDS, _TAGS, list(tags.items()), run_id)
    return sum(len(answer.rows) for answer in results) == len(tags)  # SQLite's driver counts no rows after WITH
