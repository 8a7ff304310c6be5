"""``registry promote``, ``rollback``, ``approve`` and ``rules``: move versions to stages, under promotion rules."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from registry.cli import output
from registry.cli.options import AsJson, ModelName, TrackingUri, VersionNumber, noun, open_client
from registry.cli.output import Column
from registry.entities.stages import UNSET, Unset
from registry.exceptions import StorageError

if TYPE_CHECKING:
    from registry import MlflowClient
    from registry.entities.model_registry import ModelVersion
    from registry.rules import PromotionRule, Verdict


ExpectedCurrent = Annotated[
    str | None,
    typer.Option(
        "--expected-current",
        metavar="VERSION",
        help="Only if this version holds the stage now; 'none': only if the stage is empty.",
    ),
]


def promote(
    name: ModelName,
    version: VersionNumber,
    stage: Annotated[str, typer.Argument(metavar="STAGE", help="Staging, Production, Archived or None, in any case.")],
    reason: Annotated[str | None, typer.Option("--reason", help="Why; kept in the model's history.")] = None,
    expected_current: ExpectedCurrent = None,
    override: Annotated[
        bool, typer.Option("--override", help="Promote even if rules fail; needs --reason, and is recorded.")
    ] = False,
    as_json: AsJson = False,
    tracking_uri: TrackingUri = None,
) -> None:
    """Move a version to a stage. The previous holder of Staging or Production is archived."""
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
    """Print the stage that an earlier holder moved to, if it moved."""
    now = client.get_model_version(earlier.name, earlier.version)
    if now.current_stage != earlier.current_stage:
        output.line(f"{now.name}: version {now.version}, which held it, is in stage {now.current_stage}.")


def expected_holder(option: str | None) -> str | Unset | None:
    """Parse ``--expected-current``: a version, None for an empty stage, or UNSET for no check."""
    if option is None:
        return UNSET
    return None if option.lower() == "none" else option


Reason = Annotated[str | None, typer.Option("--reason", help="Why; kept in the model's history.")]
Guarded = Annotated[str, typer.Argument(metavar="STAGE", help="Staging or Production, in any case.")]

rules = noun("rules", "Promotion rules: what a version must pass to enter a stage.")


def rollback(
    name: ModelName,
    stage: Annotated[str, typer.Argument(metavar="[STAGE]", help="Staging or Production.")] = "Production",
    reason: Reason = None,
    expected_current: ExpectedCurrent = None,
    as_json: AsJson = False,
    tracking_uri: TrackingUri = None,
) -> None:
    """Restore the previous holder of a stage. A second rollback goes further back."""
    client = open_client(tracking_uri)
    back = client.rollback(name, stage, reason=reason, expected_current=expected_holder(expected_current))
    if as_json:
        output.as_json(back)
    else:
        output.line(f"{back.name}: version {back.version} is in stage {back.current_stage} again.")


def approve(
    name: ModelName, version: VersionNumber, stage: Guarded, reason: Reason = None, tracking_uri: TrackingUri = None
) -> None:
    """Approve a version for a stage. A rule may require several approvals."""
    open_client(tracking_uri).approve(name, version, stage, reason=reason)
    output.line(f"{name}: version {version} is approved for {stage}.")


@rules.command("show")
def show_rules(name: ModelName, stage: Guarded, as_json: AsJson = False, tracking_uri: TrackingUri = None) -> None:
    """Show the rules of a stage. Their JSON is the input of 'rules set'."""
    current = open_client(tracking_uri).get_promotion_rules(name, stage)
    output.listing(current, _RULES, json=as_json, nothing="No rules.")


@rules.command("set")
def set_rules(
    name: ModelName,
    stage: Guarded,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A JSON list of rules; - is the standard input.")],
    reason: Reason = None,
    tracking_uri: TrackingUri = None,
) -> None:
    """Replace the rules of a stage.

    A rule is an object such as {"kind": "metric_at_least", "metric": "f1", "value": 0.8}.
    """
    from registry.rules import rules_from_json

    new_rules = rules_from_json(_text(file))
    open_client(tracking_uri).set_promotion_rules(name, stage, new_rules, reason=reason)
    output.line(f"{name}: {len(new_rules)} rules guard {stage}.")


@rules.command("delete")
def delete_rules(name: ModelName, stage: Guarded, reason: Reason = None, tracking_uri: TrackingUri = None) -> None:
    """Remove the rules of a stage."""
    open_client(tracking_uri).delete_promotion_rules(name, stage, reason=reason)
    output.line(f"{name}: no rules guard {stage}.")


@rules.command("check")
def check_rules(
    name: ModelName,
    version: VersionNumber,
    stage: Guarded,
    as_json: AsJson = False,
    tracking_uri: TrackingUri = None,
) -> None:
    """Show the result of each rule of a stage for a version; change nothing."""
    verdicts = open_client(tracking_uri).check_promotion(name, version, stage)
    output.listing(verdicts, _VERDICTS, json=as_json, nothing="No rules.")


_RULES: Final[tuple["Column[PromotionRule]", ...]] = (Column("rule", repr),)
_VERDICTS: Final[tuple["Column[Verdict]", ...]] = (
    Column("rule", lambda verdict: repr(verdict.rule)),
    Column("passed", lambda verdict: "yes" if verdict.passed else "no", whole=True),
    Column("expected", lambda verdict: verdict.expected),
    Column("actual", lambda verdict: verdict.actual),
)


def _text(file: Path) -> str:
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise StorageError(f"The rules in {str(file)!r} cannot be read: {error}.") from error
