"""``registry rules``: what a version must pass to enter a stage."""

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from registry.cli import consent, exit_codes, files, output
from registry.cli.commands import noun
from registry.cli.consent import DryRun, Yes
from registry.cli.options import GuardedStage, ModelName, Reason, VersionTarget, open_client
from registry.cli.output import Column
from registry.cli.targets import find_version, model_name, parse_guarded_stage

if TYPE_CHECKING:
    from registry.rules import PromotionRule, Verdict

app = noun("rules", "Promotion rules: what a version must pass to enter a stage.")


@app.command("show", examples=["registry rules show churn Production --json > rules.json"])
def show_rules(name: ModelName, stage: GuardedStage) -> None:
    """Show the rules of a stage. Their JSON is the input of 'rules set'."""
    current = open_client().get_promotion_rules(model_name(name), parse_guarded_stage(stage))
    output.listing(current, _RULES, nothing="No rules.", document=_documents(current))


@app.command(
    "set",
    examples=[
        "registry rules set churn Production rules.json",
        "registry rules show churn Staging --json | registry rules set churn Production -",
    ],
)
def set_rules(
    name: ModelName,
    stage: GuardedStage,
    file: Annotated[str, typer.Argument(metavar="FILE", help="A JSON list of rules; - is stdin.")],
    reason: Reason = None,
) -> None:
    """Replace the rules of a stage.

    A rule is an object such as {"kind": "metric_at_least", "metric": "f1", "value": 0.8}.
    """
    from registry.rules import rules_from_json

    name, stage = model_name(name), parse_guarded_stage(stage)
    client = open_client(changes=True)
    new_rules = rules_from_json(files.read_text(file, "The rules"))
    client.set_promotion_rules(name, stage, new_rules, reason=reason or None)
    count = len(new_rules)
    output.done(
        f"{name}: {count} {'rule guards' if count == 1 else 'rules guard'} {stage}.",
        document={"name": name, "stage": stage, "rules": _documents(new_rules)},
    )


@app.command("delete", examples=["registry rules delete churn Production --yes"])
def delete_rules(
    name: ModelName, stage: GuardedStage, reason: Reason = None, yes: Yes = False, dry_run: DryRun = False
) -> None:
    """Remove the rules of a stage. Asks first."""
    name, stage = model_name(name), parse_guarded_stage(stage)
    client = open_client(changes=not dry_run)
    current = client.get_promotion_rules(name, stage)
    document = {"name": name, "stage": stage, "removed": _documents(current), "applied": not dry_run}
    if dry_run:
        output.done(f"{name}: {len(current)} rules of {stage} would be removed.", document=document)
        return
    if current:
        consent.require(f"This removes the {len(current)} rules that guard {stage} of {name}.", yes)
        client.delete_promotion_rules(name, stage, reason=reason or None)
    output.done(f"{name}: no rules guard {stage}.", document=document)


@app.command("check", examples=["registry rules check churn/7 Production && echo 'may go'"])
def check_rules(version: VersionTarget, stage: GuardedStage) -> None:
    """Show the result of each rule of a stage for a version; change nothing. Exit code 3 if a rule says no."""
    stage = parse_guarded_stage(stage)
    client = open_client()
    target = find_version(client, version)
    verdicts = client.check_promotion(target.name, target.version, stage)
    output.listing(
        verdicts,
        VERDICTS,
        nothing=f"No rules guard {stage} of {target.name}.",
        document=[verdict_document(verdict) for verdict in verdicts],
    )
    if not all(verdict.passed for verdict in verdicts):
        output.note(f"{target.name}: version {target.version} may not enter {stage}.")
        raise typer.Exit(exit_codes.NO)


def _documents(rules: "list[PromotionRule] | tuple[PromotionRule, ...]") -> Any:
    import json

    from registry.rules import rules_to_json

    return json.loads(rules_to_json(rules))


def verdict_document(verdict: "Verdict") -> dict[str, Any]:
    """Return a verdict as JSON: the rule as text, whether it passed, and the figures."""
    return verdict.to_dict()


_RULES: Final[tuple["Column[PromotionRule]", ...]] = (Column("rule", repr),)
VERDICTS: Final[tuple["Column[Verdict]", ...]] = (
    Column("rule", lambda verdict: repr(verdict.rule)),
    Column("passed", lambda verdict: "yes" if verdict.passed else "no", whole=True),
    Column("expected", lambda verdict: verdict.expected),
    Column("actual", lambda verdict: verdict.actual),
)
