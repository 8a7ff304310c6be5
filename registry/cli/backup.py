"""``registry db backup``: a copy of the database while it is in use."""

from pathlib import Path
from typing import Annotated

import typer

from registry.cli import output
from registry.cli.db import app, location_of, open_database
from registry.cli.files import STREAM, create_output
from registry.cli.formatting import size
from registry.cli.options import require_registry, use_place


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
