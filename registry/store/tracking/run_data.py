"""Params, latest metrics and tags of runs: written in one round trip, read for many runs in one statement.

A statement has one parameter for all run keys. So it is the same for one run and for a thousand, and is built and
compiled once per dialect.
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
from registry.store.compiled_statements import Compiled
from registry.store.dialects import table
from registry.store.driver_sql import run
from registry.store.rows_as_cte import execute_with_rows
from registry.store.tables import DatasetInputRow, LatestMetricRow, ParamRow, RunModelRow, TagRow
from registry.store.tracking.metrics.read import value_from_db

_INTEGER: Final = BigInteger()
_METRIC: Final = 0
_PARAM: Final = 1
_TAG: Final = 2
_RUN_WITH_USES: Final = 3


def in_keys(
    dialect: str, column: ColumnElement[Any], name: str = "keys", kind: TypeEngine[Any] = _INTEGER
) -> ColumnElement[bool]:
    """Test whether a column has one of the values of the parameter that `keys_parameter` makes."""
    if dialect == "sqlite":
        listed = func.json_each(bindparam(name, type_=Text())).table_valued("value")
        return column.in_(select(listed.c.value))
    return column == any_(bindparam(name, type_=ARRAY(kind)))


def keys_parameter(dialect: str, keys: Sequence[int] | Sequence[str], name: str = "keys") -> dict[str, Any]:
    """Return the parameter for a statement with `in_keys`."""
    return {name: json.dumps(list(keys)) if dialect == "sqlite" else list(keys)}


def read_run_data(connection: Connection, run_keys: Sequence[int]) -> tuple[dict[int, RunData], list[int]]:
    """Read metrics, params and tags of runs, each sorted by key; also return the runs with inputs or outputs."""
    dialect = connection.dialect.name
    metrics: dict[int, dict[str, float]] = {key: {} for key in run_keys}
    params: dict[int, dict[str, str]] = {key: {} for key in run_keys}
    tags: dict[int, dict[str, str]] = {key: {} for key in run_keys}
    runs_with_uses: dict[int, None] = {}
    for kind, run_key, key, text, number in _run_data_query(dialect).tuples(
        connection, keys_parameter(dialect, run_keys)
    ):
        if kind == _METRIC:
            metrics[run_key][key] = value_from_db(number)
        elif kind == _RUN_WITH_USES:
            runs_with_uses[run_key] = None
        else:
            (params if kind == _PARAM else tags)[run_key][key] = text
    data = {
        key: RunData(_sort_by_key(metrics[key]), _sort_by_key(params[key]), _sort_by_key(tags[key])) for key in run_keys
    }
    return data, list(runs_with_uses)


@functools.cache
def _run_data_query(dialect: str) -> Compiled:
    metrics, params, tags = table(LatestMetricRow).c, table(ParamRow).c, table(TagRow).c
    no_text, no_number = cast(null(), Text), cast(null(), Double)
    uses = [table(row).c.run_id for row in (DatasetInputRow, RunModelRow)]
    query = union_all(
        select(_literal(_METRIC), metrics.run_id, metrics.key, no_text, metrics.value).where(
            in_keys(dialect, metrics.run_id)
        ),
        select(_literal(_PARAM), params.run_id, params.key, params.value, no_number).where(
            in_keys(dialect, params.run_id)
        ),
        select(_literal(_TAG), tags.run_id, tags.key, tags.value, no_number).where(in_keys(dialect, tags.run_id)),
        *(
            select(_literal(_RUN_WITH_USES), used, no_text, no_text, no_number).where(in_keys(dialect, used))
            for used in uses
        ),
    )
    return Compiled(query)


def _literal(kind: int) -> ColumnElement[int]:
    return literal_column(str(kind), BigInteger)


def _sort_by_key(pairs: dict[str, Any]) -> dict[str, Any]:
    return dict(sorted(pairs.items()))


_INPUT_COLUMNS: Final = "key value"
_INPUT_TYPES: Final = "text text"
_SELECT_INPUT: Final = """
    SELECT runs.id, given.key, given.value
    FROM runs, given WHERE runs.run_id = %s AND runs.lifecycle_stage = 'active' ORDER BY given.key
"""
_INSERT_PARAMS: Final = f"""
    WITH {{given}} INSERT INTO params (run_id, key, value) {_SELECT_INPUT}
    ON CONFLICT DO NOTHING RETURNING key
"""
_UPSERT_TAGS: Final = f"""
    WITH {{given}} INSERT INTO tags (run_id, key, value) {_SELECT_INPUT}
    ON CONFLICT (run_id, key) DO UPDATE SET value = excluded.value RETURNING key
"""

_RUN_COLUMNS: Final = "run_id, name, user_id, start_time, experiment_id, status, lifecycle_stage"
_INSERT_RUN: Final = f"""
    INSERT INTO runs ({_RUN_COLUMNS})
    SELECT %s, %s, %s, CAST(%s AS bigint), experiments.id, 'RUNNING', 'active'
    FROM experiments WHERE experiments.id = %s AND experiments.lifecycle_stage = 'active'
"""  # noqa: S608 - made of the constants above
_SELECT_LOCATION: Final = "SELECT artifact_location FROM experiments WHERE experiments.id = {run}.experiment_id"
_INSERT_RUN_SQLITE: Final = f"{_INSERT_RUN} RETURNING ({_SELECT_LOCATION.format(run='runs')})".replace("%s", "?")
_INSERT_RUN_POSTGRES: Final = f"""
    WITH run AS ({_INSERT_RUN} RETURNING id, experiment_id), tagged AS (
        INSERT INTO tags (run_id, key, value)
        SELECT run.id, given.key, given.value
        FROM run, unnest(CAST(%s AS text[]), CAST(%s AS text[])) AS given(key, value)
    )
    SELECT ({_SELECT_LOCATION.format(run="run")}) FROM run
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
    """Insert a run with its tags; return its experiment's artifact location, or None without an active experiment."""
    values = (run_id, name, user_id, start_time, experiment)
    if connection.dialect.name == "sqlite":
        locations = run(connection, _INSERT_RUN_SQLITE, values).rows
        if locations:
            set_tags(connection, run_id, tags)
    else:
        pairs = (list(tags), list(tags.values()))
        locations = run(connection, _INSERT_RUN_POSTGRES, (*values, *pairs)).rows
    return locations[0][0] if locations else None


def insert_params(connection: Connection, run_id: str, params: Mapping[str, str]) -> set[str]:
    """Insert the params that an active run does not have yet; return the inserted keys."""
    results = execute_with_rows(connection, _INPUT_COLUMNS, _INPUT_TYPES, _INSERT_PARAMS, list(params.items()), run_id)
    return {key for result in results for (key,) in result.rows}


def set_tags(connection: Connection, run_id: str, tags: Mapping[str, str]) -> bool:
    """Set tags of an active run; return False and write nothing if there is no such run."""
    results = execute_with_rows(connection, _INPUT_COLUMNS, _INPUT_TYPES, _UPSERT_TAGS, list(tags.items()), run_id)
    return sum(len(result.rows) for result in results) == len(tags)  # SQLite's driver counts no rows after WITH
