"""The list of runs: the table, its columns and charts, CSV, and what is done to selected runs."""

import csv
import io
import itertools
from collections.abc import Iterator, Sequence
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from registry.client import MlflowClient
from registry.client.tracking.search import run_scope
from registry.exceptions import InvalidFilterError, InvalidParameterError, RegistryError
from registry.web.pages import client_of, form_of, go_to, number_of, render
from registry.web.run_list import (
    GROUPS,
    MAX_CHART_RUNS,
    MAX_COLUMNS,
    MAX_SELECTED,
    PAGE,
    RunLine,
    RunsView,
    check_axis,
    column_values,
    find_experiments,
    iterate_lines,
    read_columns,
    read_page,
)

_MAX_KEYS: Final = 500
_SHOWN_EXPERIMENTS: Final = 200
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def show_runs(request: Request) -> Response:
    """Show a page of runs. A filter that cannot be parsed is shown with its error, and no runs."""
    client, view = client_of(request), RunsView.of(request.query_params)
    page = read_page(client, view)
    others = [] if not view.experiments else client.search_experiments(max_results=_SHOWN_EXPERIMENTS)
    listed = {experiment.experiment_id: experiment for experiment in others} | dict(page.experiments)
    return render(
        request,
        "runs.html",
        view=view,
        page=page,
        listed=list(itertools.islice(listed.values(), _SHOWN_EXPERIMENTS + len(page.experiments))),
        axes=_axes(view, page.columns),
        elsewhere=[run_id for run_id in view.selected if run_id not in {line.run_id for line in page.lines}],
        is_live=any(line.status == "RUNNING" for line in page.lines),
        groups=tuple(GROUPS),
        size=PAGE,
        status=200 if page.error is None else 400,
    )


def choose_columns(request: Request) -> Response:
    """Show all keys that the newest runs have, to choose columns from; it needs no script."""
    client, view = client_of(request), RunsView.of(request.query_params)
    text = request.query_params.get("q", "").strip()[:200]
    keys = {group: _recent_keys(client, view, group, text) for group in GROUPS}
    return render(request, "runs_columns.html", view=view, keys=keys, text=text, limit=_MAX_KEYS, most=MAX_COLUMNS)


def list_keys(request: Request) -> Response:
    """Return keys of a kind that contain a text, as JSON: for the chooser, and to complete filters."""
    group = request.query_params.get("group", "")
    if group not in GROUPS:
        raise InvalidParameterError(f"There is no group {group[:40]!r}; there are {', '.join(GROUPS)}.")
    view = RunsView.of(request.query_params)
    return JSONResponse(
        {"keys": _recent_keys(client_of(request), view, group, request.query_params.get("q", "")[:200])}
    )


def list_points(request: Request) -> Response:
    """Return the axes of a chart of runs as JSON: of the first 2,000 runs of the list."""
    view = RunsView.of(request.query_params)
    names = [check_axis(name) for name in view.axes]
    limit = number_of(request, "limit", MAX_CHART_RUNS, at_most=MAX_CHART_RUNS)
    try:
        table, has_more = read_columns(client_of(request), view, names, limit)
    except InvalidFilterError as error:
        return JSONResponse({"error": error.message}, 400)
    return JSONResponse(
        {
            "ids": table.info("run_id"),
            "names": table.info("run_name"),
            "axes": {name: [_plain(value) for value in column_values(table, name)] for name in names},
            "more": has_more,
        }
    )


def download_csv(request: Request) -> Response:
    """Return the runs of the list as CSV, with the columns of the table, at most 100,000."""
    client, view = client_of(request), RunsView.of(request.query_params)
    page = read_page(client, view, 1)
    if page.error is not None:
        raise InvalidFilterError(page.error)
    lines = iterate_lines(client, view, page.columns)
    first = list(itertools.islice(lines, 1))  # an error is an answer of its own, not the end of a file
    return StreamingResponse(
        _csv(page.columns, itertools.chain(first, lines)),
        media_type="text/csv; charset=utf-8",
        headers={"content-disposition": 'attachment; filename="runs.csv"'},
    )


def change_runs(request: Request) -> Response:
    """Delete or restore the selected runs, then show the list again."""
    client = client_of(request)
    run_ids = [str(value) for value in form_of(request).getlist("run")]
    action = request.path_params["action"]
    if not run_ids:
        raise InvalidParameterError("No run is selected; go back and tick at least one.")
    if len(run_ids) > MAX_SELECTED:
        raise InvalidParameterError(f"{len(run_ids)} runs are selected; select at most {MAX_SELECTED}.")
    changes = {"delete": client.delete_run, "restore": client.restore_run}
    if action not in changes:
        raise InvalidParameterError(f"Runs cannot be {action[:40]!r}; they can be deleted and restored.")
    change = changes[action]
    done = 0
    for run_id in run_ids:
        try:
            change(run_id)
        except RegistryError as error:
            raise type(error)(f"{done} of {len(run_ids)} runs are changed, then: {error.message}") from error
        done += 1
    past = "Deleted" if action == "delete" else "Restored"
    return go_to(RunsView.of(request.query_params).url(selected=()), f"{past} {done} run{'s' if done != 1 else ''}.")


def _recent_keys(client: MlflowClient, view: RunsView, group: str, text: str) -> list[str]:
    scope = run_scope(list(find_experiments(client, view)), view.view_type)
    return client.backend.search.recent_keys(scope, GROUPS[group], text, _MAX_KEYS)


def _axes(view: RunsView, columns: Sequence[str]) -> list[str]:
    """Return the axes of the chart: those of the address, or what the columns offer."""
    metrics = [name for name in columns if name.startswith("metrics.")]
    others = [name for name in columns if name.startswith("params.")]
    if view.axes:
        return list(view.axes)
    if view.chart == "trend":
        return ["start_time", *metrics[:1]]
    if view.chart == "scatter":
        return [*(others + metrics)[:1], *(metrics[:1] if others else metrics[1:2])]
    return [*others[:6], *metrics[:4]]


def _plain(value: float | str | None) -> float | str | None:
    """Return a value that JSON has; infinities and NaN are no points of a chart."""
    return None if isinstance(value, float) and not -1e308 < value < 1e308 else value


def _csv(columns: Sequence[str], lines: Iterator[RunLine]) -> Iterator[str]:
    head = ["run_id", "run_name", "status", "experiment_id", "user_id", "start_time", "end_time", *columns]
    yield _csv_line(head)
    for line in lines:
        known = [line.run_id, line.name, line.status, line.experiment_id, line.user_id, line.start_time, line.end_time]
        yield _csv_line([*known, *line.cells])


def _csv_line(values: Sequence[object]) -> str:
    text = io.StringIO()
    csv.writer(text).writerow([_csv_cell(value) for value in values])
    return text.getvalue()


def _csv_cell(value: object) -> object:
    """Return a cell that no spreadsheet takes for a formula."""
    if not isinstance(value, str) or not value.startswith(_FORMULA):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value


routes: Final = [
    Route("/runs", show_runs),
    Route("/runs/columns", choose_columns),
    Route("/runs/keys.json", list_keys),
    Route("/runs/points.json", list_points),
    Route("/runs/runs.csv", download_csv),
    Route("/runs/selected/{action}", change_runs, methods=["POST"]),
]
