"""Runs beside each other: what differs, metrics with the best marked, charts, images; and two model versions."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from registry.client import MlflowClient
from registry.client.registry.comparison import prefers_lower
from registry.entities import Run
from registry.entities.model_registry import ModelVersion
from registry.exceptions import InvalidParameterError
from registry.uris import ModelVersionUri
from registry.validation.names import check_run_id, check_version
from registry.web.formatting import cut
from registry.web.lineage import find_run
from registry.web.pages import client_of, render, url
from registry.web.run import ChartView, find_series
from registry.web.run_list import check_column
from registry.web.versions import read_contents

MAX_RUNS: Final = 200
MAX_METRICS: Final = 100
MAX_PARAMS: Final = 500
MAX_PARAM_COLUMNS: Final = 40
# More runs than these are the rows of the table, not its columns.
MAX_RUN_COLUMNS: Final = 10
_IMAGE_RUNS: Final = 10
_MAX_IMAGES: Final = 40
_MAX_FOLDERS: Final = 20
_IMAGES: Final = frozenset({".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".avif", ".svg"})
_SIGNATURE: Final = ("inputs", "outputs", "params")


@dataclass(frozen=True, slots=True)
class ComparedValue:
    """One row of a comparison: a value per run, None where there is none, and the places of the best ones."""

    key: str
    values: Sequence[float | str | None]
    best: frozenset[int] = frozenset()
    is_lower_better: bool = False


def compare_params(runs: Sequence[Run], *, only_different: bool = True) -> list[ComparedValue]:
    """Return the params of runs; by default those that differ. A missing param is a difference.

    Params that most runs have come first.
    """
    counts = Counter(key for run in runs for key in run.data.params)
    rows = (
        ComparedValue(key, [run.data.params.get(key) for run in runs])
        for key in sorted(counts, key=lambda key: (-counts[key], key))
    )
    return [row for row in rows if not only_different or len(set(row.values)) > 1]


def compare_metrics(runs: Sequence[Run], search: str = "") -> list[ComparedValue]:
    """Return the latest metrics of runs whose key contains a text, the best of each marked unless all are equal.

    Metrics that most runs have come first.
    """
    counts = Counter(key for run in runs for key in run.data.metrics if search.lower() in key.lower())
    rows = []
    for key in sorted(counts, key=lambda key: (-counts[key], key)):
        values = [run.data.metrics.get(key) for run in runs]
        is_lower_better = prefers_lower(key)
        rows.append(ComparedValue(key, values, _best(values, is_lower_better=is_lower_better), is_lower_better))
    return rows


def _best(values: Sequence[float | None], *, is_lower_better: bool) -> frozenset[int]:
    numbers = [value for value in values if value is not None and not math.isnan(value)]
    if not numbers or min(numbers) == max(numbers):
        return frozenset()
    top = min(numbers) if is_lower_better else max(numbers)
    return frozenset(place for place, value in enumerate(values) if value == top)


def show_comparison(request: Request) -> Response:
    """Compare 1 to 200 runs."""
    runs = _runs(request)
    query = request.query_params
    search = query.get("metric", "").strip()[:250]
    shows_all = query.get("params") == "all"
    metrics = compare_metrics(runs, search)
    params = compare_params(runs, only_different=not shows_all)
    most_params = MAX_PARAM_COLUMNS if len(runs) > MAX_RUN_COLUMNS else MAX_PARAMS
    chart = query.get("chart", "series")
    series = set(find_series(client_of(request), runs[0]))
    return render(
        request,
        "compare.html",
        runs=runs,
        labels=[(run.info.run_id, cut(run.info.run_name, 60), run.info.start_time) for run in runs],
        params=params[:most_params],
        left_out_params=max(0, len(params) - most_params),
        metrics=metrics[:MAX_METRICS],
        charts=sorted((row.key for row in metrics[:MAX_METRICS]), key=lambda key: key not in series),
        left_out_metrics=max(0, len(metrics) - MAX_METRICS),
        search=search,
        shows_all=shows_all,
        chart=chart if chart in ("series", "scatter", "parallel") else "series",
        axes=_axes(query.getlist("axis"), params, metrics, chart),
        view=ChartView.of(request),
        is_wide=len(runs) > MAX_RUN_COLUMNS,
        is_live=any(run.info.status == "RUNNING" for run in runs),
        link=lambda **changes: _link(request, changes),
        without=lambda run_id: url("compare", run=[run.info.run_id for run in runs if run.info.run_id != run_id]),
        image_runs=_IMAGE_RUNS,
    )


def list_compared(request: Request) -> Response:
    """Return axes of the compared runs as JSON, for a scatter chart and parallel coordinates."""
    runs = _runs(request)
    names = [check_column(name) for name in request.query_params.getlist("axis") if name]
    return JSONResponse(
        {
            "ids": [run.info.run_id for run in runs],
            "names": [run.info.run_name for run in runs],
            "axes": {name: [_value(run, name) for run in runs] for name in names},
            "more": False,
        }
    )


def show_images(request: Request) -> Response:
    """Show the images and figures of at most ten runs beside each other, by path."""
    client, runs = client_of(request), _runs(request)[:_IMAGE_RUNS]
    paths = [find_images(client, run.info.run_id) for run in runs]
    counts = Counter(path for found in paths for path in found)
    shared = sorted(counts, key=lambda path: (-counts[path], path))
    return render(
        request, "compare_images.html", runs=runs, paths=paths, shared=shared[:_MAX_IMAGES], link=lambda: _link(request)
    )


def find_images(client: MlflowClient, run_id: str) -> list[str]:
    """Return the paths of a run's images: in its root and the folders below, two levels deep."""
    found: list[str] = []
    folders = [""]
    for depth in range(3):
        below: list[str] = []
        for folder in folders[:_MAX_FOLDERS]:
            for entry in client.list_artifacts(run_id, folder or None):
                if entry.is_dir and depth < 2:
                    below.append(entry.path)
                elif PurePosixPath(entry.path).suffix.lower() in _IMAGES:
                    found.append(entry.path)
        folders = below
    return found[:_MAX_IMAGES]


@dataclass(frozen=True, slots=True)
class ComparedVersion:
    """A model version, with what is compared of it."""

    version: ModelVersion
    run: Run | None
    files: Mapping[str, tuple[int, str]]
    signature: Mapping[str, str]
    flavors: Sequence[str]
    requirements: Sequence[str]
    problem: str = ""


def show_versions(request: Request) -> Response:
    """Compare two versions of models: params, metrics, signature, files by digest, requirements."""
    client = client_of(request)
    names = request.query_params.getlist("version")
    if len(names) != 2:
        raise InvalidParameterError(
            f"{len(names)} versions are named; two are compared: version=churn/1&version=churn/2."
        )
    pair = [read_version(client, name) for name in names]
    runs = [one.run for one in pair]
    known = [run for run in runs if run is not None]
    files = sorted({path for one in pair for path in one.files})
    return render(
        request,
        "compare_versions.html",
        pair=pair,
        params=compare_params(known) if len(known) == 2 else [],
        metrics=compare_metrics(known) if len(known) == 2 else [],
        has_runs=len(known) == 2,
        signature=[(part, [one.signature.get(part, "") for one in pair]) for part in _SIGNATURE],
        files=[(path, [one.files.get(path) for one in pair]) for path in files],
        requirements=_compare_lists([one.requirements for one in pair]),
    )


def read_version(client: MlflowClient, name: str) -> ComparedVersion:
    """Read a version named as ``churn/2``, with its run, files, signature and requirements."""
    model_name, _, number = name.rpartition("/")
    version = client.get_model_version(model_name, check_version(number))
    model = client.resolve(str(ModelVersionUri(model_name, int(version.version))))
    manifest = client.backend.logged_models.manifest(model.model_id)
    contents = read_contents(client, model, manifest)
    info = contents.info
    parts = {part: str(getattr(info.signature, part) or "") for part in _SIGNATURE} if info and info.signature else {}
    return ComparedVersion(
        version,
        find_run(client, version),
        files={entry.path: (entry.size, entry.sha256) for entry in manifest.entries},
        signature=parts,
        flavors=sorted(info.flavors) if info else (),
        requirements=_packages(contents.requirements or ""),
        problem=contents.problem or "",
    )


def _packages(requirements: str) -> list[str]:
    lines = map(str.strip, requirements.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _compare_lists(lists: Iterable[Sequence[str]]) -> list[tuple[str, list[bool]]]:
    """Return each item with whether each list has it; items of all lists come last."""
    sets = [frozenset(items) for items in lists]
    items = sorted(frozenset().union(*sets), key=lambda item: (all(item in one for one in sets), item.lower()))
    return [(item, [item in one for one in sets]) for item in items]


def _runs(request: Request) -> list[Run]:
    run_ids = list(dict.fromkeys(request.query_params.getlist("run")))
    if not run_ids:
        raise InvalidParameterError("No run is named; tick runs in the list and choose 'Compare selected'.")
    if len(run_ids) > MAX_RUNS:
        raise InvalidParameterError(f"{len(run_ids)} runs are named; at most {MAX_RUNS} are compared.")
    return client_of(request).backend.runs.get_all([check_run_id(run_id) for run_id in run_ids])


def _axes(
    asked: Sequence[str], params: Sequence[ComparedValue], metrics: Sequence[ComparedValue], chart: str
) -> list[str]:
    """Return the axes of the chart: those of the address, else params that differ and metrics of most runs."""
    if named := [check_column(name) for name in asked if name]:
        return named[:20]
    some_params = [f"params.{row.key}" for row in params if len(set(row.values)) > 1]
    some_metrics = [f"metrics.{row.key}" for row in metrics]
    if chart == "scatter":
        first = (some_params or some_metrics[1:2])[:1]
        return [*first, *some_metrics[:1]]
    return [*some_params[:6], *some_metrics[:4]]


def _value(run: Run, name: str) -> float | str | None:
    group, _, key = name.partition(".")
    values: Mapping[str, Any] = {"params": run.data.params, "metrics": run.data.metrics, "tags": run.data.tags}[group]
    value = values.get(key)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _link(request: Request, changes: Mapping[str, Any] | None = None) -> str:
    """Return the address of this comparison with some changes; lists replace all values of a name."""
    named = changes or {}
    kept = {name: request.query_params.getlist(name) for name in request.query_params if name not in named}
    kept.pop("said", None)
    return url("compare", **kept, **named)


routes: Final = [
    Route("/compare", show_comparison),
    Route("/compare/points.json", list_compared),
    Route("/compare/images", show_images),
    Route("/compare/versions", show_versions),
]
