"""``registry export-mlflow``: write everything into MLflow, by its own client."""

from typing import Annotated

import typer

from registry.cli.commands import standalone
from registry.cli.import_mlflow import print_report
from registry.cli.options import open_client
from registry.cli.progress import shown_progress

app = standalone()


@app.command(
    "export-mlflow",
    examples=[
        "registry export-mlflow sqlite:///mlflow.db --python mlflow-env/bin/python",
        "registry export-mlflow http://mlflow.example:5000",
    ],
)
def export_mlflow(
    target: Annotated[
        str, typer.Argument(metavar="URI", help="MLflow's tracking URI: a database, or http://… of a server.")
    ],
    python: Annotated[
        str | None,
        typer.Option("--python", metavar="PATH", help="The Python of an environment that has mlflow 3."),
    ] = None,
    artifacts: Annotated[
        str | None,
        typer.Option(
            "--artifacts", metavar="PLACE", help="Where a database's new experiments keep files; ./mlartifacts."
        ),
    ] = None,
    registry_uri: Annotated[
        str | None,
        typer.Option("--registry-uri", metavar="URI", help="MLflow's registry URI, if it is another one."),
    ] = None,
) -> None:
    """Export all experiments, runs, models and files into MLflow; again: only what is new.

    Exit code 3 if something could not be exported, or differs there.
    """
    from registry.mlflow_bridge.exporting import export_from

    client = open_client()
    with shown_progress() as progress:
        report = export_from(
            client, target, artifacts=artifacts, registry_uri=registry_uri, python=python, progress=progress
        )
    print_report(report, "in MLflow", "values were read back from MLflow and compared")
