"""Registered models without training: sealed directories of one small file, many versions, raw SQL."""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import registry
from registry.store.registry import NewVersion

RawSql = Callable[..., list[tuple[Any, ...]]]


def sealed_model(client: registry.MlflowClient, content: str = "content", **options: Any) -> str:
    """Create a READY logged model with one file, and return its id."""
    model = client.create_logged_model("0", **options)
    source = Path(f"source-{model.model_id}")
    source.mkdir()
    (source / "data.txt").write_text(content)
    client.log_model_artifacts(model.model_id, source)
    client.finalize_logged_model(model.model_id, "READY")
    return model.model_id


def register(
    client: registry.MlflowClient, name: str, count: int = 1, *, model_id: str | None = None, run_id: str | None = None
) -> list[int]:
    """Register new versions of a model, created if missing; return their numbers."""
    sealed = model_id or sealed_model(client)
    new = NewVersion(source=f"models:/{sealed}", model_id=sealed, run_id=run_id)
    return [client.backend.versions.create(name, new, create_model=True).version for _ in range(count)]


def stages(client: registry.MlflowClient, name: str) -> dict[int, str]:
    """Return the stage of each version that is not deleted, read from the tables."""
    report = client.get_registered_model(name)
    rows = raw_sql(client.tracking_uri)(
        "SELECT version, current_stage FROM model_versions JOIN registered_models ON model_id = registered_models.id "
        f"WHERE uid = '{report.model_uid}' AND model_versions.deleted_time IS NULL ORDER BY version"
    )
    return dict(rows)


def kinds(client: registry.MlflowClient, name: str) -> list[str]:
    """Return the kinds of a model's events, in order."""
    return [str(event.kind) for event in client.get_history(name)]


def raw_sql(url: str) -> RawSql:
    """Return a function that runs one statement past the library and returns its rows."""

    def run(statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with raw_connection(url) as connection:
            cursor = connection.execute(
                statement if url.startswith("sqlite") else statement.replace("?", "%s"), parameters
            )
            return cursor.fetchall() if cursor.description else []

    return run


@contextlib.contextmanager
def raw_connection(url: str) -> Iterator[Any]:
    """Open a driver connection, committed at the end."""
    if url.startswith("sqlite"):
        connection: Any = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None, timeout=30)
        try:
            yield connection
        finally:
            connection.close()
        return
    import psycopg

    with psycopg.connect(url.replace("postgresql+psycopg", "postgresql"), autocommit=True) as connection:
        yield connection


def drop_guards(url: str) -> None:
    """Drop every trigger, as the owner of the database can."""
    run = raw_sql(url)
    if url.startswith("sqlite"):
        for (name,) in run("SELECT name FROM sqlite_master WHERE type = 'trigger'"):
            run(f"DROP TRIGGER {name}")
        return
    query = "SELECT tgname, tgrelid::regclass::text FROM pg_trigger WHERE NOT tgisinternal"
    for name, table in run(query):
        run(f"DROP TRIGGER {name} ON {table}")
