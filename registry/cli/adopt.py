"""``registry adopt``: let a copy of a database, or a restored backup, own files."""

from typing import Annotated

import typer

from registry.cli import output
from registry.cli.options import TrackingUri, open_client


def adopt(
    take_over: Annotated[
        bool,
        typer.Option(
            "--take-over", help="Own the files where they are; the other database can remove none from now on."
        ),
    ] = False,
    new_root: Annotated[
        str | None,
        typer.Option("--new-root", metavar="ROOT", help="Own the copy of the files at ROOT."),
    ] = None,
    old_root: Annotated[
        str | None,
        typer.Option("--old-root", metavar="ROOT", help="The root that was copied, if the database has several."),
    ] = None,
    tracking_uri: TrackingUri = None,
) -> None:
    """Let a copied or restored database remove and replace files again: at a new root, or in the original's place."""
    for root in open_client(tracking_uri).adopt(take_over=take_over, new_root=new_root, old_root=old_root):
        output.line(f"The files at {root} belong to this database from now on.")
