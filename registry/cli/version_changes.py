"""``registry versions edit``, ``tag``, ``copy``, ``delete`` and ``restore``."""

from typing import Annotated

import typer

from registry.cli import consent, output
from registry.cli.options import Reason, VersionTarget, open_client
from registry.cli.pairs import Keys, Pairs, parse_pairs, shown
from registry.cli.targets import find_version, split_version
from registry.cli.versions import app
from registry.exceptions import InvalidNameError


@app.command("edit", examples=["registry versions edit churn/7 --description 'Trained on the spring data'"])
def edit(
    version: VersionTarget,
    description: Annotated[str, typer.Option("--description", metavar="TEXT", help="What it is, in Markdown.")],
    reason: Reason = None,
) -> None:
    """Change the description of a version."""
    client = open_client(changes=True)
    found = find_version(client, version)
    changed = client.update_model_version(found.name, found.version, description, reason=reason)
    output.done(f"{changed.name}/{changed.version}: the description was changed.", document=changed)


@app.command("tag", examples=['registry versions tag churn/7 commit="$(git rev-parse HEAD)" ci=https://ci/42'])
def tag(version: VersionTarget, tags: Pairs, reason: Reason = None) -> None:
    """Set tags of a version."""
    pairs = parse_pairs(tags)
    client = open_client(changes=True)
    found = find_version(client, version)
    for key, value in pairs.items():
        client.set_model_version_tag(found.name, found.version, key, value, reason=reason)
    output.done(f"{found.name}/{found.version}: tagged with {shown(pairs)}.", document={"tags": pairs})


@app.command("untag", examples=["registry versions untag churn/7 ci"])
def untag(version: VersionTarget, keys: Keys, reason: Reason = None) -> None:
    """Remove tags of a version."""
    client = open_client(changes=True)
    found = find_version(client, version)
    for key in keys:
        client.delete_model_version_tag(found.name, found.version, key, reason=reason)
    output.done(f"{found.name}/{found.version}: no longer tagged with {', '.join(keys)}.", document={"removed": keys})


@app.command(
    "copy",
    examples=[
        "registry versions copy churn/7 --to postgresql://user@host/production",
        "registry versions copy churn@champion --as churn-eu",
    ],
)
def copy(
    version: VersionTarget,
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="URI", help="The tracking URI of another registry; by default this one."),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--as", metavar="NAME", help="The model's name there; by default the same.")
    ] = None,
    reason: Reason = None,
) -> None:
    """Copy a version with its files and its run to another registry, or to another model; print the new target.

    Copying again gives the copy that is there. Its stage is None.
    """
    if to is None and name is None:
        raise typer.BadParameter("Give --to, --as or both.", param_hint="--to")
    client = open_client(changes=True)
    found = find_version(client, version)
    source = f"models:/{found.name}/{found.version}"
    made = client.copy_model_version(source, name or found.name, to=to, reason=reason)
    target = f"{made.name}/{made.version}"
    place = "" if to is None else " there"
    output.done(f"{found.name}/{found.version} is {target}{place}.", identity=target, document=made)


@app.command("delete", examples=["registry versions delete churn/3 --yes --reason 'trained on leaked labels'"])
def delete(
    version: VersionTarget,
    force: Annotated[bool, typer.Option("--force", help="Even if it holds Staging or Production.")] = False,
    reason: Reason = None,
    yes: consent.Yes = False,
    dry_run: consent.DryRun = False,
) -> None:
    """Delete a version. 'versions restore' brings it back until gc removes its files."""
    client = open_client(changes=not dry_run)
    found = find_version(client, version)
    target = f"{found.name}/{found.version}"
    stage = "" if found.current_stage == "None" else f", which is in stage {found.current_stage},"
    loss = f"The version {target}{stage} will be deleted; 'registry versions restore {target}' undoes it until gc."
    if dry_run:
        output.done(loss, document=found)
        return
    consent.require(loss, yes)
    client.delete_model_version(found.name, found.version, force=force, reason=reason)
    output.done(f"{target}: deleted.", document={"model": found.name, "version": found.version})


@app.command("restore", examples=["registry versions restore churn/3"])
def restore(
    version: Annotated[str, typer.Argument(metavar="VERSION", help="The number it had, as in churn/3.")],
    reason: Reason = None,
) -> None:
    """Restore a deleted version, in stage None."""
    name, number, _ = split_version(version)
    if number is None or not (number.isascii() and number.isdigit()):
        raise InvalidNameError(f"{version!r} names no deleted version: it has neither stage nor alias. Write churn/3.")
    restored = open_client(changes=True).restore_model_version(name, number, reason=reason)
    output.done(f"{restored.name}/{restored.version}: restored.", document=restored)
