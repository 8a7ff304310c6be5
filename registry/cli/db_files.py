"""``registry db relocate`` and ``adopt``: where the database's files are, and whether they are its own."""

from typing import Annotated

import typer

from registry.cli import consent, output
from registry.cli.consent import DryRun, Yes
from registry.cli.db import app
from registry.cli.options import open_client
from registry.exceptions import ArtifactNotFoundError


@app.command("relocate", examples=["registry db relocate /data/mlruns s3://models/mlruns --dry-run"])
def relocate(
    old: Annotated[str, typer.Argument(metavar="OLD", help="Where the files were: a directory or s3://bucket/prefix.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="Where they are now.")],
    force: Annotated[bool, typer.Option("--force", help="Even if the files are not at NEW.")] = False,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Look for files at NEW instead of OLD. Move them first, for example with 'aws s3 sync'. Asks first."""
    client = open_client(changes=not dry_run)
    plan = client.plan_relocation(old, new)
    if plan.missing is not None and not force:
        raise ArtifactNotFoundError(
            f"The files of {old} are not at {new}: {plan.missing} is missing. Copy them first, for example with "
            "'aws s3 sync' or 'cp -r'; --force relocates all the same."
        )
    count, adopted = plan.experiments, plan.adopted
    document = {"old": old, "new": new, "experiments": count, "adopted": adopted, "applied": not dry_run}
    what = _counted(count, adopted)
    if dry_run:
        output.done(f"{what} would look for files at {new} instead of {old}.", document=document)
        return
    consent.require(f"{what} will look for files at {new} instead of {old}.", yes)
    client.relocate(old, new)
    output.done(f"{what} look{'s' if count + adopted == 1 else ''} for files at {new} from now on.", document=document)


def _counted(experiments: int, adopted: int) -> str:
    """Return what looks for files elsewhere; runs and logged models have their own places if those were adopted."""
    parts = [f"{experiments} experiment{'' if experiments == 1 else 's'}"] if experiments or not adopted else []
    return " and ".join(parts + ([f"{adopted} runs and models with adopted files"] if adopted else []))


@app.command("adopt", examples=["registry db adopt --new-root s3://models/copy", "registry db adopt --take-over"])
def adopt(
    take_over: Annotated[
        bool,
        typer.Option(
            "--take-over", help="Own the files where they are; the other database can remove none from now on."
        ),
    ] = False,
    new_root: Annotated[
        str | None, typer.Option("--new-root", metavar="ROOT", help="Own the copy of the files at ROOT.")
    ] = None,
    old_root: Annotated[
        str | None,
        typer.Option("--old-root", metavar="ROOT", help="The root that was copied, if the database has several."),
    ] = None,
) -> None:
    """Let a copied or restored database remove and replace files again: at a new root, or in the original's place."""
    roots = open_client(changes=True).adopt(take_over=take_over, new_root=new_root, old_root=old_root)
    output.done(
        "\n".join(f"The files at {root} belong to this database from now on." for root in roots),
        document={"roots": roots},
    )
