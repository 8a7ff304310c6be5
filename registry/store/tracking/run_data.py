"""Params, latest metrics and tags of runs: written in one round trip, read for many runs in one statement.

A statement has one parameter for all run keys. So it is the same for one run and for a thousand, and is built and
compiled once per dialect.
"""

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Double,
    Text,
    bindparam,
    cast,
    literal_column,
    null,
    select,
    union_all,
)

from registry.entities import RunData
from registry.store.compiled_statements import Compiled
from registry.store.dialects import table
from registry.store.driver_sql import Statement, check, send
from registry.store.long_lists import among_selected, in_keys
from registry.store.rows_as_cte import execute_with_rows, statement_with_rows
from registry.store.tables import LatestMetricRow, ParamRow, RunRow, TagRow
from registry.store.tracking.metrics.read import value_from_db

_METRIC: Final = 0
_PARAM: Final = 1
_TAG: Final = 2


PARENT_TAG: Final = "mlflow.parentRunId"
# Which runs a query is about: those of the parameter ``keys`` (surrogate keys) or ``ids``, the run ``given_id``, or its
# parent. With ids, statements about a run need not wait for its key.
Which: TypeAlias = Literal["keys", "ids", "id", "parent"]


def of_runs(dialect: str, column: ColumnElement[Any], which: Which) -> ColumnElement[bool]:
    """Test whether a column has the key of one of the runs that a query is about."""
    if which == "keys":
        return in_keys(dialect, column)
    run = table(RunRow).alias().c
    given = select(run.id)
    if which == "ids":
        return among_selected(dialect, column, given.where(in_keys(dialect, run.run_id, "ids", Text())))
    is_given: ColumnElement[bool] = run.run_id == bindparam("given_id")
    if which == "parent":
        child, tag = table(RunRow).alias().c, table(TagRow).alias().c
        parent_id = select(tag.value).where(tag.run_id == child.id, tag.key == PARENT_TAG)
        parent_id = parent_id.where(child.run_id == bindparam("given_id"))
        is_given = run.run_id == parent_id.scalar_subquery()
    return column == given.where(is_given).scalar_subquery()


def group_run_data(rows: Iterable[Any], run_keys: Sequence[int]) -> dict[int, RunData]:
    """Return metrics, params and tags of runs, each sorted by key."""
    metrics: dict[int, dict[str, float]] = {key: {} for key in run_keys}
    params: dict[int, dict[str, str]] = {key: {} for key in run_keys}
    tags: dict[int, dict[str, str]] = {key: {} for key in run_keys}
    for kind, run_key, key, text, number in rows:
        if kind == _METRIC:
            metrics[run_key][key] = value_from_db(number)
        else:
            (params if kind == _PARAM else tags)[run_key][key] = text
    return {
        key: RunData(_sort_by_key(metrics[key]), _sort_by_key(params[key]), _sort_by_key(tags[key])) for key in run_keys
    }


@functools.cache
def run_data_query(dialect: str, which: Which = "keys") -> Compiled:
    """Return the query whose rows `group_run_data` takes, for the runs of `of_runs`."""
    metrics, params, tags = table(LatestMetricRow).c, table(ParamRow).c, table(TagRow).c
    no_text, no_number = cast(null(), Text), cast(null(), Double)

    def rows_of(kind: int, run_key: Any, *columns: Any) -> Any:
        return select(_literal(kind), run_key, *columns).where(of_runs(dialect, run_key, which))

    return Compiled(
        union_all(
            rows_of(_METRIC, metrics.run_id, metrics.key, no_text, metrics.value),
            rows_of(_PARAM, params.run_id, params.key, params.value, no_number),
            rows_of(_TAG, tags.run_id, tags.key, tags.value, no_number),
        )
    )


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

# On PostgreSQL, statements that fail unless they have written everything; COMMIT may travel with them.
_LOG_PARAMS: Final = f"""
    WITH {{given}}, inserted AS (
        INSERT INTO params (run_id, key, value) {_SELECT_INPUT} ON CONFLICT DO NOTHING RETURNING 1
    ), same AS (
        SELECT 1 FROM given, runs JOIN params ON params.run_id = runs.id
        WHERE runs.run_id = %s AND runs.lifecycle_stage = 'active'
            AND params.key = given.key COLLATE "C" AND params.value = given.value COLLATE "C"
    )
    SELECT {check("(SELECT count(*) FROM inserted) + (SELECT count(*) FROM same) = %s")}
"""  # noqa: S608 - made of the constants above
_LOG_TAGS: Final = f"""
    WITH {{given}}, written AS (
        INSERT INTO tags (run_id, key, value) {_SELECT_INPUT}
        ON CONFLICT (run_id, key) DO UPDATE SET value = excluded.value RETURNING 1
    )
    SELECT {check("count(*) = %s")} FROM written
"""  # noqa: S608 - made of the constants above

_DELETE_TAG: Final = f"""
    WITH deleted AS (
        DELETE FROM tags USING runs
        WHERE tags.run_id = runs.id AND tags.key = %s AND runs.run_id = %s AND runs.lifecycle_stage = 'active'
        RETURNING 1
    )
    SELECT {check("count(*) > 0")} FROM deleted
"""  # noqa: S608 - made of the constants above

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


class NewRun(NamedTuple):
    """A run to insert, with all of its tags; `experiment` is the experiment's key."""

    run_id: str
    experiment: int
    name: str
    user_id: str
    start_time: int
    tags: Mapping[str, str]


def insert_run(connection: Connection, new: NewRun) -> Statement:
    """Insert a run with its tags; the answer has its experiment's artifact location, or no row if none is active."""
    values = (new.run_id, new.name, new.user_id, new.start_time, new.experiment)
    if connection.dialect.name == "sqlite":
        inserted = send(connection, Statement(_INSERT_RUN_SQLITE, values))
        if inserted.rows:
            set_tags(connection, new.run_id, new.tags)
        return inserted
    return send(connection, Statement(_INSERT_RUN_POSTGRES, (*values, list(new.tags), list(new.tags.values()))))


def log_params(params: Mapping[str, str], run_id: str) -> Statement:
    """Return PostgreSQL's statement that inserts params; it fails if one has another value, or on no active run."""
    rows = list(params.items())
    return statement_with_rows(_INPUT_COLUMNS, _INPUT_TYPES, _LOG_PARAMS, rows, run_id, run_id, len(rows))


def log_tags(tags: Mapping[str, str], run_id: str) -> Statement:
    """Return PostgreSQL's statement that sets tags; it fails if there is no such active run."""
    rows = list(tags.items())
    return statement_with_rows(_INPUT_COLUMNS, _INPUT_TYPES, _LOG_TAGS, rows, run_id, len(rows))


def delete_tag(name: str, run_id: str) -> Statement:
    """Return PostgreSQL's statement that deletes a tag; it fails if there is none, or no such active run."""
    return Statement(_DELETE_TAG, (name, run_id))


def insert_params(connection: Connection, run_id: str, params: Mapping[str, str]) -> set[str]:
    """Insert the params that an active run does not have yet; return the inserted keys."""
    results = execute_with_rows(connection, _INPUT_COLUMNS, _INPUT_TYPES, _INSERT_PARAMS, list(params.items()), run_id)
    return {key for result in results for (key,) in result.rows}


def set_tags(connection: Connection, run_id: str, tags: Mapping[str, str]) -> bool:
    """Set tags of an active run; return False and write nothing if there is no such run."""
    results = execute_with_rows(connection, _INPUT_COLUMNS, _INPUT_TYPES, _UPSERT_TAGS, list(tags.items()), run_id)
    return sum(len(result.rows) for result in results) == len(tags)  # SQLite's driver counts no rows after WITH
