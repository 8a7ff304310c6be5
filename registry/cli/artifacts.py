"""``registry artifacts``: what a URI stands for, and where its files are."""

from typing import Annotated

import typer

from registry.cli import output
from registry.cli.commands import noun
from registry.cli.options import open_client
from registry.cli.targets import model_uri

app = noun("artifacts", "Files of runs and models.")


@app.command(
    "resolve",
    examples=["registry artifacts resolve churn/Production", "registry artifacts resolve models:/churn/7 --json"],
)
def resolve(
    uri: Annotated[
        str, typer.Argument(metavar="URI", help="Such as models:/churn/Production, churn/7 or runs:/RUN_ID/model.")
    ],
) -> None:
    """Show the sealed model that a URI refers to, its digest, and where its files are."""
    resolved = open_client().resolve(model_uri(uri))
    output.record(
        {
            "model": resolved.name,
            "version": resolved.version,
            "logged model": resolved.model_id,
            "files": resolved.location,
            "digest": resolved.digest,
        },
        document=resolved,
        identity=resolved.location,
    )
