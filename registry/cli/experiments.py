"""``registry experiments``: list and show experiments."""

from typing import TYPE_CHECKING, Annotated, Final

from registry.cli import output
from registry.cli.commands import noun
from registry.cli.formatting import minute, moment
from registry.cli.options import (
    Everything,
    ExperimentTarget,
    Limit,
    View,
    ViewOption,
    fetch,
    filter_option,
    note_more,
    open_client,
    order_option,
)
from registry.cli.output import Column
from registry.cli.targets import find_experiment
from registry.cli.times import expand_filter

if TYPE_CHECKING:
    from registry.entities import Experiment

app = noun("experiments", "Experiments: groups of runs that share a place for files.")

_Filter = Annotated[str | None, filter_option("name LIKE 'nba%'")]
_OrderBy = Annotated[list[str] | None, order_option("last_update_time DESC")]

_COLUMNS: Final[tuple["Column[Experiment]", ...]] = (
    Column("id", lambda experiment: experiment.experiment_id, whole=True, right=True),
    Column("name", lambda experiment: experiment.name, whole=True),
    Column("created (UTC)", lambda experiment: minute(experiment.creation_time), whole=True, leaves=1),
    Column("state", lambda experiment: experiment.lifecycle_stage, whole=True, leaves=2),
    Column("files", lambda experiment: experiment.artifact_location, whole=True, leaves=3),
)


@app.command("list", examples=["registry experiments list", "registry experiments list --filter \"name LIKE 'nba%'\""])
def list_experiments(
    filter_string: _Filter = None,
    order_by: _OrderBy = None,
    view: ViewOption = View.ACTIVE,
    limit: Limit = 100,
    everything: Everything = False,
) -> None:
    """List experiments, newest first."""
    client = open_client()
    text = expand_filter(filter_string)
    experiments, more = fetch(
        lambda size, token: client.search_experiments(view.view_type, size, text, order_by, token), limit, everything
    )
    output.listing(experiments, _COLUMNS, nothing="No experiments.", ids=lambda item: item.experiment_id)
    note_more(len(experiments), more)


@app.command("show", examples=["registry experiments show nba"])
def show_experiment(experiment: ExperimentTarget) -> None:
    """Show one experiment: its place for files, its tags, and how many runs it has."""
    client = open_client()
    found = find_experiment(client, experiment)
    counts = {
        view: len(
            fetch(
                lambda size, token, v=view: client.search_runs(  # type: ignore[misc]
                    [found.experiment_id], "", v.view_type, size, page_token=token
                ),
                1,
                everything=True,
            )[0]
        )
        for view in (View.ACTIVE, View.DELETED)
    }
    output.record(
        {
            "experiment": found.name,
            "id": found.experiment_id,
            "state": found.lifecycle_stage,
            "files": found.artifact_location,
            "created": moment(found.creation_time),
            "updated": moment(found.last_update_time),
            "runs": counts[View.ACTIVE],
            "deleted runs": counts[View.DELETED],
            "tags": found.tags,
        },
        document={**output.plain(found), "runs": counts[View.ACTIVE], "deleted_runs": counts[View.DELETED]},
        identity=found.experiment_id,
    )
