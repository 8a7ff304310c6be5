"""``registry runs copy``, ``runs move``, ``experiments copy`` and ``models copy``: from registry to registry."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Final

import typer

from registry.cli import exit_codes, experiments, invocation, models, output, runs
from registry.cli.formatting import size
from registry.cli.options import ExperimentTarget, ModelName, Reason, open_client
from registry.cli.output import Column
from registry.cli.targets import find_experiment, find_run, model_name

if TYPE_CHECKING:
    from registry.entities.copy_report import CopiedRun, CopyCounts, CopyReport

To = Annotated[
    str, typer.Option("--to", metavar="URI", help="The other registry: a directory, a database URL or s3://.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be sent.")]
_Runs = Annotated[
    list[str],
    typer.Argument(metavar="RUN...", help="Ids, the first 4 characters or more of them, or EXPERIMENT/RUN-NAME."),
]


@runs.app.command(
    "copy",
    examples=[
        "registry runs copy 66eaa4b4 --to postgresql://db/registry",
        "registry runs list -e nba -q | xargs registry runs copy --to ./archive --dry-run",
    ],
)
def copy_runs(
    run: _Runs,
    to: To,
    experiment: Annotated[
        str | None, typer.Option("--experiment", "-e", metavar="NAME", help="The experiment of new runs there.")
    ] = None,
    dry_run: DryRun = False,
) -> None:
    """Copy runs with their points, files and models to another registry; again, it sends what is missing there."""
    from registry.client.transfer.copying_runs import copy_runs

    client = open_client()
    run_ids = [find_run(client, text).info.run_id for text in run]
    with progress() as on_run:
        report = copy_runs(client, run_ids, to, experiment=experiment, dry_run=dry_run, on_run=on_run)
    print_report(report)


@runs.app.command("move", examples=["registry runs move 66eaa4b4 9f1c27d0 --experiment 'season 2026'"])
def move_runs(
    run: _Runs,
    experiment: Annotated[
        str, typer.Option("--experiment", "-e", metavar="NAME", help="The experiment to move them to.")
    ],
) -> None:
    """Move runs that have ended to another experiment of this registry; it is created if it is missing."""
    client = open_client(changes=True)
    run_ids = [find_run(client, text).info.run_id for text in run]
    client.move_runs(run_ids, experiment)
    moved = "1 run" if len(run_ids) == 1 else f"{len(run_ids)} runs"
    output.done(f"{moved} moved to {experiment}.", document={"experiment": experiment, "runs": run_ids})


@experiments.app.command("copy", examples=["registry experiments copy nba --to postgresql://db/registry"])
def copy_experiment(
    experiment: ExperimentTarget,
    to: To,
    name: Annotated[str | None, typer.Option("--as", metavar="NAME", help="Its name there.")] = None,
    dry_run: DryRun = False,
) -> None:
    """Copy all runs of an experiment to another registry; again, it sends what is missing there."""
    from registry.client.transfer.copying_runs import copy_experiment

    client = open_client()
    found = find_experiment(client, experiment)
    with progress() as on_run:
        report = copy_experiment(client, found.name, to, new_name=name, dry_run=dry_run, on_run=on_run)
    print_report(report)


@models.app.command("copy", examples=["registry models copy churn --to postgresql://db/registry --with-stages"])
def copy_model(
    name: ModelName,
    to: To,
    new_name: Annotated[str | None, typer.Option("--as", metavar="NAME", help="Its name there.")] = None,
    with_stages: Annotated[
        bool, typer.Option("--with-stages", help="Restore stages and aliases of the versions.")
    ] = False,
    reason: Reason = None,
) -> None:
    """Copy a model with its versions, their numbers, files and runs; again, it adds the versions made since."""
    client = open_client()
    copied = client.copy_registered_model(
        model_name(name), to=to, new_name=new_name, with_stages=with_stages, reason=reason or None
    )
    output.done(f"{copied.name}: copied.", identity=copied.name, document=copied)


@contextlib.contextmanager
def progress() -> Iterator["Callable[[CopiedRun], None] | None"]:
    """Show how many runs are done while a person watches stderr."""
    if invocation.current().quiet or sys.stderr is None or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.completed} runs"), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("", total=None)
        yield lambda run: shown.update(task, advance=1, description=run.name)


def print_report(report: "CopyReport") -> None:
    """Print what was done with each run that lacked something, and what both sides have now.

    Raises:
        typer.Exit: A run could not be copied; the exit code is that of its error.
    """
    shown = [run for run in report.runs if run.outcome != "unchanged"]
    document = {
        "source": report.source,
        "target": report.target,
        "dry_run": report.dry_run,
        "outcomes": report.outcomes,
        "runs": report.runs,
        "models_without_run": report.models,
        "source_counts": report.source_counts,
        "target_counts": report.target_counts,
        "notes": report.notes,
    }
    if report.models or report.errors:
        nothing = "No run is missing there."
    else:
        nothing = "Nothing is missing there." if report.runs or report.source_counts.models else "No runs."
    output.listing(shown, _COLUMNS, nothing=nothing, ids=lambda run: run.run_id, document=document)
    failed = {error.message for error in report.errors}
    for text in report.notes:
        if text not in failed:
            output.note(text)
    counted = [f"{count} {outcome}" for outcome, count in report.outcomes.items()]
    if report.models:
        counted.append(f"logged models without a run: {report.models} copied")
    if counted or report.source_counts.models:
        if counted:
            output.note(f"{'Would be: ' if report.dry_run else ''}{', '.join(counted)}.")
        output.note(f"{report.source}: {_counts(report.source_counts)}.")
        output.note(f"{report.target}: {_counts(report.target_counts)}.")
    if report.errors:
        for run in report.failures:
            output.complain(f"registry: run {run.run_id} was not copied: {run.note}")
        for text in report.notes:
            if text in failed:
                output.complain(f"registry: a logged model was not copied: {text}")
        raise typer.Exit(exit_codes.code_of(report.errors[0]))


def _counts(counts: "CopyCounts") -> str:
    return (
        f"runs {counts.runs}, params {counts.params}, points {counts.points}, files {counts.files}, "
        f"logged models {counts.models}"
    )


_COLUMNS: Final[tuple["Column[CopiedRun]", ...]] = (
    Column("run", lambda run: run.run_id, whole=True),
    Column("name", lambda run: run.name, whole=True, leaves=2),
    Column("experiment", lambda run: run.experiment, whole=True, leaves=3),
    Column("outcome", lambda run: str(run.outcome), whole=True),
    Column("points", lambda run: run.points, whole=True, right=True, leaves=6),
    Column("files", lambda run: run.files, whole=True, right=True, leaves=5),
    Column("size", lambda run: size(run.size_bytes), whole=True, right=True, leaves=4),
    Column("models", lambda run: run.models, whole=True, right=True, leaves=7),
    Column("note", lambda run: run.note, leaves=1),
)
