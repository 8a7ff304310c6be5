"""``registry resolve``: what a URI stands for."""

from typing import Annotated

import typer

import registry
from registry.cli import output
from registry.cli.options import AsJson, TrackingUri, use_place


def resolve(
    uri: Annotated[str, typer.Argument(metavar="URI", help="Such as models:/churn/Production or runs:/RUN_ID/model.")],
    as_json: AsJson = False,
    tracking_uri: TrackingUri = None,
) -> None:
    """Say which sealed model a URI stands for, and where its files are."""
    use_place(tracking_uri)
    found = registry.resolve(uri)
    if as_json:
        output.as_json(found)
        return
    output.record(
        {
            "model": found.name,
            "version": found.version,
            "logged model": found.model_id,
            "files": found.location,
            "digest": found.digest,
        }
    )
