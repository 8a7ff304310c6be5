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
_TENURES: Final = 100
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
    overview = client.backend.overview
    size, below = number_of(request, "n", _VERSIONS, at_most=200), number_of(request, "below", 0, at_most=10**9) or None
    versions = overview.versions(name, newest=size, before=below)
    newest = versions if below is None else overview.versions(name, newest=_JUDGED)
    before = number_of(request, "before", 0, at_most=10**18) or None
    tenures = [one.tenure for one in overview.tenures(name, newest=_TENURES, before=before)]
    held = [one.tenure for one in overview.holders(names=[name], stages=())]
    return render(
        request,
        "model.html",
        model=model,
        versions=versions,
        below=versions[-1].version if len(versions) == size else None,
        is_first_page=below is None,
        holders=sorted(held, key=lambda tenure: (tenure.stage.startswith("@"), tenure.stage)),
        tenures=tenures,
        earlier=tenures[-1].since if len(tenures) == _TENURES else None,
        is_newest=before is None,
        timeline=draw_timeline(tenures, time.time_ns() // 1000 if before is None else None),
        tick_text=tick_text,
        guarded=guarded_stages(client, name, newest[:_JUDGED]),
        incidents=unfinished_incidents(client, name),
        events=overview.events(name=name, limit=_EVENTS),
        deleted=overview.deleted_versions(name),
        active_stages=ACTIVE_STAGES,
    )


def guarded_stages(client: MlflowClient, name: str, versions: Sequence[ModelVersion]) -> list[GuardedStage]:
    """Return the stages with rules, and whether the newest versions pass them now."""
    stages = []
    for stage in reversed(ACTIVE_STAGES):
        rules = client.get_promotion_rules(name, stage)
        if rules:
            numbers = [version.version for version in versions]
            judged = client.backend.promotion_rules.check_many(name, numbers, stage)
            verdicts = list(zip(*judged.values(), strict=True))
            # The rules of the moment in which versions were judged, if there are versions.
            rules = [of_rule[0].rule for of_rule in verdicts] or rules
            stages.append(GuardedStage(stage, rules, list(judged), verdicts))
    return stages


def show_history(request: Request) -> Response:
    """Show the events of a model, newest first."""
    client, name = client_of(request), request.path_params["name"]
    before = number_of(request, "before", 0, at_most=10**9) or None
    version = number_of(request, "version", 0, at_most=10**9) or None
    events = client.backend.overview.events(name=name, version=version, before=before, limit=_HISTORY_PAGE)
    older = events[-1].position if len(events) == _HISTORY_PAGE else None
    return render(request, "history.html", name=name, version=version, events=events, older=older)


routes: Final = [
    Route("/models/{name}", show_model),
    Route("/models/{name}/history", show_history),
]
