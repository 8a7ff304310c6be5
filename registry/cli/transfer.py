"""``registry export`` and ``registry import``: a registered model as one file."""

from pathlib import Path
from typing import Annotated, Final

import typer

from registry.cli import output, versions
from registry.cli.formatting import size
from registry.cli.options import AsJson, ModelName, TrackingUri, open_client

_SHOWN: Final = 20


def export_model(
    name: ModelName,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A new file.")],
    only: Annotated[
        str | None, typer.Option("--versions", metavar="N,M", help="Only these versions. Default: all.")
    ] = None,
    tracking_uri: TrackingUri = None,
) -> None:
    """Write a model with its versions, their files and runs, and its whole history to one file."""
    wanted = None if only is None else [number.strip() for number in only.split(",")]
    written = open_client(tracking_uri).export_model(name, file, versions=wanted)
    output.line(f"{name}: exported to {written} ({size(written.stat().st_size)}).")


def import_model(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that 'registry export' wrote.")],
    name: Annotated[str | None, typer.Option("--as", metavar="NAME", help="The model's name here.")] = None,
    with_stages: Annotated[
        bool, typer.Option("--with-stages", help="Put versions into their stages and under their aliases again.")
    ] = False,
    reason: Annotated[str | None, typer.Option("--reason", help="Why; kept in the model's history.")] = None,
    as_json: AsJson = False,
    tracking_uri: TrackingUri = None,
) -> None:
    """Make a model of a file, after everything in it was checked; its name here must be free."""
    client = open_client(tracking_uri)
    made = client.import_model(file, name=name, with_stages=with_stages, reason=reason)
    if as_json:
        output.as_json(made)
        return
    output.line(f"{made.name}: imported.")
    found = client.search_model_versions(
        versions.of_model(made.name), max_results=_SHOWN, order_by=["version_number DESC"]
    )
    output.listing(found, versions.COLUMNS, nothing="No versions.")
    output.note_more(found)
