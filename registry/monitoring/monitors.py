"""How the monitors are: for people as values, for Prometheus as text."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from registry.client import MlflowClient
from registry.entities import Monitor
from registry.entities.monitors import CheckStatus, DeliveryState, IncidentStatus

_NOT_CLOSED: Final = (str(IncidentStatus.OPEN), str(IncidentStatus.ACKNOWLEDGED))


@dataclass(frozen=True, slots=True)
class MonitorState:
    """How a monitor is.

    Attributes:
        monitor: The monitor.
        state: That of its newest check (``ok``, ``drift``, ``unavailable``, ``error``), or ``waiting`` before the first
            one, ``overdue`` if a check is missing for more than its interval, or ``ended`` for a guard that is over.
        overdue_seconds: For how long a check has been due, 0 if none is.
        open_incidents: How many incidents of the model are not closed.
    """

    monitor: Monitor
    state: str
    overdue_seconds: float
    open_incidents: int

    @property
    def needs_attention(self) -> bool:
        """Tell whether somebody should look: drift, an error, a missing check or an incident that is not closed."""
        return self.state in (CheckStatus.DRIFT, CheckStatus.ERROR, "overdue") or self.open_incidents > 0


def monitor_states(client: MlflowClient, name: str | None = None) -> list[MonitorState]:
    """Return how the monitors of a model, or all, are, by number.

    Args:
        client: The client.
        name: Registered model. Default: all.

    Returns:
        One state per monitor.

    Raises:
        ModelNotFoundError: There is no such model.

    Example:
        >>> from registry.monitoring.monitors import monitor_states
        >>> _ = client.add_monitor("churn")
        >>> [(one.state, one.open_incidents) for one in monitor_states(client)]
        [('waiting', 0)]
    """
    now = client.backend.monitors.now_ms()
    incidents = Counter(incident.name for incident in client.get_incidents(name, _NOT_CLOSED))
    return [_state(monitor, now, incidents[monitor.name]) for monitor in client.get_monitors(name)]


def _state(monitor: Monitor, now: int, open_incidents: int) -> MonitorState:
    late = max(0, now - monitor.next_time) / 1000
    newest = monitor.last_check
    if monitor.has_ended:
        return MonitorState(monitor, "ended", 0.0, open_incidents)
    if late > monitor.every_seconds:
        return MonitorState(monitor, "overdue", late, open_incidents)
    state = "waiting" if newest is None else str(newest.status)
    return MonitorState(monitor, state, late, open_incidents)


def metrics_text(client: MlflowClient) -> str:
    """Return the state of all monitors in Prometheus' text format.

    Args:
        client: The client.

    Returns:
        The text, which the node exporter or a scrape takes as it is.

    Example:
        >>> from registry.monitoring.monitors import metrics_text
        >>> _ = client.add_monitor("churn")
        >>> print(metrics_text(client).splitlines()[2])
        registry_monitor_interval_seconds{monitor="1",model="churn",stage="Production"} 86400
    """
    states = monitor_states(client)
    checks = client.backend.monitors.count_checks()
    deliveries = client.backend.monitors.count_deliveries()
    incidents = Counter((one.name, str(one.status)) for one in client.get_incidents(statuses=_NOT_CLOSED))
    made = [(one, one.monitor.last_check) for one in states if one.monitor.last_check is not None]
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
            ((_labels(one), check.end_time / 1000) for one, check in made if check),
        ),
        _family(
            "registry_monitor_last_check_duration_seconds",
            "gauge",
            "How long the newest check took.",
            ((_labels(one), check.seconds) for one, check in made if check),
        ),
        _family(
            "registry_monitor_last_check_status",
            "gauge",
            "1 for the status of the newest check, 0 for the others.",
            (
                ({**_labels(one), "status": str(status)}, int(check.status == status))
                for one, check in made
                if check
                for status in CheckStatus
            ),
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


def _family(name: str, kind: str, text: str, samples: Iterable[tuple[Mapping[str, str], float]]) -> Iterator[str]:
    yield f"# HELP {name} {text}\n# TYPE {name} {kind}\n"
    for labels, value in samples:
        shown = ",".join(f'{label}="{_escape(content)}"' for label, content in labels.items())
        yield f"{name}{{{shown}}} {value!r}\n"


def _escape(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
