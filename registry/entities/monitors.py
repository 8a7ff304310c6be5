"""Monitors, the checks that they make, the incidents that these open, and the triggers that incidents set off."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from registry.entities.entity import Entity
from registry.entities.evidence import Evidence

# The kind of evidence that a judged check is; its row is in `monitor_checks`.
CHECK: Final = "check"
# The trigger that a guard sets off. It is built in, so no file defines it.
ROLLBACK: Final = "rollback"


class CheckStatus(StrEnum):
    """How a check ended: without drift, with drift, with too little data to tell, or with an error."""

    OK = "ok"
    DRIFT = "drift"
    UNAVAILABLE = "unavailable"
    ERROR = "error"

    @property
    def has_result(self) -> bool:
        """Tell whether something was measured."""
        return self in (CheckStatus.OK, CheckStatus.DRIFT)


class IncidentStatus(StrEnum):
    """The status of an incident: it is opened by a check, and acknowledged and closed by people."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    CLOSED = "closed"


class DeliveryState(StrEnum):
    """The state of a trigger: to be run, run, given up after too many failures, or not needed any more."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class MonitorCheck(Entity):
    """A check that was made.

    Attributes:
        id: Number of the check.
        monitor_id: The monitor that asked for it, or None.
        version: The version that was checked, or None if there was none.
        status: ``ok``, ``drift``, ``unavailable`` (too little data) or ``error``.
        message: What there is to say about it, such as the error.
        report_digest: SHA-256 (hex) of the report, or None.
        run_id: The run that holds the report, or None.
        due_time: When it was due, in milliseconds since the epoch, UTC; None without a monitor.
        start_time: When it began.
        end_time: When it ended.

    Example:
        >>> from registry.entities import MonitorCheck
        >>> MonitorCheck(1, 1, 3, "ok", None, None, None, 0, 0, 1_500).seconds
        1.5
    """

    id: int
    monitor_id: int | None
    version: int | None
    status: str
    message: str | None
    report_digest: str | None
    run_id: str | None
    due_time: int | None
    start_time: int
    end_time: int

    @property
    def seconds(self) -> float:
        """Return how long it took."""
        return (self.end_time - self.start_time) / 1000

    def to_evidence(self, model_id: str) -> Evidence:
        """Return the check as evidence on a logged model, on which a promotion rule is judged."""
        content = {
            "status": str(self.status),
            "version": self.version,
            "report_digest": self.report_digest,
            "run_id": self.run_id,
        }
        return Evidence(self.id, CHECK, model_id, None, content, self.end_time, self.run_id)


@dataclass(frozen=True, slots=True)
class Guard(Entity):
    """What a monitor guards: if a check of `version` finds drift before `until` (ms), the stage is rolled back."""

    version: int
    until: int


@dataclass(frozen=True, slots=True)
class Monitor(Entity):
    """A monitor: which stage of which model is checked, how often and how.

    Attributes:
        id: Number of the monitor.
        name: The registered model.
        stage: The stage whose holder is checked.
        every_seconds: Time between two checks.
        cooldown_seconds: A cause that was an incident opens no other one for this time, even if the first is closed.
        settings: Arguments of the check, such as ``window`` and ``against``.
        triggers: Names of what an incident sets off; a file on the runner says what they mean.
        actor: Who added it.
        creation_timestamp: When, in milliseconds since the epoch, UTC.
        next_time: When the next check is due.
        lease_until: Until when a runner has the due check for itself, or None.
        guard: The version that it guards, or None.
        last_check: The newest check, or None.

    Example:
        >>> monitor = client.add_monitor("churn", every="1d", window="7d")
        >>> monitor.stage, monitor.every_seconds, dict(monitor.settings), monitor.last_check
        ('Production', 86400, {'window': '7d'}, None)
    """

    id: int
    name: str
    stage: str
    every_seconds: int
    cooldown_seconds: int
    settings: Mapping[str, Any]
    triggers: tuple[str, ...]
    actor: str
    creation_timestamp: int
    next_time: int
    lease_until: int | None = None
    guard: Guard | None = None
    last_check: MonitorCheck | None = None

    @property
    def has_ended(self) -> bool:
        """Tell whether it guarded a version, and its time is over."""
        return self.guard is not None and self.next_time >= self.guard.until


@dataclass(frozen=True, slots=True)
class Incident(Entity):
    """An incident of a model: a cause that a check found. A cause has one that is not closed at a time.

    Attributes:
        id: Number of the incident, never reused.
        name: The registered model.
        cause: Name of the cause, such as ``input/age:distribution``.
        status: ``open``, ``acknowledged`` or ``closed``.
        version: The version that was checked.
        figures: What the check measured.
        report_digest: SHA-256 (hex) of the report, or None.
        run_id: The run that holds the report, or None.
        monitor_id: The monitor that found it, or None.
        check_id: The check that found it.
        opened_us: When it was opened, in microseconds since the epoch, UTC.
        changed_us: When its status changed last.
        changed_by: Who changed it last.
        reason: Why, if they said so.
    """

    id: int
    name: str
    cause: str
    status: str
    version: int
    figures: Any
    report_digest: str | None
    run_id: str | None
    monitor_id: int | None
    check_id: int
    opened_us: int
    changed_us: int
    changed_by: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class TriggerDelivery(Entity):
    """A trigger that is run for the incidents of a check, at least once.

    Attributes:
        id: Number of the delivery; a receiver knows a repetition by it.
        trigger: The trigger's name.
        name: The registered model.
        stage: The stage that was checked, or None if the monitor is gone.
        check: The check that set it off.
        incidents: The incidents that the check opened; empty for a guard whose causes had incidents already.
        state: ``pending``, ``delivered``, ``failed`` or ``skipped``.
        attempts: How often it was tried, this time included.
        next_time: When it is tried next, in milliseconds since the epoch, UTC.
        message: What happened last.
    """

    id: int
    trigger: str
    name: str
    stage: str | None
    check: MonitorCheck
    incidents: tuple[Incident, ...] = ()
    state: str = DeliveryState.PENDING
    attempts: int = 0
    next_time: int = 0
    message: str | None = None


@dataclass(frozen=True, slots=True)
class CheckOutcome:
    """What a check found, for the store: `causes` map the name of each cause to its figures."""

    status: CheckStatus
    version: int | None = None
    causes: Mapping[str, Any] = field(default_factory=dict)
    message: str | None = None
    report_digest: str | None = None
    run_id: str | None = None
    start_time: int = 0
