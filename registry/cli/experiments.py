"""``registry experiments``: list and show experiments."""

from typing import TYPE_CHECKING, Annotated, Final

import typer

from registry.cli import output
from registry.cli.formatting import minute, moment
from registry.cli.options import AsJson, Filter, Limit, OrderBy, TrackingUri, View, ViewOption, noun, open_client
from registry.cli.output import Column
from registry.exceptions import ExperimentNotFoundError

if TYPE_CHECKING:
    from registry import MlflowClient
    from registry.entities import Experiment

app = noun("experiments", "Groups of runs that share an artifact location.")

_COLUMNS: Final[tuple["Column[Experiment]", ...]] = (
    Column("id", lambda experiment: experiment.experiment_id, whole=True, right=True),
    Column("name", lambda experiment: experiment.name),
    Column("created (UTC)", lambda experiment: minute(experiment.creation_time), whole=True),
    Column("state", lambda experiment: experiment.lifecycle_stage, whole=True),
    Column("files", lambda experiment: experiment.artifact_location),
)


@app.command("list")
def list_experiments(
    filter_string: Filter = None,
    order_by: OrderBy = None,
    view: ViewOption = View.ACTIVE,
    max_results: Limit = 100,
    as_json: AsJson = False,
    tracking_uri: TrackingUri = None,
) -> None:
    """List experiments, newest first."""
    experiments = open_client(tracking_uri).search_experiments(
        view_type=view.view_type, max_results=max_results, filter_string=filter_string, order_by=order_by
    )
    output.listing(experiments, _COLUMNS, json=as_json, nothing="No experiments.")
    output.note_more(experiments)


@app.command("show")
def show_experiment(
    experiment: Annotated[str, typer.Argument(metavar="EXPERIMENT", help="Its name or id.")],
    as_json: AsJson = False,
    tracking_uri: TrackingUri = None,
) -> None:
    """Show one experiment."""
    described = find_experiment(open_client(tracking_uri), experiment)
    if as_json:
        output.as_json(described)
        return
    output.record(
        {
            "experiment": described.name,
            "id": described.experiment_id,
            "state": described.lifecycle_stage,
            "files": described.artifact_location,
            "created": moment(described.creation_time),
            "updated": moment(described.last_update_time),
        }
    )
    if described.tags:
        output.record(described.tags, "Tags")


def find_experiment(client: "MlflowClient", name_or_id: str) -> "Experiment":
    """Return the experiment of this name, or else of this id.

    Raises:
        ExperimentNotFoundError: neither exists.
    """
    experiment = client.get_experiment_by_name(name_or_id)
    if experiment is not None:
        return experiment
    if name_or_id.isascii() and name_or_id.isdigit():
        return client.get_experiment(name_or_id)
    raise ExperimentNotFoundError(
        f"There is no experiment named {name_or_id!r}; 'registry experiments list' shows all."
    )
