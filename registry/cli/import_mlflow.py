"""``registry import-mlflow``: move in from MLflow, with everything that it has."""

import sys
import time
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from registry.cli import output
from registry.cli.formatting import duration
from registry.cli.options import AsJson, TrackingUri, use_place
from registry.cli.output import Column

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from registry.mlflow_bridge import Count

_INTERVAL_SECONDS: Final = 5.0


class FilesOption(StrEnum):
    """What to do with the files of MLflow."""

    COPY = "copy"
    ADOPT = "adopt"


_COLUMNS: "Final[tuple[Column[Count], ...]]" = (
    Column("kind", lambda count: count.kind),
    Column("in MLflow", lambda count: count.source, right=True),
    Column("here", lambda count: count.here, right=True),
    Column("new", lambda count: count.added, right=True),
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
    rename: Annotated[
        Path | None,
        typer.Option(
            "--rename",
            metavar="FILE",
            help="YAML with new names for those that are not allowed here; a missing FILE is written with proposals.",
        ),
    ] = None,
    moved: Annotated[
        list[str] | None,
        typer.Option("--moved", metavar="OLD=NEW", help="Files that were moved since; may be repeated."),
    ] = None,
    server: Annotated[
        str | None,
        typer.Option("--server", metavar="URL", help="The MLflow server that reads mlflow-artifacts: places."),
    ] = None,
    reason: Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Why; kept in the history.")] = None,
    as_json: AsJson = False,
    tracking_uri: TrackingUri = None,
) -> None:
    """Import the experiments, runs, models and files of an MLflow store. Again: only what is new.

    Exit code 1 if something could not be imported, or differs.
    """
    from registry.mlflow_bridge import import_mlflow as run_import

    use_place(tracking_uri)
    with _progress() as progress:
        report = run_import(
            source,
            files="adopt" if files is FilesOption.ADOPT else "copy",
            deleted=deleted,
            rename=rename,
            moved=moved or (),
            server=server,
            reason=reason,
            progress=progress,
        )
    if as_json:
        output.as_json({**_fields(report), "is_complete": report.is_complete})
    else:
        output.table(_COLUMNS, report.counts)
        for text in (*report.notes, *report.problems, *report.differences):
            output.note(text)
        agreed = "all agree" if not report.differences else f"{len(report.differences)} differ"
        output.line(
            f"{report.compared} values of a sample were compared: {agreed}. ({duration(round(report.seconds * 1000))})"
        )
        if report.is_complete:
            output.line(f"Everything of {report.source} is here.")
    if not report.is_complete:
        raise typer.Exit(1)


def _fields(report: Any) -> dict[str, Any]:
    import dataclasses

    return {field.name: getattr(report, field.name) for field in dataclasses.fields(report)}


@contextmanager
def _progress() -> "Iterator[Callable[[str, int, int], None]]":
    """Show how far the import is: a line that changes on a terminal, else a line now and then."""
    last = time.monotonic()

    def show(kind: str, done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last < (0.2 if sys.stderr.isatty() else _INTERVAL_SECONDS):
            return
        last = time.monotonic()
        text = f"{kind}: {done} of {total}" if total else f"{kind}: {done}"
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{text}\x1b[K")
            sys.stderr.flush()
        else:
            output.note(text)

    try:
        yield show
    finally:
        if sys.stderr.isatty():
            sys.stderr.write("\r\x1b[K")
