"""``registry db``: the schema of the database, its roles, backups, and where its files are."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from registry.cli import consent, exit_codes, invocation, output
from registry.cli.commands import noun
from registry.cli.consent import DryRun, Yes
from registry.cli.files import STREAM, create_output
from registry.cli.formatting import size
from registry.cli.options import open_client, require_registry, use_place
from registry.exceptions import ArtifactNotFoundError, InvalidParameterError, SchemaOutdatedError, SchemaTooNewError

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


@app.command(
    "backup",
    examples=["registry db backup registry-$(date +%F).db", "registry db backup - | gzip > registry.db.gz"],
)
def backup(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A new file; - is stdout.")],
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
) -> None:
    """Copy an SQLite database while it is in use; for PostgreSQL, print the command that does it.

    Back up the database before the files: docs/operations/backup.md says why.
    """
    from registry.store.backup import back_up, pg_dump_command

    use_place()
    require_registry()
    database = open_database(read_only=True)
    if not database.is_sqlite:
        command = pg_dump_command(database, file)
        output.note("A PostgreSQL database is backed up by its own program; this is the command:")
        output.value(command, document={"command": command})
        return
    if file == STREAM:
        with create_output(file, ".db") as path:
            back_up(database, path)
        return
    count = back_up(database, Path(file), replace=force)
    output.done(
        f"{location_of(database)}: copied to {file} ({size(count)}).",
        identity=file,
        document={"database": location_of(database), "file": file, "size_bytes": count},
    )


@app.command("relocate", examples=["registry db relocate /data/mlruns s3://models/mlruns --dry-run"])
def relocate(
    old: Annotated[str, typer.Argument(metavar="OLD", help="Where the files were: a directory or s3://bucket/prefix.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="Where they are now.")],
    force: Annotated[bool, typer.Option("--force", help="Even if the files are not at NEW.")] = False,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Look for files at NEW instead of OLD. Move them first, for example with 'aws s3 sync'. Asks first."""
    client = open_client(changes=not dry_run)
    plan = client.plan_relocation(old, new)
    if plan.missing is not None and not force:
        raise ArtifactNotFoundError(
            f"The files of {old} are not at {new}: {plan.missing} is missing. Copy them first, for example with "
            "'aws s3 sync' or 'cp -r'; --force relocates all the same."
        )
    count, adopted = plan.experiments, plan.adopted
    document = {"old": old, "new": new, "experiments": count, "adopted": adopted, "applied": not dry_run}
    what = _counted(count, adopted)
    if dry_run:
        output.done(f"{what} would look for files at {new} instead of {old}.", document=document)
        return
    consent.require(f"{what} will look for files at {new} instead of {old}.", yes)
    client.relocate(old, new)
    output.done(f"{what} look{'s' if count + adopted == 1 else ''} for files at {new} from now on.", document=document)


def _counted(experiments: int, adopted: int) -> str:
    """Return what looks for files elsewhere; runs and logged models have their own places if those were adopted."""
    parts = [f"{experiments} experiment{'' if experiments == 1 else 's'}"] if experiments or not adopted else []
    return " and ".join(parts + ([f"{adopted} runs and models with adopted files"] if adopted else []))


@app.command("adopt", examples=["registry db adopt --new-root s3://models/copy", "registry db adopt --take-over"])
def adopt(
    take_over: Annotated[
        bool,
        typer.Option(
            "--take-over", help="Own the files where they are; the other database can remove none from now on."
        ),
    ] = False,
    new_root: Annotated[
        str | None, typer.Option("--new-root", metavar="ROOT", help="Own the copy of the files at ROOT.")
    ] = None,
    old_root: Annotated[
        str | None,
        typer.Option("--old-root", metavar="ROOT", help="The root that was copied, if the database has several."),
    ] = None,
) -> None:
    """Let a copied or restored database remove and replace files again: at a new root, or in the original's place."""
    roots = open_client(changes=True).adopt(take_over=take_over, new_root=new_root, old_root=old_root)
    output.done(
        "\n".join(f"The files at {root} belong to this database from now on." for root in roots),
        document={"roots": roots},
    )
