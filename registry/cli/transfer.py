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
    """Export a model with its versions, their files and runs, and its history to one file."""
    numbers = None if only is None else [number.strip() for number in only.split(",")]
    written = open_client(tracking_uri).export_model(name, file, versions=numbers)
    output.line(f"{name}: exported to {written} ({size(written.stat().st_size)}).")


def import_model(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that 'registry export' wrote.")],
    name: Annotated[str | None, typer.Option("--as", metavar="NAME", help="The model's name here.")] = None,
    with_stages: Annotated[
        bool, typer.Option("--with-stages", help="Restore stages and aliases of the versions.")
    ] = False,
    reason: Annotated[str | None, typer.Option("--reason", help="Why; kept in the model's history.")] = None,
    as_json: AsJson = False,
    tracking_uri: TrackingUri = None,
) -> None:
    """Import a model from a file after checking all of it. Its name must be free here."""
    client = open_client(tracking_uri)
    model = client.import_model(file, name=name, with_stages=with_stages, reason=reason)
    if as_json:
        output.as_json(model)
        return
    output.line(f"{model.name}: imported.")
    newest = client.search_model_versions(
        versions.of_model(model.name), max_results=_SHOWN, order_by=["version_number DESC"]
    )
    output.listing(newest, versions.COLUMNS, nothing="No versions.")
    output.note_more(newest)
