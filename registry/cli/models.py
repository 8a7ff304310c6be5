"""``registry models``: list and show registered models."""

from typing import TYPE_CHECKING, Final

from registry.cli import output, versions
from registry.cli.formatting import minute, moment
from registry.cli.options import AsJson, Filter, Limit, ModelName, OrderBy, TrackingUri, noun, open_client
from registry.cli.output import Column

if TYPE_CHECKING:
    from registry.entities.model_registry import RegisteredModel

app = noun("models", "Registered models: names with numbered versions.")

_SHOWN_VERSIONS: Final = 20


@app.command("list")
def list_models(
    filter_string: Filter = None,
    order_by: OrderBy = None,
    max_results: Limit = 100,
    as_json: AsJson = False,
    tracking_uri: TrackingUri = None,
) -> None:
    """List registered models by name, with the holders of their stages."""
    models = open_client(tracking_uri).search_registered_models(
        filter_string=filter_string, max_results=max_results, order_by=order_by
    )
    output.listing(models, _COLUMNS, json=as_json, nothing="No registered models.")
    output.note_more(models)


@app.command("show")
def show_model(name: ModelName, as_json: AsJson = False, tracking_uri: TrackingUri = None) -> None:
    """Show one registered model and its newest versions."""
    client = open_client(tracking_uri)
    model = client.get_registered_model(name)
    if as_json:
        output.as_json(model)
        return
    output.record(
        {
            "model": model.name,
            "description": model.description,
            "created": moment(model.creation_timestamp),
            "updated": moment(model.last_updated_timestamp),
            "Production": _in_stage(model, "Production"),
            "Staging": _in_stage(model, "Staging"),
            "aliases": model.aliases,
            "tags": model.tags,
        }
    )
    output.heading("Versions")
    newest = client.search_model_versions(
        versions.of_model(name), max_results=_SHOWN_VERSIONS, order_by=["version_number DESC"]
    )
    output.listing(newest, versions.COLUMNS, nothing="No versions.")
    output.note_more(newest)


def _in_stage(model: "RegisteredModel", stage: str) -> str | None:
    holders = (version for version in model.latest_versions if version.current_stage == stage)
    return next((f"version {holder.version}" for holder in holders), None)


def _newest(model: "RegisteredModel") -> int | None:
    return max((version.version for version in model.latest_versions), default=None)


_COLUMNS: Final[tuple["Column[RegisteredModel]", ...]] = (
    Column("name", lambda model: model.name),
    Column("newest", _newest, right=True),
    Column("Production", lambda model: _in_stage(model, "Production"), whole=True),
    Column("Staging", lambda model: _in_stage(model, "Staging"), whole=True),
    Column("aliases", lambda model: model.aliases),
    Column("updated (UTC)", lambda model: minute(model.last_updated_timestamp), whole=True),
)
