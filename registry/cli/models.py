"""``registry models``: list and show registered models."""

from typing import TYPE_CHECKING, Annotated, Final

from registry.cli import output, versions
from registry.cli.commands import noun
from registry.cli.formatting import minute, moment
from registry.cli.options import (
    Everything,
    Limit,
    ModelName,
    fetch,
    filter_option,
    note_more,
    open_client,
    order_option,
)
from registry.cli.output import Column
from registry.cli.targets import model_name
from registry.cli.tenures import Tenure, current_tenures, explain, flat
from registry.cli.times import expand_filter

if TYPE_CHECKING:
    from collections.abc import Iterator

    import registry
    from registry.entities.model_registry import RegisteredModel

app = noun("models", "Registered models: names with numbered versions.")

_Filter = Annotated[str | None, filter_option("name LIKE 'nba%' AND tags.team = 'growth'")]
_OrderBy = Annotated[list[str] | None, order_option("last_updated_timestamp DESC")]

_SHOWN_VERSIONS: Final = 20


@app.command("list", examples=["registry models list", "registry models list --filter \"name LIKE 'nba%'\" -q"])
def list_models(
    filter_string: _Filter = None, order_by: _OrderBy = None, limit: Limit = 100, everything: Everything = False
) -> None:
    """List registered models by name, with the holders of their stages."""
    client = open_client()
    text = expand_filter(filter_string)
    models, more = fetch(
        lambda size, token: client.search_registered_models(text, size, order_by, token), limit, everything
    )
    output.listing(models, _COLUMNS, nothing="No registered models.", ids=lambda model: model.name)
    note_more(len(models), more)


@app.command("show", examples=["registry models show churn", "registry models show churn --json | jq .holders"])
def show_model(name: ModelName) -> None:
    """Show one registered model: who is in which stage since when and why, its aliases, its newest versions."""
    client = open_client()
    model = client.get_registered_model(model_name(name))
    tenures = current_tenures(client, model.name)
    facts = {
        "model": model.name,
        "description": model.description,
        "created": moment(model.creation_timestamp),
        "updated": moment(model.last_updated_timestamp),
        "Production": _in_stage(model, "Production"),
        "Staging": _in_stage(model, "Staging"),
        "aliases": model.aliases,
        "tags": model.tags,
    }
    output.record(
        facts if output.is_for_people() else {**facts, **flat(tenures)},
        document={**output.plain(model), "holders": [tenure.document() for tenure in tenures]},
        identity=model.name,
    )
    if not output.is_for_people():
        return
    for line in _shadows(client, model):
        output.line(line)
    for tenure in tenures:
        if tenure.is_of_stage:
            explain(tenure)
    aliases = [tenure for tenure in tenures if not tenure.is_of_stage]
    if aliases:
        output.heading("Aliases")
        output.table(_ALIASES, aliases)
    output.heading("Newest versions")
    newest = client.search_model_versions(
        versions.of_model(model.name), max_results=_SHOWN_VERSIONS, order_by=["version_number DESC"]
    )
    output.listing(newest, versions.COLUMNS, nothing="No versions.")
    if newest.token:
        output.note(f"The newest {len(newest)} are shown; 'registry versions list {model.name}' has all.")


def _shadows(client: "registry.MlflowClient", model: "RegisteredModel") -> "Iterator[str]":
    """Yield how the version in Staging has answered as a shadow of the one in Production."""
    from registry.entities.evidence import SHADOW
    from registry.entities.shadow_comparison import total_of

    held = {version.current_stage: version for version in model.latest_versions}
    if "Staging" in held and "Production" in held:
        model_id = held["Staging"].model_id
        digest = client.resolve(f"models:/{model.name}/{held['Production'].version}").digest
        found = total_of(client.get_evidence(str(model_id), SHADOW), digest) if model_id else None
        if found is not None:
            yield f"Staging as a shadow of Production: {found[0].text}"


def _in_stage(model: "RegisteredModel", stage: str) -> int | None:
    return next((version.version for version in model.latest_versions if version.current_stage == stage), None)


def _newest(model: "RegisteredModel") -> int | None:
    return max((version.version for version in model.latest_versions), default=None)


_COLUMNS: Final[tuple["Column[RegisteredModel]", ...]] = (
    Column("name", lambda model: model.name, whole=True),
    Column("newest", _newest, whole=True, right=True, leaves=1),
    Column("Production", lambda model: _in_stage(model, "Production"), whole=True, right=True),
    Column("Staging", lambda model: _in_stage(model, "Staging"), whole=True, right=True),
    Column("aliases", lambda model: model.aliases, leaves=2),
    Column("updated (UTC)", lambda model: minute(model.last_updated_timestamp), whole=True, leaves=3),
)
_ALIASES: Final[tuple[Column[Tenure], ...]] = (
    Column("alias", lambda tenure: tenure.place, whole=True),
    Column("version", lambda tenure: tenure.version, whole=True, right=True),
    Column("since (UTC)", lambda tenure: tenure.since, whole=True),
    Column("by", lambda tenure: tenure.actor),
    Column("reason", lambda tenure: tenure.reason),
)
