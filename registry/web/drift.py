"""The drift page of a model: what its checks found, column by column and over time, and its incidents with evidence.

Guarantees: a report that differs from the digest that its check recorded is not shown.
"""

import functools
import shlex
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from registry.client import MlflowClient
from registry.entities import Incident, Monitor
from registry.entities.monitors import IncidentStatus, MonitorCheck
from registry.entities.stages import PRODUCTION
from registry.exceptions import ArtifactNotFoundError, InvalidParameterError, RegistryError
from registry.monitoring.distributions import DISTRIBUTIONS_FILE, Distributions
from registry.monitoring.monitors import monitor_states
from registry.monitoring.report import REPORT_FILE, ColumnResult, DriftReport, read_report
from registry.web.drift_charts import Bars, draw_bars, draw_performance, most_changed, time_label
from registry.web.formatting import span
from registry.web.heat_map import Key, Row, draw_heat_map, name_of, results_of
from registry.web.incidents import unfinished_incidents
from registry.web.pages import client_of, number_of, render, url

_CHECKS: Final = 20
_MOST_CHECKS: Final = 100
_ROWS: Final = 40
_DRAWN: Final = 6
_CLOSED: Final = 20
_MOST_BYTES: Final = 32 * 1024 * 1024
_TENURES: Final = 250
_READERS: Final = 8
_RESULT_FIELDS: Final = ("detector", "effect", "threshold", "p_adjusted", "drifted", "note")


@dataclass(frozen=True, slots=True)
class ShownCheck:
    """A check with its report, or what there is to say instead."""

    check: MonitorCheck
    report: DriftReport | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class Details:
    """What one check compared: its distributions, and the results of one column if one was chosen."""

    shown: ShownCheck
    bars: Sequence[Bars]
    has_distributions: bool
    chosen: Key | None
    results: Sequence[ColumnResult]


@dataclass(frozen=True, slots=True)
class ShownIncident:
    """An incident, with the figures of its evidence that can be shown."""

    incident: Incident
    window: tuple[int, int] | None
    facts: Mapping[str, str]
    results: Sequence[Mapping[str, Any]]


def show_drift(request: Request) -> Response:
    """Show the checks of a model as a heat map, one of them in detail, performance over time, and the incidents."""
    client, name = client_of(request), request.path_params["name"]
    model = client.get_registered_model(name)
    query = request.query_params
    asked = number_of(request, "check", 0, at_most=10**9)
    checks, has_older = _checks(request, client, name, asked)
    shown = _read_all(client, checks[::-1])
    selected = _select(shown, asked)
    chosen = _key(query.get("column", ""), query.get("segment", ""))
    rows = draw_heat_map([one.report for one in shown])
    states = monitor_states(client, name)
    everything = query.get("all", "") == "1"
    kept = {
        "monitor": query.get("monitor"),
        "before": query.get("before"),
        "n": query.get("n"),
        "all": query.get("all"),
    }
    distributions = None if selected is None else _distributions(client, selected.check)
    closed = client.backend.incidents.list(name, [IncidentStatus.CLOSED], newest=_CLOSED)[::-1]
    return render(
        request,
        "drift.html",
        model=model,
        states=states,
        next_command=_next_command(client, name, [state.monitor for state in states], checks),
        shown=shown,
        older=checks[-1].id if has_older else None,
        rows=rows if everything else _first_rows(rows, chosen),
        hidden_rows=0 if everything else max(0, len(rows) - _ROWS),
        name_of=name_of,
        selected=selected,
        details=None if selected is None else _details(selected, distributions, chosen),
        performance=_performance(client, name, shown, distributions),
        time_label=time_label,
        span=lambda seconds: span(timedelta(seconds=seconds)),
        incidents=[_evidence(incident) for incident in unfinished_incidents(client, name)],
        closed=[_evidence(incident) for incident in closed],
        link=functools.partial(_link, name, kept),
        monitor=number_of(request, "monitor", 0, at_most=10**9),
    )


def _link(name: str, kept: Mapping[str, str | None], **changes: Any) -> str:
    return url("models", name, "drift", **{**kept, **changes})


def _checks(request: Request, client: MlflowClient, name: str, asked: int) -> tuple[Sequence[MonitorCheck], bool]:
    """Return the checks to show, newest first, with the one that was asked for; and whether there are older ones."""
    monitor = number_of(request, "monitor", 0, at_most=10**9) or None
    before = number_of(request, "before", 0, at_most=10**9) or None
    limit = number_of(request, "n", _CHECKS, at_most=_MOST_CHECKS)
    store = client.backend.monitors
    found = store.list_checks_of_model(name, limit + 1, monitor_id=monitor, before=before)
    if before is None and asked and asked not in [check.id for check in found[:limit]]:
        since = store.list_checks_of_model(name, limit + 1, monitor_id=monitor, before=asked + 1)
        found = since if since and since[0].id == asked else found
    return found[:limit], len(found) > limit


def _read_all(client: MlflowClient, checks: Sequence[MonitorCheck]) -> list[ShownCheck]:
    """Read the reports of checks, several at once: each is a file, which may be far away."""
    with ThreadPoolExecutor(_READERS, thread_name_prefix="registry-reports") as threads:
        return list(threads.map(lambda check: _read(client, check), checks))


def _read(client: MlflowClient, check: MonitorCheck) -> ShownCheck:
    if check.run_id is None or check.report_digest is None:
        return ShownCheck(check, None, check.message or "There is no report.")
    try:
        return ShownCheck(check, _report(client, check.run_id, check.report_digest), None)
    except RegistryError as error:  # one that cannot be read hides no other
        return ShownCheck(check, None, error.message)


@functools.lru_cache(maxsize=128)
def _report(client: MlflowClient, run_id: str, digest: str) -> DriftReport:
    # Cached under its digest: what the digest names never changes.
    return read_report(_file(client, run_id, REPORT_FILE), digest)


def _distributions(client: MlflowClient, check: MonitorCheck) -> Distributions | None:
    try:
        return (
            None if check.run_id is None else Distributions.from_json(_file(client, check.run_id, DISTRIBUTIONS_FILE))
        )
    except RegistryError:
        return None


def _file(client: MlflowClient, run_id: str, path: str) -> bytes:
    store = client.backend.run_files(run_id)
    found = store.find(path)
    if found is None:
        raise ArtifactNotFoundError(f"The check's run {run_id} has no {path}.")
    if (found.file_size or 0) > _MOST_BYTES:
        raise InvalidParameterError(
            f"{path} of the run {run_id} has {found.file_size:,} bytes; no check writes so many."
        )
    return store.read(path)


def _select(shown: Sequence[ShownCheck], asked: int) -> ShownCheck | None:
    """Return the check that was asked for, else the newest with a report."""
    named = next((one for one in shown if one.check.id == asked), None)
    return named or next((one for one in reversed(shown) if one.report is not None), None)


def _key(column: str, segment: str) -> Key | None:
    role, found, name = column.partition("/")
    return (role, name, segment) if found else None


def _first_rows(rows: Sequence[Row], chosen: Key | None) -> Sequence[Row]:
    return [row for place, row in enumerate(rows) if place < _ROWS or row.key == chosen]


def _details(selected: ShownCheck, distributions: Distributions | None, chosen: Key | None) -> Details:
    report = selected.report
    results = () if report is None or chosen is None else results_of(report, chosen)
    if report is None or distributions is None:
        return Details(selected, (), False, chosen, results)
    drawn = most_changed(report, distributions.columns, _DRAWN)
    if chosen is not None:
        role, name, segment = chosen
        one = None if segment else distributions.find(role, name)
        drawn = [] if one is None else [one]
    return Details(selected, [draw_bars(one) for one in drawn], True, chosen, results)


def _performance(
    client: MlflowClient, name: str, shown: Sequence[ShownCheck], distributions: Distributions | None
) -> Any:
    reports = [(one.check, one.report) for one in shown if one.report is not None]
    stage = next((report.stage for _, report in reversed(reports) if report.stage), PRODUCTION)
    tenures = [one.tenure for one in client.backend.overview.tenures(name, newest=_TENURES)]
    reference = None
    if distributions is not None and distributions.metric is not None and distributions.reference_value is not None:
        reference = (distributions.metric, distributions.reference_value)
    return draw_performance(reports, tenures, stage, reference)


def _next_command(
    client: MlflowClient, name: str, monitors: Sequence[Monitor], checks: Sequence[MonitorCheck]
) -> tuple[str, str] | None:
    """Return what is missing before anything can be shown here, and the command that does it; None if nothing is."""
    if checks:
        return None
    target = shlex.quote(f"{name}/1")
    if client.find_model_version_by_stage(name, PRODUCTION) is None and not monitors:
        return (
            "No version is in Production, so nothing is observed.",
            f"registry versions promote {target} Production",
        )
    if not monitors:
        return "Nothing checks this model for drift.", f"registry monitor add {shlex.quote(name)} --every 1d"
    return "No check has been made yet.", "registry monitor run"


def _evidence(incident: Incident) -> ShownIncident:
    figures = incident.figures if isinstance(incident.figures, Mapping) else {}
    given = figures.get("results")
    found = [one for one in given if isinstance(one, Mapping)] if isinstance(given, list) else []
    results = [{field: one.get(field) for field in _RESULT_FIELDS} for one in found]
    facts = {key: str(value) for key, value in figures.items() if key not in ("results", "window")}
    return ShownIncident(incident, _window(figures.get("window")), facts, results)


def _window(given: Any) -> tuple[int, int] | None:
    """Return the beginning and end of a window (microseconds) that an incident's figures name, or None."""
    try:
        first, last = (int(datetime.fromisoformat(moment).timestamp()) * 1_000_000 for moment in given)
    except (TypeError, ValueError, OverflowError):
        return None
    return first, last


routes: Final = [Route("/models/{name}/drift", show_drift)]
