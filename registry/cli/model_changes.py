"""``registry models create``, ``register``, ``edit``, ``tag``, ``rename``, ``alias`` and ``delete``."""

from typing import Annotated

import typer

import registry
from registry.cli import consent, output
from registry.cli.artifacts import FilesUri, open_uri
from registry.cli.models import app
from registry.cli.options import ExpectedCurrent, ModelName, Reason, open_client
from registry.cli.pairs import Keys, Pairs, TagOption, parse_pairs, shown
from registry.cli.promotion import expected_holder
from registry.cli.targets import find_version, model_name
from registry.exceptions import InvalidParameterError

Description = Annotated[str | None, typer.Option("--description", metavar="TEXT", help="What it is, in Markdown.")]
Alias = Annotated[str, typer.Argument(metavar="ALIAS", help="Such as champion.")]


@app.command("create", examples=["registry models create churn --description 'Who will leave' --tag team=growth"])
def create(name: ModelName, description: Description = None, tag: TagOption = None, reason: Reason = None) -> None:
    """Create a registered model without versions, and print its name."""
    tags = parse_pairs(tag, "--tag")
    model = open_client(creates=True).create_registered_model(name, tags or None, description, reason=reason)
    output.done(f"{model.name}: created.", identity=model.name, document=model)


@app.command(
    "register",
    examples=[
        "registry models register churn runs:/3f2a/model",
        "v=$(registry models register churn runs:/3f2a/model)",
    ],
)
def register(
    name: ModelName, uri: FilesUri, description: Description = None, tag: TagOption = None, reason: Reason = None
) -> None:
    """Register a run's model as the next version of a registered model, and print the version's number.

    The registered model is created if it is missing. A directory or S3 location with an MLmodel file may be registered
    as well.
    """
    tags = parse_pairs(tag, "--tag")
    if "/" in name.removeprefix("models:/") and "/" not in uri:
        raise InvalidParameterError(f"The name comes first: registry models register {uri} {name}")
    _, source = open_uri(uri)
    client = open_client(creates=True)
    version = client.register_model(str(source), model_name(name), tags=tags or None, reason=reason)
    if description is not None:
        version = client.update_model_version(version.name, version.version, description, reason=reason)
    output.done(f"{version.name}/{version.version}: registered.", identity=version.version, document=version)


@app.command("edit", examples=["registry models edit churn --description 'Who will leave within a month'"])
def edit(
    name: ModelName,
    description: Annotated[str, typer.Option("--description", metavar="TEXT", help="What it is, in Markdown.")],
    reason: Reason = None,
) -> None:
    """Change the description of a registered model."""
    client = open_client(changes=True)
    model = client.update_registered_model(model_name(name), description, reason=reason)
    output.done(f"{model.name}: the description was changed.", document=model)


@app.command("tag", examples=["registry models tag churn team=growth tier=1"])
def tag(name: ModelName, tags: Pairs, reason: Reason = None) -> None:
    """Set tags of a registered model."""
    pairs = parse_pairs(tags)
    client = open_client(changes=True)
    for key, value in pairs.items():
        client.set_registered_model_tag(model_name(name), key, value, reason=reason)
    output.done(f"{model_name(name)}: tagged with {shown(pairs)}.", document={"tags": pairs})


@app.command("untag", examples=["registry models untag churn tier"])
def untag(name: ModelName, keys: Keys, reason: Reason = None) -> None:
    """Remove tags of a registered model."""
    client = open_client(changes=True)
    for key in keys:
        client.delete_registered_model_tag(model_name(name), key, reason=reason)
    output.done(f"{model_name(name)}: no longer tagged with {', '.join(keys)}.", document={"removed": keys})


@app.command("rename", examples=["registry models rename churn customer-churn"])
def rename(
    name: ModelName,
    new_name: Annotated[str, typer.Argument(metavar="NEW", help="A free name.")],
    reason: Reason = None,
) -> None:
    """Rename a registered model. Its history keeps the old name."""
    model = open_client(changes=True).rename_registered_model(model_name(name), new_name, reason=reason)
    output.done(f"{model.name}: this is the name now.", identity=model.name, document=model)


@app.command(
    "alias",
    examples=["registry models alias churn champion 7", "registry models alias churn champion churn/Production"],
)
def alias(
    name: ModelName,
    alias: Alias,
    version: Annotated[
        str, typer.Argument(metavar="VERSION", help="Its number, or a target such as churn/Production.")
    ],
    reason: Reason = None,
    expected_current: ExpectedCurrent = None,
) -> None:
    """Let an alias refer to a version, whichever it referred to before."""
    client = open_client(changes=True)
    model = model_name(name)
    number = find_version(client, version if "/" in version or "@" in version else f"{model}/{version}").version
    client.set_registered_model_alias(
        model, alias, number, reason=reason, expected_current=expected_holder(expected_current)
    )
    output.done(f"{model}@{alias} is version {number}.", document={"model": model, "alias": alias, "version": number})


@app.command("unalias", examples=["registry models unalias churn challenger"])
def unalias(name: ModelName, alias: Alias, reason: Reason = None, expected_current: ExpectedCurrent = None) -> None:
    """Remove an alias. The version stays."""
    model = model_name(name)
    open_client(changes=True).delete_registered_model_alias(
        model, alias, reason=reason, expected_current=expected_holder(expected_current)
    )
    output.done(f"{model}@{alias} was removed.", document={"model": model, "alias": alias})


@app.command("delete", examples=["registry models delete churn --dry-run", "registry models delete churn --yes"])
def delete(
    name: ModelName,
    force: Annotated[bool, typer.Option("--force", help="Even if versions hold Staging or Production.")] = False,
    reason: Reason = None,
    yes: consent.Yes = False,
    dry_run: consent.DryRun = False,
) -> None:
    """Delete a registered model with its versions. It cannot be restored; its history stays."""
    client = open_client(changes=not dry_run)
    model = client.get_registered_model(model_name(name))
    count = _count_versions(client, model.name)
    loss = f"The model {model.name} and its {count} version{'' if count == 1 else 's'} will be gone for good."
    if dry_run:
        output.done(loss, document={"model": model.name, "versions": count})
        return
    consent.require(loss, yes)
    client.delete_registered_model(model.name, force=force, reason=reason)
    output.done(f"{model.name}: deleted.", document={"model": model.name, "versions": count})


def _count_versions(client: "registry.MlflowClient", name: str) -> int:
    from registry.cli.options import fetch
    from registry.cli.versions import of_model

    found, _ = fetch(lambda size, token: client.search_model_versions(of_model(name), size, None, token), 1, True)
    return len(found)
