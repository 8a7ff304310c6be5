"""``registry versions``: list, show and sign versions."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from registry.cli import files, output
from registry.cli.commands import noun
from registry.cli.consent import can_ask
from registry.cli.formatting import minute, moment
from registry.cli.options import (
    Everything,
    Limit,
    VersionTarget,
    fetch,
    filter_option,
    note_more,
    open_client,
    order_option,
)
from registry.cli.output import Column
from registry.cli.targets import find_version, model_name, model_uri
from registry.cli.tenures import current_tenures, explain, flat
from registry.cli.times import expand_filter
from registry.exceptions import InvalidParameterError

if TYPE_CHECKING:
    from registry.entities.model_registry import ModelVersion

app = noun("versions", "The numbered versions of registered models.")

_Filter = Annotated[str | None, filter_option("tags.reviewed = 'yes'")]
_OrderBy = Annotated[list[str] | None, order_option("creation_timestamp DESC")]

COLUMNS: Final[tuple["Column[ModelVersion]", ...]] = (
    Column("version", lambda version: version.version, whole=True, right=True),
    Column("stage", lambda version: version.current_stage, whole=True),
    Column("aliases", lambda version: version.aliases, leaves=1),
    Column("created (UTC)", lambda version: minute(version.creation_timestamp), whole=True, leaves=2),
    Column("run id", lambda version: version.run_id, whole=True, leaves=3),
)
_WITH_NAME: Final[tuple["Column[ModelVersion]", ...]] = (
    Column("model", lambda version: version.name, whole=True),
    *COLUMNS,
)


@app.command("list", examples=["registry versions list churn", "registry versions list churn -q | xargs -n1 echo"])
def list_versions(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Only versions of this model.")] = None,
    filter_string: _Filter = None,
    order_by: _OrderBy = None,
    limit: Limit = 100,
    everything: Everything = False,
) -> None:
    """List versions of one model or of all, by name and number, newest first."""
    client = open_client()
    if name is not None:
        name = model_name(name)
        client.get_registered_model(name)  # makes a misspelt name an error, not an empty list
    text = " AND ".join(f"({part})" for part in (name and of_model(name), expand_filter(filter_string)) if part)
    order = order_by or ["name ASC", "version_number DESC"]
    versions, more = fetch(
        lambda size, token: client.search_model_versions(text or None, size, order, token), limit, everything
    )
    output.listing(
        versions,
        _WITH_NAME if name is None else COLUMNS,
        nothing="No versions.",
        ids=lambda version: f"{version.name}/{version.version}",
    )
    note_more(len(versions), more)


@app.command("show", examples=["registry versions show churn/Production", "registry versions show churn/7 --json"])
def show_version(version: VersionTarget) -> None:
    """Show one version: its stage and why it is there, rules, approvals, source, and where its files are."""
    client = open_client()
    found = find_version(client, version)
    tenures = current_tenures(client, found.name, found.version)
    location = client.get_model_version_download_uri(found.name, found.version)
    output.record(
        {
            "model": found.name,
            "version": found.version,
            "stage": found.current_stage,
            "aliases": found.aliases,
            "description": found.description,
            "tags": found.tags,
            "created": moment(found.creation_timestamp),
            "updated": moment(found.last_updated_timestamp),
            "by": found.user_id,
            "source": found.source,
            "run": found.run_id,
            "logged model": found.model_id,
            "digest": found.digest,
            "files": location,
            **({} if output.is_for_people() else flat(tenures)),
        },
        document={
            **output.plain(found),
            "files": location,
            "holds": [tenure.document() for tenure in tenures],
        },
        identity=f"{found.name}/{found.version}",
    )
    if output.is_for_people():
        for tenure in tenures:
            explain(tenure)


@app.command("sign", examples=["registry versions sign churn/7 --key key.pem"])
def sign(
    version: Annotated[
        str, typer.Argument(metavar="VERSION|URI", help="churn/7, churn/Production, or any URI of a sealed model.")
    ],
    key: Annotated[
        Path, typer.Option("--key", metavar="FILE", help="A private key on P-256, P-384 or P-521, in PEM form.")
    ],
    password_file: Annotated[
        str | None,
        typer.Option(
            "--password-file",
            metavar="FILE",
            help="Whose first line is the key's password; - is stdin. By default REGISTRY_KEY_PASSWORD, or a prompt.",
        ),
    ] = None,
) -> None:
    """Sign a sealed model, so that loaders with require_signature accept it."""
    client = open_client(changes=True)
    uri = model_uri(version)
    key_id = client.sign_model(uri, private_key=key, password=_password(key, password_file))
    output.done(f"{version}: signed with the key {key_id}.", identity=key_id, document={"uri": uri, "key_id": key_id})


def _password(key: Path, password_file: str | None) -> str | None:
    """Return the password of a key: from a file, the environment, or the terminal if the key is encrypted."""
    if password_file is not None:
        return files.read_text(password_file, "The password").partition("\n")[0].rstrip("\r")
    given = os.environ.get("REGISTRY_KEY_PASSWORD")
    if given or not _is_encrypted(key):
        return given or None
    if not can_ask():
        raise InvalidParameterError(
            f"The key {str(key)!r} has a password. Give --password-file FILE, or set REGISTRY_KEY_PASSWORD."
        )
    import getpass

    return getpass.getpass(f"Password of {key}: ", stream=sys.stderr)


def _is_encrypted(key: Path) -> bool:
    try:
        return "ENCRYPTED" in key.read_text(encoding="ascii")
    except (OSError, UnicodeError):
        return False  # the client says what is wrong with the file


def of_model(name: str) -> str:
    """Return the filter for the versions of one model."""
    quoted = name.replace("'", "''")
    return f"name = '{quoted}'"
