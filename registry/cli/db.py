"""``registry db``: show, upgrade and downgrade the schema of the database, and its roles."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from registry.cli import consent, exit_codes, invocation, output
from registry.cli.commands import noun
from registry.cli.consent import DryRun, Yes
from registry.cli.options import require_registry, use_place
from registry.exceptions import InvalidParameterError, SchemaOutdatedError, SchemaTooNewError

if TYPE_CHECKING:
    from registry.store.engine import Database


app = noun("db", "The database: its schema, its roles, and where its files are.")


@app.command("current", examples=["registry db current"])
def current() -> None:
    """Show the schema revision of the database."""
    from registry.store import schema

    database = open_database(read_only=True)
    revision = None if _is_missing(database) else schema.current(database)
    newest = schema.revisions()[-1]
    output.record(
        {"database": location_of(database), "revision": revision, "newest": newest},
        identity=revision or "none",
    )


@app.command("check", examples=["registry db check || registry db upgrade"])
def check() -> None:
    """Check that the database has the revision that this package needs; change nothing. Exit code 3 if it has not."""
    from registry.store import schema

    database = open_database(read_only=True)
    newest = schema.revisions()[-1]
    if _is_missing(database):
        require_registry()
    try:
        schema.ensure(database)
    except (SchemaOutdatedError, SchemaTooNewError) as error:
        from registry.cli import errors

        errors.report(error)
        raise typer.Exit(exit_codes.NO) from None
    output.done(
        f"{location_of(database)} has schema revision {newest}, which this package needs.",
        document={"database": location_of(database), "revision": newest, "newest": newest},
    )


@app.command("upgrade", examples=["registry db upgrade", "registry db upgrade sqlite:////data/registry.db"])
def upgrade(
    revision: Annotated[
        str, typer.Argument(metavar="[REVISION|URL]", help="A revision such as 0002, or the URL of the database.")
    ] = "head",
) -> None:
    """Upgrade the database to a revision, or make an empty one; back it up first."""
    from registry.store import schema

    if ":" in revision:
        invocation.current().tracking_uri = revision
        revision = "head"
    database = open_database()
    before = schema.current(database)
    schema.upgrade(database, revision)
    _say_change(database, before, schema.current(database))


@app.command("downgrade", examples=["registry db downgrade 0005 --dry-run", "registry db downgrade 0005 --yes"])
def downgrade(
    revision: Annotated[str, typer.Argument(metavar="REVISION", help="A revision such as 0001, or base for nothing.")],
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Downgrade the database to an older revision; data that newer revisions added is lost. Asks first."""
    from registry.store import schema

    use_place()
    require_registry()
    database = open_database()
    before = schema.current(database)
    known = schema.revisions()
    if revision not in (*known, "base", "head"):
        raise InvalidParameterError(f"There is no schema revision {revision!r}; known: {', '.join(known)}, base.")
    counts = schema.count_rows(database)
    held = ", ".join(f"{count} {noun}" for noun, count in counts.items())
    lost = "All of it is lost." if revision == "base" else f"What revisions after {revision} added is lost."
    loss = f"{location_of(database)} has revision {before or 'none'} and {held or 'no rows'}. {lost}"
    if dry_run:
        output.done(
            f"{loss} Nothing was changed.",
            document={
                "database": location_of(database),
                "from": before,
                "to": revision,
                "applied": False,
                "has": counts,
            },
        )
        return
    if before is not None:
        consent.require(loss, yes)
    schema.downgrade(database, revision)
    _say_change(database, before, schema.current(database))


@app.command("grants", examples=["registry db grants --role reader --to analyst | psql"])
def grants(
    role: Annotated[str, typer.Option("--role", metavar="ROLE", help="reader, writer or promoter.")],
    to: Annotated[
        str | None, typer.Option("--to", metavar="USER", help="The PostgreSQL user; by default registry_ROLE.")
    ] = None,
    speaks_for_others: Annotated[
        bool,
        typer.Option(
            "--speaks-for-others", help="The user is a page that signs visitors in: approvals count for whom it names."
        ),
    ] = False,
) -> None:
    """Print the SQL that gives a user a role, for the database's owner to run; connects to nothing."""
    from registry.store.grants import grants as sql
    from registry.store.roles import Role

    if role not in set(Role):
        raise InvalidParameterError(f"There is no role {role!r}; there are {', '.join(Role)}.")
    text = sql(Role(role), to, speaks_for_others=speaks_for_others).rstrip("\n")
    if invocation.current().json:
        output.as_json({"role": role, "sql": text})
    else:
        output.line(text)


def open_database(*, read_only: bool = False) -> "Database":
    """Open the database of this command line, whichever schema it has."""
    from registry.client.backend import limits_of, refuse_mlflow_files
    from registry.settings import current_settings, place_of
    from registry.store.engine import connect

    use_place()
    settings = current_settings()
    place = place_of(settings.tracking_uri, settings)
    refuse_mlflow_files(place)
    return connect(place.database_url, read_only=read_only, limits=limits_of(settings))


def _is_missing(database: "Database") -> bool:
    """Tell whether this is an SQLite file that does not exist. Connecting would create it."""
    return database.is_sqlite and not Path(str(database.url.database)).exists()


def _say_change(database: "Database", before: str | None, after: str | None) -> None:
    where = location_of(database)
    if before == after:
        sentence = f"{where} has schema revision {after or 'none'} already; nothing to do."
    else:
        sentence = f"{where}: schema revision {before or 'none'} -> {after or 'none'}."
    output.done(sentence, document={"database": where, "from": before, "to": after})


def location_of(database: "Database") -> str:
    """Return the URL of a database, without its password."""
    from registry.store.urls import redacted_url

    return redacted_url(database.url)
