"""``registry sign``: vouching for a model with a key."""

from pathlib import Path
from typing import Annotated

import typer

from registry.cli import output
from registry.cli.options import TrackingUri, open_client


def sign(
    uri: Annotated[str, typer.Argument(metavar="URI", help="Such as models:/churn/3.")],
    key: Annotated[
        Path, typer.Option("--key", metavar="FILE", help="A private key on P-256, P-384 or P-521, in PEM form.")
    ],
    password: Annotated[
        str | None, typer.Option("--password", envvar="REGISTRY_KEY_PASSWORD", help="Of the key.", show_envvar=True)
    ] = None,
    tracking_uri: TrackingUri = None,
) -> None:
    """Sign a sealed model, so that loaders with require_signature take it."""
    key_id = open_client(tracking_uri).sign_model(uri, private_key=key, password=password)
    output.line(f"{uri}: signed with the key {key_id}.")
