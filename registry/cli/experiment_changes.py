"""``registry experiments create``, ``rename``, ``tag``, ``delete`` and ``restore``."""

from typing import Annotated

import typer

from registry.cli import consent, invocation, output
from registry.cli.experiments import app
from registry.cli.options import ExperimentTarget, open_client
from registry.cli.pairs import Keys, Pairs, TagOption, parse_pairs, shown
from registry.cli.targets import find_experiment


@app.command("create", examples=["registry experiments create churn", "id=$(registry experiments create churn)"])
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A free name.")],
    tag: TagOption = None,
) -> None:
    """Create an experiment and print its id. With --artifact-location, its files go there."""
    tags = parse_pairs(tag, "--tag")
    client = open_client(creates=True)
    made = client.create_experiment(name, invocation.current().artifact_location, tags or None)
    output.done(f"The experiment {name} has the id {made}.", identity=made, document=client.get_experiment(made))


@app.command("rename", examples=["registry experiments rename churn churn-2026"])
def rename(
    experiment: ExperimentTarget, new_name: Annotated[str, typer.Argument(metavar="NEW", help="A free name.")]
) -> None:
    """Rename an experiment. Its id and its files stay."""
    client = open_client(changes=True)
    found = find_experiment(client, experiment)
    client.rename_experiment(found.experiment_id, new_name)
    output.done(f"{found.name} is {new_name} now.", document=client.get_experiment(found.experiment_id))


@app.command("tag", examples=["registry experiments tag churn team=growth"])
def tag(experiment: ExperimentTarget, tags: Pairs) -> None:
    """Set tags of an experiment."""
    pairs = parse_pairs(tags)
    client = open_client(changes=True)
    found = find_experiment(client, experiment)
    client.set_experiment_tags(found.experiment_id, pairs)
    output.done(f"{found.name}: tagged with {shown(pairs)}.", document={"tags": pairs})


@app.command("untag", examples=["registry experiments untag churn team"])
def untag(experiment: ExperimentTarget, keys: Keys) -> None:
    """Remove tags of an experiment."""
    client = open_client(changes=True)
    found = find_experiment(client, experiment)
    for key in keys:
        client.delete_experiment_tag(found.experiment_id, key)
    output.done(f"{found.name}: no longer tagged with {', '.join(keys)}.", document={"removed": keys})


@app.command(
    "delete", examples=["registry experiments delete scratch --dry-run", "registry experiments delete 4 --yes"]
)
def delete(experiment: ExperimentTarget, yes: consent.Yes = False, dry_run: consent.DryRun = False) -> None:
    """Delete an experiment with its runs. 'experiments restore' brings it back until gc removes it."""
    client = open_client(changes=not dry_run)
    found = find_experiment(client, experiment)
    undo = f"registry experiments restore {found.experiment_id}"
    loss = f"The experiment {found.name} will be deleted with its runs; '{undo}' undoes it until gc."
    if dry_run:
        output.done(loss, document=found)
        return
    consent.require(loss, yes)
    client.delete_experiment(found.experiment_id)
    output.done(f"{found.name}: deleted.", document={"experiment_id": found.experiment_id})


@app.command("restore", examples=["registry experiments restore scratch"])
def restore(experiment: ExperimentTarget) -> None:
    """Restore a deleted experiment with the runs that were deleted with it."""
    client = open_client(changes=True)
    found = find_experiment(client, experiment)
    client.restore_experiment(found.experiment_id)
    output.done(f"{found.name}: restored.", document=client.get_experiment(found.experiment_id))


@app.command("csv", hidden=True)
def csv(
    experiment: ExperimentTarget,
    file: Annotated[str, typer.Option("--output", "-o", metavar="FILE", help="By default stdout.")] = "-",
) -> None:
    """Write all runs of an experiment as CSV, with MLflow's columns."""
    from registry.cli.files import create_output

    client = open_client()
    found = find_experiment(client, experiment)
    frame = client.search_runs_frame([found.experiment_id])
    with create_output(file, ".csv") as path:
        frame.to_csv(path, index=False)
    if file != "-":
        output.note(f"Wrote {len(frame)} runs of {found.name} to {file}.")
