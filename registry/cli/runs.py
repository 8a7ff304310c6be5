"""``registry runs``: list, show and compare runs."""

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from registry.cli import output
from registry.cli.experiments import find_experiment
from registry.cli.formatting import duration, minute, moment
from registry.cli.options import AsJson, Filter, Limit, OrderBy, TrackingUri, View, ViewOption, noun, open_client
from registry.cli.output import Column

if TYPE_CHECKING:
    from registry import MlflowClient
    from registry.entities import DatasetInput, Run

app = noun("runs", "Runs: their settings, metrics, data and models.")

_Experiments = Annotated[
    list[str] | None,
    typer.Option("--experiment", "-e", metavar="EXPERIMENT", help="Its name or id; may be repeated. Default: all."),
]
_Metrics = Annotated[
    list[str] | None, typer.Option("--metric", metavar="KEY", help="Show this metric as a column; may be repeated.")
]
_Params = Annotated[
    list[str] | None, typer.Option("--param", metavar="KEY", help="Show this param as a column; may be repeated.")
]


@app.command("list")
def list_runs(
    experiment: _Experiments = None,
    metric: _Metrics = None,
    param: _Params = None,
    filter_string: Filter = None,
    order_by: OrderBy = None,
    view: ViewOption = View.ACTIVE,
    max_results: Limit = 50,
    as_json: AsJson = False,
    tracking_uri: TrackingUri = None,
) -> None:
    """List runs, newest first."""
    client = open_client(tracking_uri)
    experiment_ids = _experiment_ids(client, experiment)
    runs = client.search_runs(
        experiment_ids,
        filter_string=filter_string or "",
        run_view_type=view.view_type,
        max_results=max_results,
        order_by=order_by,
    )
    _warn_of_unknown_columns(client, runs, experiment_ids, view, metric or (), param or ())
    output.listing(runs, columns(param or (), metric or ()), json=as_json, nothing="No runs.")
    output.note_more(runs)


@app.command("show")
def show_run(
    run_id: Annotated[str, typer.Argument(metavar="RUN_ID", help="The run's id.")],
    as_json: AsJson = False,
    tracking_uri: TrackingUri = None,
) -> None:
    """Show one run: its settings, latest metrics, tags, data and models."""
    run = open_client(tracking_uri).get_run(run_id)
    if as_json:
        output.as_json(run)
        return
    output.record(_facts(run))
    for title, values in _sections(run).items():
        if values:
            output.record(values, title)


@app.command("compare")
def compare_runs(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN...", help="Ids of runs, or versions such as models:/churn/Production.")
    ],
    lower_is_better: Annotated[
        list[str] | None,
        typer.Option("--lower-is-better", metavar="KEY", help="A metric that is better when lower; may be repeated."),
    ] = None,
    as_json: AsJson = False,
    tracking_uri: TrackingUri = None,
) -> None:
    """Compare runs or versions: params that differ, and metrics with the best one marked."""
    table = open_client(tracking_uri).compare(runs, lower_is_better=lower_is_better or None)
    rows = [{"field": field, **row} for field, row in table.astype(object).where(table.notna(), None).T.items()]
    names = ["field", *(name for name in table.columns if name != "better")]
    shown: list[Column[dict[str, Any]]] = [Column(name, itemgetter(name)) for name in names]
    output.listing(rows, shown, json=as_json, nothing="They have the same params and no metrics.")


def _warn_of_unknown_columns(
    client: "MlflowClient",
    runs: "Sequence[Run]",
    experiment_ids: Sequence[str],
    view: View,
    metrics: Sequence[str],
    params: Sequence[str],
) -> None:
    from registry.client.tracking.search import warn_of_unknown_keys
    from registry.filters import Field, Kind

    fields = [*(Field(Kind.METRIC, key) for key in metrics), *(Field(Kind.PARAM, key) for key in params)]
    warn_of_unknown_keys(client, runs, experiment_ids, view.view_type, fields)


def columns(params: Sequence[str] = (), metrics: Sequence[str] = ()) -> "list[Column[Run]]":
    """Return the columns of a table of runs: these params and latest metrics, or else the start time."""
    compared = [*map(param_column, params), *map(metric_column, metrics)]
    return [*_COLUMNS, *(compared or [_STARTED])]


_COLUMNS: Final[tuple["Column[Run]", ...]] = (
    Column("run id", lambda run: run.info.run_id, whole=True),
    Column("name", lambda run: run.info.run_name),
    Column("status", lambda run: run.info.status, whole=True),
)
_STARTED: Final["Column[Run]"] = Column("started (UTC)", lambda run: minute(run.info.start_time), whole=True)


def param_column(key: str, header: str | None = None) -> "Column[Run]":
    """Return a column with a param, under its key or another header."""
    return Column(header or key, lambda run: run.data.params.get(key))


def metric_column(key: str) -> "Column[Run]":
    """Return a column with the latest value of a metric."""
    return Column(key, lambda run: run.data.metrics.get(key), right=True)


def _facts(run: "Run") -> dict[str, object]:
    info = run.info
    took = None if info.end_time is None else info.end_time - info.start_time
    return {
        "run": info.run_id,
        "name": info.run_name,
        "experiment": info.experiment_id,
        "status": info.status,
        "state": info.lifecycle_stage,
        "user": info.user_id,
        "started": moment(info.start_time),
        "took": duration(took),
        "files": info.artifact_uri,
    }


def _sections(run: "Run") -> dict[str, Mapping[str, object]]:
    return {
        "Params": run.data.params,
        "Metrics (latest)": run.data.metrics,
        "Data": {use.dataset.name: _purpose(use) for use in run.inputs.dataset_inputs},
        "Models": {made.model_id: f"step {made.step}" for made in run.outputs.model_outputs},
        "Tags": run.data.tags,
    }


def _purpose(use: "DatasetInput") -> str:
    purposes = [tag.value for tag in use.tags if tag.key == "mlflow.data.context"]
    return ", ".join([*purposes, f"digest {use.dataset.digest}"])


def _experiment_ids(client: "MlflowClient", named: Sequence[str] | None) -> list[str]:
    if named:
        return [find_experiment(client, name).experiment_id for name in named]
    ids: list[str] = []
    token: str | None = None
    while True:
        page = client.search_experiments(view_type=View.ALL.view_type, page_token=token)
        ids += [experiment.experiment_id for experiment in page]
        token = page.token
        if not token:
            return ids
