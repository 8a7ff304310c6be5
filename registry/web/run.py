"""One run: its facts, params, metrics and data, its charts, its files, and how it is changed."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from registry.client import MlflowClient
from registry.entities import FileInfo, LoggedModel, Run
from registry.exceptions import InvalidParameterError, LoggedModelNotFoundError, RunNotFoundError
from registry.validation.names import check_key
from registry.web.artifacts import find_file, preview
from registry.web.pages import client_of, form_of, go_to, number_of, render, text_of, url
from registry.web.run_list import NOTE, PARENT
from registry.web.series import read_series

MAX_CHARTS: Final = 1_000
MAX_LISTED: Final = 1_000
OVERVIEW_CHARTS: Final = 4
METRICS_PER_PAGE: Final = 200
# What one page reads to know extremes; a longer series has them on its chart.
_EXTREME_POINTS: Final = 100_000
_POINTS_OF_TABLE: Final = 200
_AXES: Final = ("step", "relative", "wall")
_SCALES: Final = ("linear", "log")
_SYSTEM: Final = "mlflow."


@dataclass(frozen=True, slots=True)
class MetricLine:
    """A metric of a run; `ends` are its least and greatest value, None if the series is long."""

    key: str
    latest: float
    ends: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class ChartView:
    """How charts are drawn, as the address says it: the horizontal axis, the vertical scale, smoothing and zoom."""

    axis: str = "step"
    scale: str = "linear"
    smoothing: int = 0
    low: str = ""
    high: str = ""

    @classmethod
    def of(cls, request: Request) -> "ChartView":
        """Read the state from the query string; what cannot be is as usual."""
        query = request.query_params
        axis, scale = query.get("x", "step"), query.get("scale", "linear")
        return cls(
            axis if axis in _AXES else "step",
            scale if scale in _SCALES else "linear",
            number_of(request, "smooth", 0, at_most=99) if query.get("smooth", "0") != "0" else 0,
            _step(query.get("low", "")),
            _step(query.get("high", "")),
        )


def _step(text: str) -> str:
    digits = text.removeprefix("-")
    return text if digits.isascii() and digits.isdigit() and len(digits) <= 19 else ""


def show_run(request: Request) -> Response:
    """Show what is known of a run, with its first charts."""
    client = client_of(request)
    run = client.get_run(request.path_params["run_id"])
    page = number_of(request, "page", 1, at_most=1_000_000)
    search = request.query_params.get("metric", "").strip()[:250]
    keys = [key for key in run.data.metrics if search.lower() in key.lower()]
    return _render(
        request,
        client,
        run,
        "run.html",
        metrics=read_metrics(client, run, keys[(page - 1) * METRICS_PER_PAGE : page * METRICS_PER_PAGE]),
        found=len(keys),
        search=search,
        page=page,
        pages=-(-len(keys) // METRICS_PER_PAGE),
        # A single value of a run that goes on may become a series.
        charts=(series_first if run.info.status == "RUNNING" else find_series)(client, run)[:OVERVIEW_CHARTS],
        tags={key: value for key, value in run.data.tags.items() if not key.startswith(_SYSTEM)},
        made=find_models(client, run),
        versions=client.search_model_versions(f"run_id = '{run.info.run_id}'", max_results=100),
        datasets=[(used, read_schema(used.dataset.schema)) for used in run.inputs.dataset_inputs],
    )


def show_charts(request: Request) -> Response:
    """Show a chart of each metric of a run."""
    client = client_of(request)
    run = client.get_run(request.path_params["run_id"])
    search = request.query_params.get("metric", "").strip()[:250]
    keys = [key for key in series_first(client, run) if search.lower() in key.lower()]
    return _render(request, client, run, "run_charts.html", charts=keys[:MAX_CHARTS], search=search)


def show_metric(request: Request) -> Response:
    """Show one metric as a chart and as a table of sampled points, which needs no script."""
    client = client_of(request)
    run = client.get_run(request.path_params["run_id"])
    key = check_key(request.path_params["key"], "metric")
    if key not in run.data.metrics:
        raise InvalidParameterError(f"The run {run.info.run_id} has no metric {key!r}.")
    (series,) = read_series(client, [run.info.run_id], [key], _POINTS_OF_TABLE)
    points = list(zip(series.steps, series.timestamps, series.values, strict=True))
    return _render(request, client, run, "run_metric.html", key=key, points=points)


def show_artifacts(request: Request) -> Response:
    """Show a directory of a run's files, or a preview of one file."""
    client = client_of(request)
    run = client.get_run(request.path_params["run_id"])
    path = request.path_params.get("path", "").strip("/")
    file = find_file(client, run.info.run_id, path) if path else None
    directory = str(PurePosixPath(path).parent) if file else path
    directory = "" if directory == "." else directory
    entries = list_files(client, run.info.run_id, directory)
    return _render(
        request,
        client,
        run,
        "run_artifacts.html",
        status=200 if file or entries or not path else 404,
        path=path,
        directory=directory,
        above=[(part, "/".join(directory.split("/")[: place + 1])) for place, part in enumerate(directory.split("/"))]
        if directory
        else [],
        entries=entries[:MAX_LISTED],
        left_out=max(0, len(entries) - MAX_LISTED),
        file=file,
        preview=preview(file) if file else None,
    )


def list_files(client: MlflowClient, run_id: str, directory: str) -> list[FileInfo]:
    """List a directory of a run, directories first; the root has the models that the run made, too."""
    entries = {entry.path: entry for entry in client.list_artifacts(run_id, directory or None)}
    if not directory:
        for model in find_models(client, client.get_run(run_id)):
            entries.setdefault(model.name, FileInfo(model.name, is_dir=True, file_size=None))
    return sorted(entries.values(), key=lambda entry: (not entry.is_dir, entry.path))


def find_models(client: MlflowClient, run: Run) -> list[LoggedModel]:
    """Return the logged models that a run made and that are not deleted."""
    found: list[LoggedModel] = []
    for made in run.outputs.model_outputs:
        try:
            found.append(client.get_logged_model(made.model_id))
        except LoggedModelNotFoundError:
            continue
    return found


def read_metrics(client: MlflowClient, run: Run, keys: Sequence[str]) -> list[MetricLine]:
    """Return metrics with their extremes, where they can be read in a moment."""
    if not keys:
        return []
    ends = client.backend.series.extremes(run.info.run_id, keys, _EXTREME_POINTS // len(keys))
    return [MetricLine(key, run.data.metrics[key], ends.get(key)) for key in keys if key in run.data.metrics]


def find_series(client: MlflowClient, run: Run) -> list[str]:
    """Return the metrics of a run that have a later step than 0: single values make dull charts."""
    latest = client.backend.series.latest([run.info.run_id])[run.info.run_id]
    return sorted(point.key for point in latest if point.step)


def series_first(client: MlflowClient, run: Run) -> list[str]:
    """Return the metrics of a run: series before single values, which make dull charts."""
    series = find_series(client, run)
    return series + sorted(run.data.metrics.keys() - set(series))


def read_schema(schema: str | None) -> list[tuple[str, str]]:
    """Return the columns of a data set with their types; what cannot be read is one line."""
    if not schema:
        return []
    try:
        content = json.loads(schema)
        columns = content["mlflow_colspec"] if isinstance(content, dict) else content
        return [(str(column.get("name", "")), str(column["type"])) for column in columns][:200]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return [("", schema[:2_000])]


def _find_parent(client: MlflowClient, run: Run) -> Run | None:
    try:
        return client.get_parent_run(run.info.run_id)
    except (RunNotFoundError, InvalidParameterError):  # gc removed it, or the tag is no id
        return None


def _render(
    request: Request, client: MlflowClient, run: Run, template: str, *, status: int = 200, **values: Any
) -> Response:
    tags = run.data.tags
    return render(
        request,
        template,
        status=status,
        run=run,
        experiment=client.get_experiment(run.info.experiment_id),
        parent=_find_parent(client, run) if PARENT in tags else None,
        note=tags.get(NOTE, ""),
        view=ChartView.of(request),
        is_live=run.info.status == "RUNNING" and run.info.lifecycle_stage == "active",
        is_active=run.info.lifecycle_stage == "active",
        **values,
    )


def rename(request: Request) -> Response:
    """Give a run another name."""
    name = text_of(request, "name")
    if name is None:
        raise InvalidParameterError("The name is empty; write one.")
    client_of(request).update_run(_run_id(request), name=name)
    return _back(request, "Renamed.")


def set_note(request: Request) -> Response:
    """Replace the note of a run, or remove it."""
    client, run_id = client_of(request), _run_id(request)
    text = text_of(request, "note")
    if text is not None:
        client.set_tag(run_id, NOTE, text)
    elif NOTE in client.get_run(run_id).data.tags:
        client.delete_tag(run_id, NOTE)
    return _back(request, "The note is saved.")


def set_tag(request: Request) -> Response:
    """Set a tag of a run."""
    key = check_key(text_of(request, "key"), "key")
    client_of(request).set_tag(_run_id(request), key, str(form_of(request).get("value", "")))
    return _back(request, f"The tag {key} is set.")


def delete_tag(request: Request) -> Response:
    """Delete a tag of a run."""
    key = check_key(text_of(request, "key"), "key")
    client_of(request).delete_tag(_run_id(request), key)
    return _back(request, f"The tag {key} is deleted.")


def delete(request: Request) -> Response:
    """Mark a run as deleted."""
    client_of(request).delete_run(_run_id(request))
    return _back(request, "Deleted. It can be restored until gc removes it.")


def restore(request: Request) -> Response:
    """Restore a deleted run."""
    client_of(request).restore_run(_run_id(request))
    return _back(request, "Restored.")


def _run_id(request: Request) -> str:
    run_id: str = request.path_params["run_id"]
    return run_id


def _back(request: Request, said: str) -> Response:
    return go_to(url("runs", _run_id(request)), said)


_CHANGES: Final = {
    "rename": rename,
    "note": set_note,
    "tags": set_tag,
    "tags/delete": delete_tag,
    "delete": delete,
    "restore": restore,
}
routes: Final = [
    Route("/runs/{run_id}", show_run),
    Route("/runs/{run_id}/charts", show_charts),
    Route("/runs/{run_id}/metrics/{key:path}", show_metric),
    Route("/runs/{run_id}/artifacts", show_artifacts),
    Route("/runs/{run_id}/artifacts/{path:path}", show_artifacts),
    *(Route(f"/runs/{{run_id}}/{path}", change, methods=["POST"]) for path, change in _CHANGES.items()),
]
