"""``registry import-runs``: move in from W&B's offline runs and from trackio."""

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from registry.cli.commands import standalone
from registry.cli.import_mlflow import SAMPLED, Rename, print_report
from registry.cli.options import use_place
from registry.cli.progress import shown_progress

app = standalone()


class TrackerOption(StrEnum):
    """Who wrote the runs."""

    WANDB = "wandb"
    TRACKIO = "trackio"


@app.command(
    "import-runs",
    examples=["registry import-runs wandb ./wandb", "registry import-runs trackio ~/.cache/huggingface/trackio"],
)
def import_runs(
    tracker: Annotated[TrackerOption, typer.Argument(metavar="TRACKER", help="wandb or trackio.")],
    path: Annotated[
        str,
        typer.Argument(
            metavar="PATH", help="W&B's directory 'wandb', or trackio's directory or one of its *.db files."
        ),
    ],
    rename: Rename = None,
) -> None:
    """Import the runs that W&B wrote offline, or that trackio wrote; again: only what is new.

    Exit code 3 if something could not be imported, or differs from the source.
    """
    from registry.mlflow_bridge import import_runs as run_import

    use_place()
    with shown_progress() as progress:
        # Path.expanduser raises an error where there is no such user; this leaves the path as it is.
        place = Path(os.path.expanduser(path))  # noqa: PTH111
        report = run_import(tracker.value, place, rename=rename, progress=progress)
    print_report(report, f"in {tracker.value}", SAMPLED)
