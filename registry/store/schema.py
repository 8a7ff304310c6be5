"""The schema of a database: its revision, upgrades and downgrades. The only importer of alembic.

Guarantees: an empty SQLite file gets the newest revision on first use. Any other database is changed only by `upgrade`
and `downgrade`. A database with tables of another program is never changed.
"""

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import ProgrammingError

from registry.exceptions import ForeignStoreError, InvalidParameterError, SchemaOutdatedError, SchemaTooNewError
from registry.package_name import install_command
from registry.store.driver_sql import run
from registry.store.engine import Database
from registry.store.urls import redacted_url

if TYPE_CHECKING:
    from alembic.config import Config

VERSION_TABLE: Final = "registry_schema_version"
# In the schema where tables would be created; the search path may lead to another one too.
_REVISION_ON_POSTGRES: Final = f"""
    SELECT version_num FROM {VERSION_TABLE}
    WHERE to_regclass(quote_ident(current_schema()) || '.{VERSION_TABLE}') IS NOT NULL
"""  # noqa: S608 - made of a constant
_SQLITE_TABLES: Final = text("SELECT name FROM sqlite_master WHERE type = 'table'")


def migrations_directory() -> Path:
    """Return the directory of the migration scripts: inside an installed package, beside it in a checkout."""
    package = Path(__file__).parent.parent
    inside = package / "migrations"
    return inside if inside.is_dir() else package.parent / "migrations"


@functools.cache
def revisions() -> tuple[str, ...]:
    """Return the revisions that this code knows, oldest first: the numbers that the scripts begin with."""
    scripts = (migrations_directory() / "versions").glob("[0-9][0-9][0-9][0-9]_*.py")
    return tuple(sorted(script.name[:4] for script in scripts))


def current(database: Database) -> str | None:
    """Return the revision of a database, or None if it has no schema of ours."""
    return database.read(_revision)


def ensure(database: Database) -> None:
    """Check that a database has this code's schema; create it in an empty SQLite file.

    Raises:
        SchemaOutdatedError: The schema is older, or an empty database is not an SQLite file.
        SchemaTooNewError: The schema is newer.
        ForeignStoreError: The tables belong to another program.
    """
    revision = (None if database.is_sqlite else database.look_up(_revision_on_postgres)) or current(database)
    known = revisions()
    if revision is None and database.is_sqlite and not database.read_only:
        revision = _create_if_empty(database)
    if revision == known[-1]:
        return
    place = redacted_url(database.url)
    if revision is not None and revision not in known:
        raise SchemaTooNewError(
            f"The database {place} has schema revision {revision}, newer than this package knows ({known[-1]}). "
            f"Upgrade the package: {install_command()} --upgrade."
        )
    if revision is None:
        raise SchemaOutdatedError(
            f"The database {place} has no tables of a registry yet. Create them: "
            f"'registry db upgrade --tracking-uri {place}' (in a checkout: 'alembic upgrade head')."
        )
    raise SchemaOutdatedError(
        f"The database {place} has schema revision {revision}, this package needs {known[-1]}. Run "
        f"'registry db upgrade --tracking-uri {place}' (in a checkout: 'alembic upgrade head'); "
        "back the database up first."
    )


def _create_if_empty(database: Database) -> str | None:
    """Create the schema if the database has no tables; return the revision."""
    with database.exclusive() as connection:
        # Another process may have created it since the first look.
        if _revision(connection) is None and _tables(connection) <= {VERSION_TABLE}:
            for statement in first_use_statements():
                run(connection, statement)
        return _revision(connection)


def first_use_statements() -> list[str]:
    """Return the statements that create the newest schema on SQLite; importing alembic would double the time."""
    script = (migrations_directory() / "empty_sqlite.sql").read_text()
    return [statement for statement in script.split(";\n\n") if statement.strip()]


def upgrade(database: Database, revision: str = "head", *, only_if_empty: bool = False) -> None:
    """Upgrade a database; if several processes do, one runs and the others wait.

    Raises:
        ForeignStoreError: The tables belong to another program.
        InvalidParameterError: There is no such revision.
        SchemaTooNewError: The schema is newer than this code.
    """
    with database.exclusive() as connection:
        present = _revision(connection)
        if only_if_empty and present is not None:
            return
        _check_known(database, present, revision)
        from alembic import command

        command.upgrade(_config(connection), revision)


def downgrade(database: Database, revision: str) -> None:
    """Downgrade a database to a revision, or remove all tables with ``"base"``; newer data is lost.

    Raises:
        InvalidParameterError: There is no such revision.
    """
    with database.exclusive() as connection:
        _check_known(database, _revision(connection), revision)
        from alembic import command

        command.downgrade(_config(connection), revision)


_COUNTED: Final = {
    "registered_models": "models",
    "model_versions": "versions",
    "history": "events of models",
    "experiments": "experiments",
    "runs": "runs",
}


def count_rows(database: Database) -> dict[str, int]:
    """Return how many models, versions, events, experiments and runs a database of any revision has."""

    def count(connection: Connection) -> dict[str, int]:
        present = _tables(connection)
        return {
            noun: connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()  # noqa: S608 - constants
            for table, noun in _COUNTED.items()
            if table in present
        }

    return database.read(count)


def _check_known(database: Database, present: str | None, target: str) -> None:
    known = revisions()
    if target not in (*known, "head", "base"):
        raise InvalidParameterError(f"There is no schema revision {target!r}; known: {', '.join(known)}, head, base.")
    if present is not None and present not in known:
        place = redacted_url(database.url)
        raise SchemaTooNewError(f"The database {place} has revision {present}, newer than this package ({known[-1]}).")


def _config(connection: Connection) -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(migrations_directory()).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _revision(connection: Connection) -> str | None:
    tables = _tables(connection)
    if VERSION_TABLE in tables:
        return connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar_one_or_none()  # noqa: S608 - a constant
    if tables:
        _refuse_foreign(connection, tables)
    return None


def _revision_on_postgres(connection: Connection) -> str | None:
    """Return the revision in one round trip; None if there is none, whatever the reason."""
    try:
        rows = run(connection, _REVISION_ON_POSTGRES).rows
    except ProgrammingError:  # there is no such table
        return None
    return rows[0][0] if rows else None


def _tables(connection: Connection) -> set[str]:
    if connection.dialect.name == "sqlite":
        return set(connection.execute(_SQLITE_TABLES).scalars()) - {"sqlite_sequence", "sqlite_stat1"}
    return set(inspect(connection).get_table_names())


def _refuse_foreign(connection: Connection, tables: set[str]) -> None:
    place = redacted_url(connection.engine.url)
    if {"alembic_version", "experiments", "runs"} <= tables:
        raise ForeignStoreError(
            f"The database {place} has MLflow's tables and was not changed. Give the registry a database of its "
            "own, for example sqlite:///registry.db, and import this one: registry import-mlflow URL."
        )
    from registry.store.tables import Base

    taken = sorted(tables & set(Base.metadata.tables))
    if taken:
        raise ForeignStoreError(
            f"The database {place} has a table {taken[0]!r} that the registry did not create; it was not changed. "
            "Give the registry a database (or PostgreSQL schema) of its own."
        )
