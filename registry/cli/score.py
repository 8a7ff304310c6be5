"""``registry models score``: score Parquet files with a model."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

import registry
from registry.cli import models, output
from registry.cli.commands import standalone
from registry.cli.options import open_client
from registry.cli.targets import model_uri

app = standalone()

EXAMPLES: Final = (
    "registry models score churn/Production games.parquet scores.parquet --keep game",
    "registry models score churn/Production s3://lake/games s3://lake/scores --engine ray",
)


class Engine(StrEnum):
    """Where the files are scored."""

    LOCAL = "local"
    RAY = "ray"
    DASK = "dask"
    SPARK = "spark"


@models.app.command("score", examples=EXAMPLES)
@app.command("score", examples=EXAMPLES)
def score(
    uri: Annotated[str, typer.Argument(metavar="URI", help="Such as churn/Production, models:/churn/7 or a path.")],
    source: Annotated[
        str, typer.Argument(metavar="IN", help="A Parquet file, a directory or a glob; local or s3://bucket/prefix.")
    ],
    target: Annotated[
        str, typer.Argument(metavar="OUT", help="The file of the predictions, or the directory of their files.")
    ],
    keep: Annotated[
        list[str] | None,
        typer.Option("--keep", metavar="COLUMN", help="Keep this column of the data; may be repeated."),
    ] = None,
    with_model: Annotated[
        bool,
        typer.Option("--with-model", metavar="", help="Add the columns model_name, model_version and model_digest."),
    ] = False,
    engine: Annotated[Engine, typer.Option("--engine", help="What the files are scored on.")] = Engine.LOCAL,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers", metavar="N", min=1, help="Processes here. Default: 1 for local, else one per processor."
        ),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option("--address", metavar="ADDRESS", help="A cluster of the engine, instead of this machine."),
    ] = None,
    threads: Annotated[
        int | None, typer.Option("--threads", metavar="N", min=1, help="Threads of each process.")
    ] = None,
    allow_code: Annotated[
        bool,
        typer.Option("--allow-code", metavar="", help="Let the model's files run code. For models that you trust."),
    ] = False,
    require_signature: Annotated[
        Path | None, typer.Option("--require-signature", metavar="FILE", help="A public key that must have signed it.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", metavar="", help="Score again, and replace files that are there.")
    ] = False,
) -> None:
    """Score Parquet files, row by row in their order.

    If it is broken off, repeat it as it is: finished files stay.
    """
    uri = model_uri(uri)
    if uri.startswith(("models:", "runs:")):
        open_client()  # raises if there is no registry, which this command does not make
    report = registry.scoring.score_parquet(
        uri,
        source,
        target,
        engine=engine.value,
        workers=workers,
        address=address,
        keep=keep or (),
        with_model=with_model,
        nthread=threads,
        allow_code=allow_code or None,
        require_signature=require_signature,
        overwrite=overwrite,
    )
    model = f"{report.model_name}/{report.model_version}" if report.model_name else report.model_digest[:12]
    files = "1 file" if report.parts == 1 else f"{report.parts} files"
    before = f"; {report.skipped} had been scored before" if report.skipped else ""
    output.done(f"{report.rows:,} rows in {files} scored with {model}{before}.", document=report)
