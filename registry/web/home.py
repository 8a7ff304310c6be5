"""The first page: what is in Production, what changed, what runs or failed, and what storage is used."""

import time
from collections.abc import Sequence
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from registry.client import MlflowClient
from registry.entities import Run
from registry.entities.stages import PRODUCTION
from registry.store.registry.overview import MAX_COUNTED
from registry.web.incidents import unfinished_incidents
from registry.web.pages import client_of, render

_WEEK_US: Final = 7 * 86_400 * 1_000_000
_HOLDERS: Final = 50
_EVENTS: Final = 20
_INCIDENTS: Final = 50
_RUNS: Final = 8
_EXPERIMENTS: Final = 1_000
_ITEMS: Final = 200


def show(request: Request) -> Response:
    """Show the first page."""
    client = client_of(request)
    overview = client.backend.overview
    week = time.time_ns() // 1_000 - _WEEK_US
    experiments = client.search_experiments(max_results=_EXPERIMENTS)
    ids = [experiment.experiment_id for experiment in experiments]
    return render(
        request,
        "home.html",
        production=overview.holders(stages=[PRODUCTION], limit=_HOLDERS + 1),
        shown_holders=_HOLDERS,
        incidents=unfinished_incidents(client)[:_INCIDENTS],
        events=overview.events(since=week, limit=_EVENTS),
        running=_runs(client, ids, "RUNNING"),
        failed=_runs(client, ids, "FAILED", week),
        experiment_names={experiment.experiment_id: experiment.name for experiment in experiments},
        storage=overview.storage(),
        max_counted=MAX_COUNTED,
    )


def _runs(client: MlflowClient, experiment_ids: Sequence[str], status: str, since_us: int = 0) -> Sequence[Run]:
    if not experiment_ids:
        return []
    condition = f"attributes.status = '{status}' AND attributes.start_time >= {since_us // 1000}"
    return client.search_runs(experiment_ids, condition, max_results=_RUNS, order_by=["attributes.start_time DESC"])


def show_storage(request: Request) -> Response:
    """Show what gc would remove; it measures files, so it has a page of its own."""
    client = client_of(request)
    report = client.collect_garbage()
    items = sorted(report.items, key=lambda item: -item.size_bytes)
    return render(
        request, "storage.html", report=report, items=items[:_ITEMS], storage=client.backend.overview.storage()
    )


routes: Final = [Route("/", show), Route("/storage", show_storage)]
