"""``registry export-mlflow``: write everything into MLflow, by its own client."""

import dataclasses
from typing import TYPE_CHECKING, Annotated, Final

import typer

from registry.cli import exit_codes, output
from registry.cli.commands import standalone
from registry.cli.options import open_client
from registry.cli.output import Column
from registry.cli.progress import shown_progress

if TYPE_CHECKING:
    from registry.mlflow_bridge import ExportCount

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
    fields = {field.name: getattr(report, field.name) for field in dataclasses.fields(report)}
    output.listing(report.counts, _COLUMNS, document={**fields, "is_complete": report.is_complete})
    for text in (*report.notes, *report.problems, *report.differences):
        output.note(text)
    agreed = f"{len(report.differences)} differ" if report.differences else "all agree"
    output.note(f"{report.compared} values were read back from MLflow and compared: {agreed}.")
    if not report.is_complete:
        raise typer.Exit(exit_codes.NO)


_COLUMNS: "Final[tuple[Column[ExportCount], ...]]" = (
    Column("kind", lambda count: count.kind, whole=True),
    Column("here", lambda count: count.here, right=True),
    Column("in MLflow", lambda count: count.there, right=True),
    Column("new", lambda count: count.added, right=True),
)
