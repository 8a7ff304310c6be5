"""The state of all monitors: as values, and in Prometheus' text format."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from registry.client import MlflowClient
from registry.entities import Incident, Monitor, TriggerDelivery
from registry.entities.monitors import CheckStatus, DeliveryState, IncidentStatus

_NOT_CLOSED: Final = (str(IncidentStatus.OPEN), str(IncidentStatus.ACKNOWLEDGED))
_WEEK_MS: Final = 7 * 86_400_000


@dataclass(frozen=True, slots=True)
class MonitorState:
    """The state of a monitor.

    Attributes:
        monitor: The monitor.
        state: That of its newest check (``ok``, ``drift``, ``unavailable``, ``error``), or ``waiting`` before the first
            one, ``overdue`` if a check is missing for more than its interval, ``empty`` if no version holds the stage,
            or ``ended`` for a guard that is over, or whose version holds the stage no more.
        overdue_seconds: For how long a check has been due, 0 if none is.
        incidents: The incidents of the model that are not closed, oldest first.
    """

    monitor: Monitor
    state: str
    overdue_seconds: float
    incidents: tuple[Incident, ...] = ()

    @property
    def open_incidents(self) -> int:
        """Return how many incidents of the model are not closed."""
        return len(self.incidents)

    @property
    def needs_attention(self) -> bool:
        """Tell whether somebody should look: drift, an error, a missing check or an incident that is not closed."""
        return self.state in (CheckStatus.DRIFT, CheckStatus.ERROR, "overdue") or self.open_incidents > 0


def monitor_states(client: MlflowClient, name: str | None = None) -> list[MonitorState]:
    """Return the states of the monitors of a model, or of all monitors, by number.

    Args:
        client: The client.
        name: Registered model. Default: all.

    Returns:
        One state per monitor.

    Raises:
        ModelNotFoundError: There is no such model.

    Example:
        >>> from registry.monitoring import monitor_states
        >>> _ = client.add_monitor("churn")
        >>> [(one.state, one.open_incidents) for one in monitor_states(client)]
        [('waiting', 0)]
    """
    now = client.backend.monitors.now_ms()
    incidents: dict[str, list[Incident]] = {}
    for incident in client.get_incidents(name, _NOT_CLOSED):
        incidents.setdefault(incident.name, []).append(incident)
    return [
        MonitorState(monitor, *_state(client, monitor, now), tuple(incidents.get(monitor.name, ())))
        for monitor in client.get_monitors(name)
    ]


def lost_triggers(client: MlflowClient) -> list[TriggerDelivery]:
    """Return the triggers that were given up and that somebody still has to see to.

    These are the triggers of incidents that are not closed, and for a week those of guards, which may have no incident.
    """
    week = client.backend.monitors.now_ms() - _WEEK_MS
    return [
        one
        for one in client.get_trigger_deliveries([DeliveryState.FAILED])
        if any(incident.status in _NOT_CLOSED for incident in one.incidents)
        or (not one.incidents and one.check.end_time > week)
    ]


def _state(client: MlflowClient, monitor: Monitor, now: int) -> tuple[str, float]:
    late = max(0, now - monitor.next_time) / 1000
    newest, guard, is_overdue = monitor.last_check, monitor.guard, late > monitor.every_seconds
    if monitor.has_ended:
        return "ended", 0.0
    if guard is not None or is_overdue:
        holder = client.find_model_version_by_stage(monitor.name, monitor.stage)
        if guard is not None and (holder is None or holder.version != guard.version):
            return "ended", 0.0
        if holder is None:
            return "empty", 0.0  # it waits until a version holds the stage
    if is_overdue:
        return "overdue", late
    return ("waiting" if newest is None else str(newest.status)), late


def metrics_text(client: MlflowClient) -> str:
    """Return the state of all monitors in Prometheus' text format.

    Args:
        client: The client.

    Returns:
        The text, which the node exporter or a scrape takes as it is.

    Example:
        >>> from registry.monitoring import metrics_text
        >>> _ = client.add_monitor("churn")
        >>> print(metrics_text(client).splitlines()[2])
        registry_monitor_interval_seconds{monitor="1",model="churn",stage="Production"} 86400
    """
    states = monitor_states(client)
    checks = client.backend.monitors.count_checks()
    deliveries = client.backend.monitors.count_deliveries()
    results = client.backend.monitors.last_results()
    found = client.get_incidents(statuses=_NOT_CLOSED)
    incidents = Counter((one.name, str(one.status)) for one in found)
    made = [(one, check) for one in states if (check := one.monitor.last_check) is not None]
    names = list(dict.fromkeys(one.monitor.name for one in states))
    families = (
        _family(
            "registry_monitor_interval_seconds",
            "gauge",
            "Time between two checks.",
            ((_labels(one), one.monitor.every_seconds) for one in states),
        ),
        _family(
            "registry_monitor_overdue_seconds",
            "gauge",
            "For how long a check has been due.",
            ((_labels(one), one.overdue_seconds) for one in states),
        ),
        _family(
            "registry_monitor_last_check_timestamp_seconds",
            "gauge",
            "When the newest check ended.",
            ((_labels(one), check.end_time / 1000) for one, check in made),
        ),
        _family(
            "registry_monitor_last_check_duration_seconds",
            "gauge",
            "How long the newest check took.",
            ((_labels(one), check.seconds) for one, check in made),
        ),
        _family(
            "registry_monitor_last_check_status",
            "gauge",
            "1 for the status of the newest check, 0 for the others.",
            (
                ({**_labels(one), "status": str(status)}, int(check.status == status))
                for one, check in made
                for status in CheckStatus
            ),
        ),
        _family(
            "registry_monitor_last_result_timestamp_seconds",
            "gauge",
            "When the newest check ended that had enough data to tell.",
            ((_labels(one), results[one.monitor.id] / 1000) for one in states if one.monitor.id in results),
        ),
        _family(
            "registry_monitor_needs_attention",
            "gauge",
            "1 if somebody should look: drift, an error, a missing check or an incident that is not closed.",
            (({**_labels(one), "state": one.state}, int(one.needs_attention)) for one in states),
        ),
        _family(
            "registry_monitor_checks",
            "gauge",
            "Checks that are kept: gc removes old ones.",
            (
                ({**_labels(one), "status": str(status)}, checks.get((one.monitor.id, str(status)), 0))
                for one in states
                for status in CheckStatus
            ),
        ),
        _family(
            "registry_incidents",
            "gauge",
            "Incidents that are not closed.",
            (({"model": name, "status": status}, incidents[name, status]) for name in names for status in _NOT_CLOSED),
        ),
        _family(
            "registry_incident_opened_timestamp_seconds",
            "gauge",
            "When an incident that is not closed was opened.",
            ((_incident_labels(one), one.opened_us / 1_000_000) for one in found),
        ),
        _family(
            "registry_trigger_deliveries",
            "gauge",
            "Triggers that incidents have set off.",
            (
                ({"trigger": trigger, "state": str(state)}, deliveries.get((trigger, str(state)), 0))
                for trigger in sorted({trigger for trigger, _ in deliveries})
                for state in DeliveryState
            ),
        ),
    )
    return "".join(line for family in families for line in family)


def _labels(one: MonitorState) -> dict[str, str]:
    return {"monitor": str(one.monitor.id), "model": one.monitor.name, "stage": one.monitor.stage}


def _incident_labels(one: Incident) -> dict[str, str]:
    labels = {"model": one.name, "incident": str(one.id), "version": str(one.version)}
    return {**labels, "cause": one.cause, "status": str(one.status)}


def _family(name: str, kind: str, text: str, samples: Iterable[tuple[Mapping[str, str], float]]) -> Iterator[str]:
    yield f"# HELP {name} {text}\n# TYPE {name} {kind}\n"
    for labels, value in samples:
        shown = ",".join(f'{label}="{_escape(content)}"' for label, content in labels.items())
        yield f"{name}{{{shown}}} {value!r}\n"


def _escape(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
