"""Read names for completion by the bare drivers, since SQLAlchemy takes too long to import.

Guarantees: nothing is made or changed; an SQLite file that does not exist is not created.
"""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

Kind = Literal["models", "experiments", "versions", "aliases"]

_LIMIT: Final = 500
_CONNECT_SECONDS: Final = 1
_STATEMENT_MS: Final = 1000
# Each takes one parameter; `{p}` is the driver's placeholder.
_QUERIES: Final[dict[Kind, str]] = {
    "models": "SELECT name FROM registered_models WHERE deleted_time IS NULL AND name >= {p} ORDER BY name",
    "experiments": "SELECT name FROM experiments WHERE lifecycle_stage = 'active' AND name >= {p} ORDER BY name",
    "versions": "SELECT v.version FROM model_versions v JOIN registered_models m ON m.id = v.model_id "
    "WHERE m.name = {p} AND m.deleted_time IS NULL AND v.deleted_time IS NULL ORDER BY v.version DESC",
    "aliases": "SELECT a.alias FROM model_aliases a JOIN registered_models m ON m.id = a.model_id "
    "WHERE m.name = {p} AND m.deleted_time IS NULL ORDER BY a.alias",
}


def read_names(database_url: str, kind: Kind, argument: str) -> Sequence[str]:
    """Return at most 500 names: models or experiments from `argument` on in order, or versions or aliases of a model.

    Any exception of the driver leaves this function: its only caller stays silent whatever happens.
    """
    query = f"{_QUERIES[kind]} LIMIT {_LIMIT}"
    if database_url.startswith("sqlite"):
        return _read_sqlite(database_url.partition(":///")[2].partition("?")[0], query.format(p="?"), argument)
    return _read_postgres(database_url, query.format(p="%s"), argument)


def _read_sqlite(path: str, query: str, argument: str) -> Sequence[str]:
    import sqlite3

    with contextlib.closing(sqlite3.connect(f"{Path(path).as_uri()}?mode=ro", uri=True, timeout=0.1)) as connection:
        return [str(name) for (name,) in connection.execute(query, [argument])]


def _read_postgres(url: str, query: str, argument: str) -> Sequence[str]:
    import psycopg

    plain = f"postgresql{url[url.index(':') :]}"
    options = f"-c statement_timeout={_STATEMENT_MS} -c default_transaction_read_only=on"
    with psycopg.connect(plain, connect_timeout=_CONNECT_SECONDS, options=options, autocommit=True) as connection:
        return [str(name) for (name,) in connection.execute(query, [argument], prepare=False).fetchall()]
