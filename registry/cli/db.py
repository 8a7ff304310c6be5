"""``registry db``: show, upgrade and downgrade the schema of the database."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from registry.cli import output
from registry.cli.options import AsJson, TrackingUri, noun, use_place
from registry.exceptions import InvalidParameterError, SchemaOutdatedError

if TYPE_CHECKING:
    from registry.store.engine import Database


app = noun("db", "The schema of the database.")


@app.command("upgrade")
def upgrade(
    revision: Annotated[str, typer.Argument(metavar="[REVISION]", help="A revision such as 0002.")] = "head",
    tracking_uri: TrackingUri = None,
) -> None:
    """Upgrade the database to a revision; back it up first."""
    from registry.store import schema

    database = open_database(tracking_uri)
    before = schema.current(database)
    schema.upgrade(database, revision)
    _say_change(database, before, schema.current(database))


@app.command("downgrade")
def downgrade(
    revision: Annotated[str, typer.Argument(metavar="REVISION", help="A revision such as 0001, or base for nothing.")],
    tracking_uri: TrackingUri = None,
) -> None:
    """Downgrade the database to an older revision; data that newer revisions added is lost."""
    from registry.store import schema

    database = open_database(tracking_uri)
    before = schema.current(database)
    schema.downgrade(database, revision)
    _say_change(database, before, schema.current(database))


@app.command("current")
def current(as_json: AsJson = False, tracking_uri: TrackingUri = None) -> None:
    """Show the schema revision of the database."""
    from registry.store import schema

    database = open_database(tracking_uri, read_only=True)
    revision = None if _is_missing(database) else schema.current(database)
    newest = schema.revisions()[-1]
    if as_json:
        output.as_json({"database": location_of(database), "revision": revision, "newest": newest})
    else:
        output.line(f"{location_of(database)} has schema revision {revision or 'none'}; the newest is {newest}.")


@app.command("check")
def check(tracking_uri: TrackingUri = None) -> None:
    """Check that the database has the revision that this package needs; change nothing."""
    from registry.store import schema

    database = open_database(tracking_uri, read_only=True)
    if _is_missing(database):
        raise SchemaOutdatedError(
            f"There is no database {location_of(database)} yet. "
            "It is created on first use; 'registry db upgrade' creates it now."
        )
    schema.ensure(database)
    output.line(f"{location_of(database)} has schema revision {schema.revisions()[-1]}, which this package needs.")


def open_database(tracking_uri: str | None, *, read_only: bool = False) -> "Database":
    """Open the database of the tracking URI, whichever schema it has."""
    from registry.client.backend import refuse_mlflow_files
    from registry.settings import current_settings, place_of
    from registry.store.engine import connect

    use_place(tracking_uri)
    settings = current_settings()
    place = place_of(settings.tracking_uri, settings)
    refuse_mlflow_files(place)
    return connect(place.database_url, read_only=read_only)


def _is_missing(database: "Database") -> bool:
    """Tell whether this is an SQLite file that does not exist. Connecting would create it."""
    return database.is_sqlite and not Path(str(database.url.database)).exists()


def _say_change(database: "Database", before: str | None, after: str | None) -> None:
    if before == after:
        output.line(f"{location_of(database)} has schema revision {after or 'none'} already; nothing to do.")
    else:
        output.line(f"{location_of(database)}: schema revision {before or 'none'} -> {after or 'none'}.")


def location_of(database: "Database") -> str:
    """Return the URL of a database, without its password."""
    from registry.store.urls import redacted_url

    return redacted_url(database.url)


def grants(
    role: Annotated[str, typer.Option("--role", metavar="ROLE", help="reader, writer or promoter.")],
    to: Annotated[
        str | None, typer.Option("--to", metavar="USER", help="The PostgreSQL user; by default registry_ROLE.")
    ] = None,
) -> None:
    """Print the SQL that gives a user a role, for the database's owner to run; connects to nothing."""
    from registry.store.grants import grants as sql
    from registry.store.roles import Role

    if role not in set(Role):
        raise InvalidParameterError(f"There is no role {role!r}; there are {', '.join(Role)}.")
    output.line(sql(Role(role), to).rstrip("\n"))
