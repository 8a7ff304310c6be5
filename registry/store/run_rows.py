"""A run with its params and tags: each written in one statement that finds what it belongs to by its public id.

Leaves it to the caller to say why nothing was written. Invariant: rows are written in the order of their keys, so that
transactions that overlap lock them in one order.
"""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection

from registry.store.driver import run
from registry.store.given import executions

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
        _, found = run(connection, _SQLITE_RUN, values)
        if found:
            set_tags(connection, run_id, tags)
    else:
        pairs = (list(tags), list(tags.values()))
        _, found = run(connection, _POSTGRES_RUN, (*values, *pairs))
    return found[0][0] if found else None


def insert_params(connection: Connection, run_id: str, params: Mapping[str, str]) -> set[str]:
    """Write params of an active run that it does not have yet; the keys that were written."""
    results = executions(connection, _COLUMNS, _KINDS, _PARAMS, list(params.items()), run_id)
    return {key for _, rows in results for (key,) in rows}


def set_tags(connection: Connection, run_id: str, tags: Mapping[str, str]) -> bool:
    """Set tags of an active run; False, and nothing is written, if there is no active run of that id."""
    results = executions(connection, _COLUMNS, _KINDS, _TAGS, list(tags.items()), run_id)
    return sum(len(rows) for _, rows in results) == len(tags)  # SQLite's driver counts no rows after WITH
