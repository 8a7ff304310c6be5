"""``registry import-mlflow``: move in from MLflow, with everything that it has."""

import dataclasses
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from registry.cli import exit_codes, output
from registry.cli.commands import standalone
from registry.cli.options import Reason, use_place
from registry.cli.output import Column
from registry.cli.progress import shown_progress

if TYPE_CHECKING:
    from registry.mlflow_bridge import Count, TransferReport

app = standalone()

SAMPLED: Final = "values of a sample were compared with the source"

Rename = Annotated[
    Path | None,
    typer.Option(
        "--rename",
        metavar="FILE",
        help="YAML with new names for those that are not allowed here; a missing FILE is written with proposals.",
    ),
]


class FilesOption(StrEnum):
    """What to do with MLflow's files."""

    COPY = "copy"
    ADOPT = "adopt"


@app.command(
    "import-mlflow",
    examples=["registry import-mlflow ./mlruns", "registry import-mlflow sqlite:///mlflow.db --rename names.yaml"],
)
def import_mlflow(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE", help="A directory such as ./mlruns, a database URL, or http://… of a running server."
        ),
    ],
    files: Annotated[
        FilesOption, typer.Option("--files", help="Copy files, or adopt them where they are.")
    ] = FilesOption.COPY,
    deleted: Annotated[bool, typer.Option("--deleted", help="Deleted experiments and runs too.")] = False,
    rename: Rename = None,
    moved: Annotated[
        list[str] | None,
        typer.Option("--moved", metavar="OLD=NEW", help="Files that were moved since; may be repeated."),
    ] = None,
    server: Annotated[
        str | None,
        typer.Option("--server", metavar="URL", help="The MLflow server that reads mlflow-artifacts: places."),
    ] = None,
    reason: Reason = None,
) -> None:
    """Import all experiments, runs, models and files of MLflow; again: only what is new.

    Exit code 3 if something could not be imported, or differs from the source.
    """
    from registry.mlflow_bridge import import_mlflow as run_import

    use_place()
    with shown_progress() as progress:
        report = run_import(
            source,
            files="adopt" if files is FilesOption.ADOPT else "copy",
            deleted=deleted,
            rename=rename,
            moved=moved or (),
            server=server,
            reason=reason or None,
            progress=progress,
        )
    print_report(report, "in MLflow", SAMPLED)


def print_report(report: "TransferReport", there: str, compared: str) -> None:
    """Print what both sides have; `there` heads the column of the other system, `compared` says what was compared.

    Raises:
        typer.Exit: Something could not be carried over, or differs.
    """
    fields = {field.name: getattr(report, field.name) for field in dataclasses.fields(report)}
    columns: tuple[Column[Count], ...] = (
        Column("kind", lambda count: count.kind, whole=True),
        Column(there, lambda count: count.there, right=True),
        Column("here", lambda count: count.here, right=True),
        Column("new", lambda count: count.added, right=True),
    )
    output.listing(report.counts, columns, document={**fields, "is_complete": report.is_complete})
    for text in (*report.notes, *report.problems, *report.differences):
        output.note(text)
    agreed = f"{len(report.differences)} differ" if report.differences else "all agree"
    output.note(f"{report.compared} {compared}: {agreed}.")
    if not report.is_complete:
        raise typer.Exit(exit_codes.NO)
