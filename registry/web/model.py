"""The page of a registered model, and its whole history."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from registry.client import MlflowClient
from registry.entities.model_registry import ModelVersion
from registry.entities.stages import ACTIVE_STAGES
from registry.web.incidents import unfinished_incidents
from registry.web.pages import client_of, number_of, render
from registry.web.timeline import draw_timeline, tick_text

if TYPE_CHECKING:
    from registry.rules import PromotionRule, Verdict

_VERSIONS: Final = 25
_TENURES: Final = 250
_JUDGED: Final = 5
_EVENTS: Final = 15
_HISTORY_PAGE: Final = 100


@dataclass(frozen=True, slots=True)
class GuardedStage:
    """The rules of a stage, and what they say of the newest versions: per rule the verdicts in their order."""

    stage: str
    rules: "Sequence[PromotionRule]"
    versions: Sequence[int]
    verdicts: "Sequence[Sequence[Verdict]]"


def show_model(request: Request) -> Response:
    """Show a model: holders, timeline, versions, rules and newest events."""
    client, name = client_of(request), request.path_params["name"]
    model = client.get_registered_model(name)
    token = request.query_params.get("page") or None
    versions = client.search_model_versions(
        of_model(name), number_of(request, "n", _VERSIONS, at_most=200), ["version_number DESC"], token
    )
    newest = (
        versions if token is None else client.search_model_versions(of_model(name), _JUDGED, ["version_number DESC"])
    )
    tenures = [one.tenure for one in client.backend.overview.tenures(name, newest=_TENURES)]
    timeline = draw_timeline(tenures, time.time_ns() // 1000)
    held = sorted((t for t in tenures if t.until is None), key=lambda t: (t.stage.startswith("@"), t.stage))
    return render(
        request,
        "model.html",
        model=model,
        versions=versions,
        next_page=versions.token,
        is_first_page=token is None,
        holders=held,
        tenures=tenures,
        has_all_tenures=len(tenures) < _TENURES,
        timeline=timeline,
        tick_text=tick_text,
        guarded=guarded_stages(client, name, newest[:_JUDGED]),
        incidents=unfinished_incidents(client, name),
        events=client.backend.overview.events(name=name, limit=_EVENTS),
        deleted=client.backend.overview.deleted_versions(name),
        active_stages=ACTIVE_STAGES,
    )


def guarded_stages(client: MlflowClient, name: str, versions: Sequence[ModelVersion]) -> list[GuardedStage]:
    """Return the stages with rules, and whether the newest versions pass them now."""
    stages = []
    for stage in reversed(ACTIVE_STAGES):
        rules = client.get_promotion_rules(name, stage)
        if rules:
            by_version = [client.check_promotion(name, version.version, stage) for version in versions]
            stages.append(
                GuardedStage(stage, rules, [v.version for v in versions], list(zip(*by_version, strict=True)))
            )
    return stages


def show_history(request: Request) -> Response:
    """Show the events of a model, newest first."""
    client, name = client_of(request), request.path_params["name"]
    before = number_of(request, "before", 0, at_most=10**9) or None
    version = number_of(request, "version", 0, at_most=10**9) or None
    events = client.backend.overview.events(name=name, version=version, before=before, limit=_HISTORY_PAGE)
    older = events[-1].position if len(events) == _HISTORY_PAGE else None
    return render(request, "history.html", name=name, version=version, events=events, older=older)


def of_model(name: str) -> str:
    """Return the filter for the versions of one model."""
    quoted = name.replace("'", "''")
    return f"name = '{quoted}'"


routes: Final = [
    Route("/models/{name}", show_model),
    Route("/models/{name}/history", show_history),
]
