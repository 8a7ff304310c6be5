"""Params and tags of a run, written in one statement that finds the run by its public id.

Leaves it to the caller to say why nothing was written. Invariant: rows are written in the order of their keys, so that
transactions that overlap lock them in one order.
"""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection

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


def insert_params(connection: Connection, run_id: str, params: Mapping[str, str]) -> set[str]:
    """Write params of an active run that it does not have yet; the keys that were written."""
    results = executions(connection, _COLUMNS, _KINDS, _PARAMS, list(params.items()), run_id)
    return {key for result in results for (key,) in result}


def set_tags(connection: Connection, run_id: str, tags: Mapping[str, str]) -> bool:
    """Set tags of an active run; False, and nothing is written, if there is no active run of that id."""
    results = executions(connection, _COLUMNS, _KINDS, _TAGS, list(tags.items()), run_id)
    return sum(len(result.all()) for result in results) == len(tags)  # SQLite's driver counts no rows after WITH
