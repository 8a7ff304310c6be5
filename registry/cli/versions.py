"""``registry versions``, ``resolve`` and ``sign``: list and show versions, resolve URIs, sign models."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

import registry
from registry.cli import output
from registry.cli.formatting import minute, moment
from registry.cli.options import (
    AsJson,
    Filter,
    Limit,
    ModelName,
    OrderBy,
    TrackingUri,
    VersionNumber,
    noun,
    open_client,
    use_place,
)
from registry.cli.output import Column

if TYPE_CHECKING:
    from registry.entities.model_registry import ModelVersion


def resolve(
    uri: Annotated[str, typer.Argument(metavar="URI", help="Such as models:/churn/Production or runs:/RUN_ID/model.")],
    as_json: AsJson = False,
    tracking_uri: TrackingUri = None,
) -> None:
    """Show the sealed model that a URI refers to, and where its files are."""
    use_place(tracking_uri)
    resolved = registry.resolve(uri)
    if as_json:
        output.as_json(resolved)
        return
    output.record(
        {
            "model": resolved.name,
            "version": resolved.version,
            "logged model": resolved.model_id,
            "files": resolved.location,
            "digest": resolved.digest,
        }
    )


def sign(
    uri: Annotated[str, typer.Argument(metavar="URI", help="Such as models:/churn/3.")],
    key: Annotated[
        Path, typer.Option("--key", metavar="FILE", help="A private key on P-256, P-384 or P-521, in PEM form.")
    ],
    password: Annotated[
        str | None, typer.Option("--password", envvar="REGISTRY_KEY_PASSWORD", help="Of the key.", show_envvar=True)
    ] = None,
    tracking_uri: TrackingUri = None,
) -> None:
    """Sign a sealed model, so that loaders with require_signature accept it."""
    key_id = open_client(tracking_uri).sign_model(uri, private_key=key, password=password)
    output.line(f"{uri}: signed with the key {key_id}.")


app = noun("versions", "The numbered versions of registered models.")

COLUMNS: Final[tuple["Column[ModelVersion]", ...]] = (
    Column("version", lambda version: version.version, whole=True, right=True),
    Column("stage", lambda version: version.current_stage, whole=True),
    Column("aliases", lambda version: version.aliases),
    Column("created (UTC)", lambda version: minute(version.creation_timestamp), whole=True),
    Column("run id", lambda version: version.run_id, whole=True),
)
_WITH_NAME: Final[tuple["Column[ModelVersion]", ...]] = (Column("model", lambda version: version.name), *COLUMNS)


@app.command("list")
def list_versions(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Only versions of this model.")] = None,
    filter_string: Filter = None,
    order_by: OrderBy = None,
    max_results: Limit = 100,
    as_json: AsJson = False,
    tracking_uri: TrackingUri = None,
) -> None:
    """List versions of one model or of all, most recently changed first."""
    client = open_client(tracking_uri)
    if name is not None:
        client.get_registered_model(name)  # makes a misspelt name an error, not an empty list
    combined = " AND ".join(f"({part})" for part in (name and of_model(name), filter_string) if part)
    page = client.search_model_versions(combined or None, max_results=max_results, order_by=order_by)
    output.listing(page, _WITH_NAME if name is None else COLUMNS, json=as_json, nothing="No versions.")
    output.note_more(page)


@app.command("show")
def show_version(
    name: ModelName, version: VersionNumber, as_json: AsJson = False, tracking_uri: TrackingUri = None
) -> None:
    """Show one version: its stage, its source and where its files are."""
    client = open_client(tracking_uri)
    described = client.get_model_version(name, version)
    if as_json:
        output.as_json(described)
        return
    output.record(
        {
            "model": described.name,
            "version": described.version,
            "stage": described.current_stage,
            "aliases": described.aliases,
            "description": described.description,
            "tags": described.tags,
            "created": moment(described.creation_timestamp),
            "updated": moment(described.last_updated_timestamp),
            "by": described.user_id,
            "source": described.source,
            "run": described.run_id,
            "logged model": described.model_id,
            "digest": described.digest,
            "files": client.get_model_version_download_uri(name, version),
        }
    )


def of_model(name: str) -> str:
    """Return the filter for the versions of one model."""
    quoted = name.replace("'", "''")
    return f"name = '{quoted}'"
