"""``registry versions promote`` and ``approve``: move versions to stages, under promotion rules."""

from typing import TYPE_CHECKING, Annotated

import typer

from registry.cli import exit_codes, output
from registry.cli.consent import DryRun
from registry.cli.options import ExpectedCurrent, GuardedStage, Reason, VersionTarget, open_client
from registry.cli.rules import VERDICTS, verdict_document
from registry.cli.targets import find_version, parse_guarded_stage, parse_stage
from registry.cli.versions import app
from registry.entities.stages import ACTIVE_STAGES, UNSET, Unset
from registry.exceptions import InvalidParameterError, StageConflictError

if TYPE_CHECKING:
    from registry import MlflowClient
    from registry.entities.model_registry import ModelVersion


@app.command(
    "promote",
    examples=[
        "registry versions promote churn/7 Production --reason 'better auc'",
        "registry versions promote churn/7 Production --expected-current 6",
        "registry versions promote churn/7 Production --dry-run",
    ],
)
def promote(
    version: VersionTarget,
    stage: Annotated[str, typer.Argument(metavar="STAGE", help="Staging, Production, Archived or None, in any case.")],
    reason: Reason = None,
    expected_current: ExpectedCurrent = None,
    override: Annotated[
        bool, typer.Option("--override", help="Promote even if rules fail; needs --reason, and is recorded.")
    ] = False,
    dry_run: DryRun = False,
) -> None:
    """Move a version to a stage. The previous holder of Staging or Production is archived.

    Exit code 3 if a rule says no, 5 if --expected-current does not hold the stage.
    """
    stage = parse_stage(stage)
    client = open_client(changes=not dry_run)
    target = find_version(client, version)
    before = [holder for holder in holders(client, target.name, stage) if holder.version != target.version]
    if dry_run:
        _say_what_would_happen(client, target, stage, before, expected_holder(expected_current))
        return
    moved = client.transition_model_version_stage(
        target.name,
        target.version,
        stage,
        reason=reason or None,
        expected_current=expected_holder(expected_current),
        override=override,
    )
    output.done(
        "\n".join(
            [
                f"{moved.name}: version {moved.version} is in stage {moved.current_stage}.",
                *_moves(client, [*before, target], moved),
            ]
        ),
        document=moved,
    )


def holders(client: "MlflowClient", name: str, stage: str) -> "list[ModelVersion]":
    """Return the version that holds a guarded stage, if any."""
    holder = client.find_model_version_by_stage(name, stage) if stage in ACTIVE_STAGES else None
    return [] if holder is None else [holder]


def _moves(client: "MlflowClient", earlier: "list[ModelVersion]", moved: "ModelVersion") -> list[str]:
    """Return a sentence for each version that left a guarded stage."""
    sentences = []
    for before in earlier:
        now = moved if before.version == moved.version else client.get_model_version(before.name, before.version)
        if before.current_stage in ACTIVE_STAGES and now.current_stage != before.current_stage:
            if now.version == moved.version:
                sentences.append(f"{now.name}: {before.current_stage}, where it was, is empty.")
            else:
                sentences.append(f"{now.name}: version {now.version}, which held it, is in stage {now.current_stage}.")
    return sentences


def _say_what_would_happen(
    client: "MlflowClient",
    target: "ModelVersion",
    stage: str,
    before: "list[ModelVersion]",
    expected: str | Unset | None,
) -> None:
    if not isinstance(expected, Unset):
        current = None if not before else str(before[0].version)
        if target.current_stage == stage:
            current = str(target.version)
        if current != expected:
            raise StageConflictError(
                f"{stage} of {target.name!r} is held by {f'version {current}' if current else 'no version'}; "
                f"--expected-current {expected or 'none'} does not hold."
            )
    verdicts = client.check_promotion(target.name, target.version, stage) if stage in ACTIVE_STAGES else []
    is_allowed = all(verdict.passed for verdict in verdicts)
    sentences = [
        f"{target.name}: version {target.version} would go from {target.current_stage} to {stage}.",
        *(f"{holder.name}: version {holder.version} would be archived." for holder in before),
    ]
    for sentence in sentences if is_allowed else [f"{target.name}: version {target.version} may not enter {stage}."]:
        output.note(sentence)
    output.listing(
        verdicts,
        VERDICTS,
        nothing=f"No rules guard {stage}.",
        document={
            "name": target.name,
            "version": target.version,
            "from": target.current_stage,
            "to": stage,
            "archived": [holder.version for holder in before],
            "allowed": is_allowed,
            "verdicts": [verdict_document(verdict) for verdict in verdicts],
        },
    )
    if not is_allowed:
        raise typer.Exit(exit_codes.NO)


def expected_holder(option: str | None) -> str | Unset | None:
    """Parse ``--expected-current``: a version, None for an empty place, or UNSET for no check."""
    if option is None:
        return UNSET
    if option.lower() == "none":
        return None
    number = option.rpartition("/")[2]
    if not (number.isascii() and number.isdigit()):
        raise InvalidParameterError(f"--expected-current takes a version's number or 'none', not {option!r}.")
    return number


@app.command("approve", examples=["registry versions approve churn/7 Production --reason reviewed"])
def approve(version: VersionTarget, stage: GuardedStage, reason: Reason = None) -> None:
    """Approve a version for a stage. A rule may require several approvals."""
    stage = parse_guarded_stage(stage)
    client = open_client(changes=True)
    target = find_version(client, version)
    client.approve(target.name, target.version, stage, reason=reason or None)
    output.done(
        f"{target.name}: version {target.version} is approved for {stage}.",
        document={"name": target.name, "version": target.version, "stage": stage, "approved": True},
    )
