"""``registry runs create``, ``tag``, ``delete`` and ``restore``."""

from typing import Annotated

import typer

import registry
from registry.cli import consent, output
from registry.cli.options import RunTarget, open_client
from registry.cli.pairs import Keys, Pairs, TagOption, parse_pairs, shown
from registry.cli.runs import app, run_status
from registry.cli.targets import find_experiment, find_run, find_runs

Runs = Annotated[list[str], typer.Argument(metavar="RUN...", help="Ids, their first characters, or EXPERIMENT/NAME.")]


@app.command(
    "create",
    examples=["registry runs create -e nightly --metric rows=120394 --param source=crm", "registry runs create -e etl"],
)
def create(
    experiment: Annotated[
        str | None,
        typer.Option(
            "--experiment",
            "-e",
            metavar="EXPERIMENT",
            help="Its name or id; a name that is free becomes a new experiment. By default REGISTRY_EXPERIMENT_NAME "
            "or REGISTRY_EXPERIMENT_ID, or else Default.",
        ),
    ] = None,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="By default a random one.")] = None,
    param: Annotated[list[str] | None, typer.Option("--param", metavar="KEY=VALUE", help="May be repeated.")] = None,
    metric: Annotated[list[str] | None, typer.Option("--metric", metavar="KEY=NUMBER", help="May be repeated.")] = None,
    tag: TagOption = None,
    status: Annotated[
        str, typer.Option("--status", metavar="STATUS", help="FINISHED, FAILED, KILLED, RUNNING or SCHEDULED.")
    ] = "FINISHED",
) -> None:
    """Record a run for what a script did, and print its id."""
    from registry.entities import Metric, Param

    end = run_status(status)  # before anything is written
    metrics = {key: _number(key, value) for key, value in parse_pairs(metric, "--metric").items()}
    params, tags = parse_pairs(param, "--param"), parse_pairs(tag, "--tag")
    client = open_client(creates=True)
    run = client.create_run(_experiment_id(client, experiment), None, tags or None, name)
    run_id, now = run.info.run_id, run.info.start_time
    if metrics or params:
        client.log_batch(
            run_id,
            [Metric(key, value, now, 0) for key, value in metrics.items()],
            [Param(key, value) for key, value in params.items()],
        )
    if end in ("RUNNING", "SCHEDULED"):
        client.update_run(run_id, end)
    else:
        client.set_terminated(run_id, end)
    output.done(f"The run {run_id} was recorded.", identity=run_id, document=client.get_run(run_id))


@app.command("tag", examples=["registry runs tag 3f2a reviewed=yes by=ana"])
def tag(run: RunTarget, tags: Pairs) -> None:
    """Set tags of a run."""
    pairs = parse_pairs(tags)
    client = open_client(changes=True)
    run_id = find_run(client, run).info.run_id
    for key, value in pairs.items():
        client.set_tag(run_id, key, value)
    output.done(f"{run_id}: tagged with {shown(pairs)}.", document={"tags": pairs})


@app.command("untag", examples=["registry runs untag 3f2a reviewed"])
def untag(run: RunTarget, keys: Keys) -> None:
    """Remove tags of a run."""
    client = open_client(changes=True)
    run_id = find_run(client, run).info.run_id
    for key in keys:
        client.delete_tag(run_id, key)
    output.done(f"{run_id}: no longer tagged with {', '.join(keys)}.", document={"removed": keys})


@app.command(
    "delete",
    examples=["registry runs delete 3f2a --yes", "registry runs list -e scratch -q | xargs registry runs delete --yes"],
)
def delete(runs: Runs, yes: consent.Yes = False, dry_run: consent.DryRun = False) -> None:
    """Delete runs. 'runs restore' brings them back until gc removes them."""
    client = open_client(changes=not dry_run)
    ids = [run.info.run_id for run in find_runs(client, runs)]
    count = f"The run {ids[0]}" if len(ids) == 1 else f"{len(ids)} runs"
    loss = f"{count} will be deleted; 'registry runs restore' undoes it until gc."
    if dry_run:
        output.done(loss, document={"run_ids": ids})
        return
    consent.require(loss, yes)
    for run_id in ids:
        client.delete_run(run_id)
    output.done(f"Deleted {', '.join(ids)}.", document={"run_ids": ids})


@app.command("restore", examples=["registry runs restore 3f2a"])
def restore(runs: Runs) -> None:
    """Restore deleted runs."""
    client = open_client(changes=True)
    ids = [run.info.run_id for run in find_runs(client, runs)]
    for run_id in ids:
        client.restore_run(run_id)
    output.done(f"Restored {', '.join(ids)}.", document={"run_ids": ids})


def _number(key: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"{key}={text}: {text!r} is no number.", param_hint="--metric") from None


def _experiment_id(client: "registry.MlflowClient", named: str | None) -> str:
    from registry.exceptions import ExperimentNotFoundError
    from registry.fluent.experiments import active_experiment_id

    if named is None:
        return active_experiment_id()
    try:
        return find_experiment(client, named).experiment_id
    except ExperimentNotFoundError:
        if named.isdigit():
            raise
        return client.create_experiment(named)
