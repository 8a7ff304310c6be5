"""``registry promote``: moving a version to a stage."""

from typing import TYPE_CHECKING, Annotated

import typer

from registry.cli import output
from registry.cli.options import AsJson, ModelName, TrackingUri, VersionNumber, open_client
from registry.entities.stages import UNSET, Unset

if TYPE_CHECKING:
    from registry import MlflowClient
    from registry.entities.model_registry import ModelVersion

ExpectedCurrent = Annotated[
    str | None,
    typer.Option(
        "--expected-current",
        metavar="VERSION",
        help="Only if this version holds the stage now; 'none': only if nothing does.",
    ),
]


def promote(
    name: ModelName,
    version: VersionNumber,
    stage: Annotated[str, typer.Argument(metavar="STAGE", help="Staging, Production, Archived or None, in any case.")],
    reason: Annotated[str | None, typer.Option("--reason", help="Why; kept in the model's history.")] = None,
    expected_current: ExpectedCurrent = None,
    override: Annotated[
        bool, typer.Option("--override", help="Even if promotion rules fail; needs a --reason, and is on record.")
    ] = False,
    as_json: AsJson = False,
    tracking_uri: TrackingUri = None,
) -> None:
    """Move a version to a stage; whoever holds Staging or Production is archived."""
    client = open_client(tracking_uri)
    before = client.get_latest_versions(name, [stage])
    moved = client.transition_model_version_stage(
        name,
        version,
        stage,
        reason=reason,
        expected_current=expected_holder(expected_current),
        override=override,
    )
    if as_json:
        output.as_json(moved)
        return
    output.line(f"{moved.name}: version {moved.version} is in stage {moved.current_stage}.")
    for earlier in before:
        if earlier.version != moved.version:
            _say_where(client, earlier)


def _say_where(client: "MlflowClient", earlier: "ModelVersion") -> None:
    """Say where an earlier holder went, if it moved."""
    now = client.get_model_version(earlier.name, earlier.version)
    if now.current_stage != earlier.current_stage:
        output.line(f"{now.name}: version {now.version}, which held it, is in stage {now.current_stage}.")


def expected_holder(given: str | None) -> str | Unset | None:
    """What ``--expected-current`` says: a version, None for nobody, or UNSET for no check."""
    if given is None:
        return UNSET
    return None if given.lower() == "none" else given
