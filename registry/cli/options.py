"""Options that several commands share, and opening a client from them."""

from enum import StrEnum
from typing import Annotated

import typer

import registry
from registry.cli import output

TrackingUri = Annotated[
    str | None,
    typer.Option(
        "--tracking-uri",
        metavar="URI",
        help="Where runs and models are kept: a directory, a database URL or s3://bucket/prefix. "
        "Default: REGISTRY_TRACKING_URI, or else file:./mlruns.",
    ),
]
ArtifactLocation = Annotated[
    str | None,
    typer.Option(
        "--artifact-location",
        metavar="ROOT",
        help="Where the files of new experiments go: a directory or s3://bucket/prefix.",
    ),
]
# An empty metavar: without it, the help shows a flag as if it took a value.
AsJson = Annotated[bool, typer.Option("--json", metavar="", help="Print JSON instead of a table.")]
Filter = Annotated[
    str | None,
    typer.Option("--filter", metavar="FILTER", help="""Such as "metrics.auc > 0.9 AND params.depth = '3'"."""),
]
OrderBy = Annotated[
    list[str] | None, typer.Option("--order-by", metavar="KEY", help='Such as "metrics.auc DESC"; may be repeated.')
]
Limit = Annotated[int, typer.Option("--max-results", "-n", metavar="N", min=1, help="How many to show at most.")]
ModelName = Annotated[str, typer.Argument(metavar="NAME", help="The registered model.")]
VersionNumber = Annotated[str, typer.Argument(metavar="VERSION", help="The version's number.")]


class View(StrEnum):
    """Which items a listing shows, by lifecycle stage."""

    ACTIVE = "active"
    DELETED = "deleted"
    ALL = "all"

    @property
    def view_type(self) -> int:
        """Return the number that MLflow's searches take."""
        kinds = registry.entities.ViewType
        return {View.ACTIVE: kinds.ACTIVE_ONLY, View.DELETED: kinds.DELETED_ONLY, View.ALL: kinds.ALL}[self]


ViewOption = Annotated[View, typer.Option("--view", help="Show active or deleted ones, or all.")]


def use_place(tracking_uri: str | None, artifact_location: str | None = None) -> None:
    """Set the process's tracking URI and artifact location from the options that are given."""
    for name, value in (("TRACKING_URI", tracking_uri), ("ARTIFACT_LOCATION", artifact_location)):
        if value is not None:
            from registry.settings import set_variable  # imports pydantic, which --help does not need

            set_variable(name, value)


def open_client(tracking_uri: str | None) -> "registry.MlflowClient":
    """Open a client for the tracking URI of the option, or else of the settings."""
    use_place(tracking_uri)
    return registry.MlflowClient()


def noun(name: str, summary: str) -> typer.Typer:
    """Make a group of commands that shows its help when it is called alone."""
    return typer.Typer(name=name, help=summary, callback=help_when_alone, invoke_without_command=True)


def help_when_alone(context: typer.Context) -> None:
    """Show the help of a group that was called without a command."""
    if context.invoked_subcommand is None:
        output.line(context.get_help())
