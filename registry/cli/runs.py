"""``registry runs``: list, show and compare runs."""

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from registry.cli import output
from registry.cli.commands import noun
from registry.cli.formatting import duration, minute, moment
from registry.cli.options import (
    Everything,
    Limit,
    RunTarget,
    Since,
    Until,
    View,
    ViewOption,
    fetch,
    filter_option,
    note_more,
    open_client,
    order_option,
)
from registry.cli.output import Column
from registry.cli.targets import find_experiment, find_run, run_or_version
from registry.cli.times import expand_filter, parse_moment
from registry.entities.times import format_time
from registry.exceptions import InvalidParameterError
from registry.validation.names import nearest

if TYPE_CHECKING:
    from datetime import datetime

    from registry import MlflowClient
    from registry.entities import DatasetInput, Run

app = noun("runs", "Runs: their params, metrics, data and models.")

_Filter = Annotated[str | None, filter_option("metrics.auc > 0.9 AND params.depth = '3'")]
_OrderBy = Annotated[list[str] | None, order_option("metrics.auc DESC")]

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


@app.command(
    "list",
    examples=[
        "registry runs list --since 7d --best auc",
        "registry runs list -e nba --filter \"metrics.auc > 0.9 AND params.depth = '3'\"",
        "registry runs list -e nba --all --csv > runs.csv",
    ],
)
def list_runs(
    experiment: _Experiments = None,
    since: Since = None,
    until: Until = None,
    best: Annotated[
        str | None,
        typer.Option("--best", metavar="METRIC", help="Best first; a loss, an error or a duration is best when low."),
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", metavar="KEY=VALUE", help="Only with this tag; may be repeated.")
    ] = None,
    status: Annotated[
        str | None, typer.Option("--status", metavar="STATUS", help="RUNNING, SCHEDULED, FINISHED, FAILED or KILLED.")
    ] = None,
    metric: _Metrics = None,
    param: _Params = None,
    filter_string: _Filter = None,
    order_by: _OrderBy = None,
    view: ViewOption = View.ACTIVE,
    limit: Limit = 50,
    everything: Everything = False,
) -> None:
    """List runs, newest first, with the metrics and params that they are sorted by."""
    client = open_client()
    names = _experiments(client, experiment)
    order = [_best_first(best), *(order_by or ())] if best else order_by
    text = _conditions(
        expand_filter(filter_string), since=parse_moment(since), until=parse_moment(until), tags=tag, status=status
    )
    runs, more = fetch(
        lambda size, token: client.search_runs(list(names), text, view.view_type, size, order, token), limit, everything
    )
    _warn_of_unknown_columns(client, runs, list(names), view, metric or (), param or ())
    sorted_by = _keys_of(order)
    params = dict.fromkeys([*(param or ()), *(key for kind, key in sorted_by if kind == "param")])
    metrics = dict.fromkeys([*(metric or ()), *(key for kind, key in sorted_by if kind == "metric")])
    output.listing(
        runs,
        columns(list(params), list(metrics), {} if len(experiment or ()) == 1 else names),
        nothing="No runs.",
        ids=lambda run: run.info.run_id,
    )
    note_more(len(runs), more)


@app.command("show", examples=["registry runs show 66ea", "registry runs show 66ea --json | jq .data.metrics"])
def show_run(run: RunTarget) -> None:
    """Show one run: its params, latest metrics, tags, data and models."""
    client = open_client()
    found = find_run(client, run)
    sections = _sections(found)
    flat = {f"{title.lower()}.{key}": value for title, values in sections.items() for key, value in values.items()}
    facts = _facts(found, client.get_experiment(found.info.experiment_id).name)
    if not output.is_for_people():
        output.record({**facts, **flat}, document=found, identity=found.info.run_id)
        return
    output.record(facts)
    for title, values in sections.items():
        if values:
            output.record(values, title)


@app.command(
    "compare",
    examples=["registry runs compare 66ea 91f0", "registry runs compare churn/Production churn/7 --csv"],
)
def compare_runs(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN|VERSION...", help="Runs, or versions such as churn/Production.")
    ],
    lower_is_better: Annotated[
        list[str] | None,
        typer.Option("--lower-is-better", metavar="KEY", help="A metric that is better when lower; may be repeated."),
    ] = None,
) -> None:
    """Compare runs or versions: params that differ, and metrics with the best one marked."""
    client = open_client()
    compared = client.compare([run_or_version(client, text) for text in runs], lower_is_better=lower_is_better or None)
    rows = [{"field": field, **row} for field, row in compared.astype(object).where(compared.notna(), None).T.items()]
    names = ["field", *(name for name in compared.columns if name != "better")]
    shown: list[Column[dict[str, Any]]] = [
        Column(name, itemgetter(name), whole=True, leaves=1 if name == "difference" else 0) for name in names
    ]
    output.listing(rows, shown, nothing="They have the same params and no metrics.")


def _best_first(metric: str) -> str:
    from registry.client.registry.comparison import prefers_lower

    return f"metrics.`{metric}` {'ASC' if prefers_lower(metric) else 'DESC'}"


def _conditions(
    filter_string: str | None,
    *,
    since: "datetime | None",
    until: "datetime | None",
    tags: Sequence[str] | None,
    status: str | None,
) -> str:
    """Return one filter of all conditions. The user's own comes alone if it is alone: an error points into it."""
    conditions = []
    if since is not None:
        conditions.append(f"attributes.start_time >= '{format_time(since)}'")
    if until is not None:
        conditions.append(f"attributes.start_time < '{format_time(until)}'")
    for tag in tags or ():
        key, equals, value = tag.partition("=")
        if not equals or "`" in key:
            raise InvalidParameterError(f"--tag takes KEY=VALUE, such as team=east, not {tag!r}.")
        conditions.append(f"tags.`{key}` = {_quoted(value)}")
    if status is not None:
        conditions.append(f"attributes.status = {_quoted(run_status(status))}")
    if filter_string and conditions:
        from registry.filters import Subject, parse_filter

        parse_filter(filter_string, Subject.RUNS)
        conditions.append(f"({filter_string})")
    return " AND ".join(conditions) if conditions else filter_string or ""


def run_status(text: str) -> str:
    """Return the status that a text names in any case."""
    from registry.entities import RunStatus

    known = [RunStatus.to_string(number) for number in RunStatus.all_status()]
    if text.upper() not in known:
        close = nearest(text.upper(), known)
        raise InvalidParameterError(f"There is no run status {text!r}.{close} There are {', '.join(known)}.")
    return text.upper()


def _quoted(value: str) -> str:
    escaped = value.replace("'", "''")
    return f"'{escaped}'"


def _keys_of(order_by: Sequence[str] | None) -> list[tuple[str, str]]:
    """Return the kind and key of each metric and param that a listing is sorted by."""
    from registry.filters import Kind, Subject, parse_order_by

    kinds = {Kind.METRIC: "metric", Kind.PARAM: "param"}
    fields = [key.field for key in parse_order_by(order_by, Subject.RUNS)]
    return [(kinds[field.kind], field.key) for field in fields if field.kind in kinds]


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

    fields: list[Field] = [
        *(Field(Kind.METRIC, key) for key in metrics),
        *(Field(Kind.PARAM, key) for key in params),
    ]
    if fields:
        warn_of_unknown_keys(client, runs, experiment_ids, view.view_type, fields)


def columns(
    params: Sequence[str] = (), metrics: Sequence[str] = (), experiments: Mapping[str, str] | None = None
) -> "list[Column[Run]]":
    """Return the columns of a table of runs: these params and latest metrics, and the experiment of each."""
    named: list[Column[Run]] = []
    if experiments:
        names = experiments
        named.append(Column("experiment", lambda run: names.get(run.info.experiment_id), whole=True, leaves=2))
    return [*_COLUMNS, *named, *map(metric_column, metrics), *map(param_column, params), *_TIMES]


_COLUMNS: Final[tuple["Column[Run]", ...]] = (
    Column("run id", lambda run: run.info.run_id, whole=True),
    Column("name", lambda run: run.info.run_name, whole=True),
    Column("status", lambda run: run.info.status, whole=True, leaves=4),
)
_TIMES: Final[tuple["Column[Run]", ...]] = (
    Column("started (UTC)", lambda run: minute(run.info.start_time), whole=True, leaves=3),
    Column("took", lambda run: duration(_took(run)), whole=True, right=True, leaves=5),
)


def param_column(key: str, header: str | None = None) -> "Column[Run]":
    """Return a column with a param, under its key or another header."""
    return Column(header or key, lambda run: run.data.params.get(key))


def metric_column(key: str) -> "Column[Run]":
    """Return a column with the latest value of a metric."""
    return Column(key, lambda run: run.data.metrics.get(key), whole=True, right=True)


def _took(run: "Run") -> int | None:
    return None if run.info.end_time is None else run.info.end_time - run.info.start_time


def _facts(run: "Run", experiment: str) -> dict[str, object]:
    info = run.info
    return {
        "run": info.run_id,
        "name": info.run_name,
        "experiment": experiment,
        "status": info.status,
        "state": info.lifecycle_stage,
        "user": info.user_id,
        "started": moment(info.start_time),
        "took": duration(_took(run)),
        "files": info.artifact_uri,
    }


def _sections(run: "Run") -> dict[str, Mapping[str, object]]:
    return {
        "Params": run.data.params,
        "Metrics": run.data.metrics,
        "Data": {use.dataset.name: _purpose(use) for use in run.inputs.dataset_inputs},
        "Models": {made.model_id: f"step {made.step}" for made in run.outputs.model_outputs},
        "Tags": run.data.tags,
    }


def _purpose(use: "DatasetInput") -> str:
    purposes = [tag.value for tag in use.tags if tag.key == "mlflow.data.context"]
    return ", ".join([*purposes, f"digest {use.dataset.digest}"])


def _experiments(client: "MlflowClient", named: Sequence[str] | None) -> dict[str, str]:
    """Return the names of these experiments by id, or of all."""
    if named:
        found = [find_experiment(client, name) for name in named]
    else:
        found, _ = fetch(
            lambda size, token: client.search_experiments(View.ALL.view_type, size, page_token=token), 1, True
        )
    return {experiment.experiment_id: experiment.name for experiment in found}
