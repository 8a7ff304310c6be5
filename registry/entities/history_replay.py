"""Rebuild the state that a registered model must have from its history, by replaying the events.

`store` compares the state with its tables. Guarantees: equal events give equal states; no I/O.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from registry.entities.history import EventKind, HistoryEvent, canonical_json, corrected_times
from registry.entities.stages import ACTIVE_STAGES


@dataclass(slots=True)
class VersionState:
    """State of one version after replay.

    `recorded` holds further columns of its rows that its event records; it is empty for events of older releases.
    `signatures` are digests by key id; they are complete if `knows_signatures`.
    """

    digest: str | None
    model_id: str | None = None
    source: str | None = None
    run_id: str | None = None
    user_id: str | None = None
    session_user: str | None = None
    stage: str = "None"
    description: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    deleted: bool = False
    origin: str | None = None
    recorded: dict[str, Any] = field(default_factory=dict)
    signatures: dict[str, str] = field(default_factory=dict)
    knows_signatures: bool = False


@dataclass(frozen=True, slots=True)
class Period:
    """The time during which a version held a stage (or ``@alias``), in microseconds; `until` is None while it lasts.

    `before` is the start of the period that a rollback would restore.
    """

    stage: str
    since: int
    version: int
    until: int | None
    before: int | None = None


@dataclass(frozen=True, slots=True)
class IncidentState:
    """State of an incident after replay; `figures` are canonical JSON."""

    cause: str
    status: str
    version: int | None
    monitor_id: int | None
    check_id: int | None
    run_id: str | None
    report_digest: str | None
    figures: str
    opened_us: int
    changed_us: int
    changed_by: str
    reason: str | None


@dataclass(slots=True)
class ModelState:
    """State of a registered model after replay.

    `rules` are JSON by stage. `approvals` map (version, stage, actor, database user) to (reason, time); SQLite has no
    users, so theirs are empty. `last_version` is the highest number ever given, here or in the registry of an import.
    """

    name: str = ""
    description: str | None = None
    deleted: bool = False
    tags: dict[str, str] = field(default_factory=dict)
    versions: dict[int, VersionState] = field(default_factory=dict)
    aliases: dict[str, int] = field(default_factory=dict)
    rules: dict[str, str] = field(default_factory=dict)
    approvals: dict[tuple[int, str, str, str], tuple[str | None, int]] = field(default_factory=dict)
    incidents: dict[int, IncidentState] = field(default_factory=dict)
    periods: list[Period] = field(default_factory=list)
    last_version: int = 0


def replay(events: Sequence[HistoryEvent]) -> ModelState:
    """Return the state after these events of one model, in order of sequence; periods have corrected times."""
    folding = _Folding(corrected_times(events))
    for event in events:
        folding.apply(event)
    folding.state.periods = [folding.periods[stage][since] for stage, since in sorted(folding.starts())]
    return folding.state


class _Folding:
    def __init__(self, times: Mapping[int, int]) -> None:
        self.state = ModelState()
        self.times = times
        # By stage or ``@alias``, then by start, in order of start.
        self.periods: dict[str, dict[int, Period]] = {}

    def starts(self) -> Iterator[tuple[str, int]]:
        for stage, periods in self.periods.items():
            yield from ((stage, since) for since in periods)

    def apply(self, event: HistoryEvent) -> None:
        handler = _HANDLERS.get(event.kind)
        if handler is not None:
            handler(self, event)

    def created(self, event: HistoryEvent) -> None:
        self.state.name = event.to_value or ""
        self.state.description = event.details.get("description")

    def renamed(self, event: HistoryEvent) -> None:
        self.state.name = event.to_value or ""

    def updated(self, event: HistoryEvent) -> None:
        if event.version is None:
            self.state.description = event.to_value
        else:
            self._version(event).description = event.to_value

    def deleted(self, event: HistoryEvent) -> None:
        self.state.deleted = True
        self.state.aliases.clear()
        for version in self.state.versions.values():
            version.deleted, version.stage = True, "None"
        for stage in self.periods:
            self._close(stage, self.times[event.seq])

    def imported(self, event: HistoryEvent) -> None:
        self.state.last_version = max(self.state.last_version, int(event.details["last_version"]))

    def version_created(self, event: HistoryEvent) -> None:
        details = event.details
        self.state.last_version = max(self.state.last_version, _number(event))
        self.state.versions[_number(event)] = VersionState(
            digest=details.get("digest"),
            model_id=details.get("model_id"),
            source=details.get("source"),
            run_id=details.get("run_id"),
            user_id=details.get("user_id", event.actor),
            session_user=event.session_user,
            description=details.get("description"),
            origin=details.get("origin"),
            recorded=dict(details.get("recorded", {})),
            signatures=dict(details.get("signatures", {})),
            knows_signatures="signatures" in details,
        )

    def version_deleted(self, event: HistoryEvent) -> None:
        version = self._version(event)
        self._close(version.stage, self.times[event.seq])
        version.deleted, version.stage = True, "None"

    def version_restored(self, event: HistoryEvent) -> None:
        self._version(event).deleted = False

    def moved(self, event: HistoryEvent) -> None:
        version = self._version(event)
        before, after = version.stage, event.to_value or "None"
        version.stage = after
        # A replaced holder keeps the stage until its successor takes it, which is the next event.
        if before in ACTIVE_STAGES and "succeeded_by" not in event.details:
            self._close(before, self.times[event.seq])
        if after in ACTIVE_STAGES:
            link = self._link_of_rollback if event.kind == EventKind.ROLLED_BACK else self._link_of_promotion
            self._begin(after, event, link(after, event))

    def alias_set(self, event: HistoryEvent) -> None:
        alias = str(event.details["alias"])
        self.state.aliases[alias] = _number(event)
        self._begin(f"@{alias}", event, self._link_of_promotion(f"@{alias}", event))

    def alias_deleted(self, event: HistoryEvent) -> None:
        alias = str(event.details["alias"])
        self.state.aliases.pop(alias, None)
        self._close(f"@{alias}", self.times[event.seq])

    def tag_set(self, event: HistoryEvent) -> None:
        self._tags(event)[str(event.details["key"])] = event.to_value or ""

    def tag_deleted(self, event: HistoryEvent) -> None:
        self._tags(event).pop(str(event.details["key"]), None)

    def rules_set(self, event: HistoryEvent) -> None:
        self.state.rules[str(event.details["stage"])] = event.to_value or ""

    def rules_deleted(self, event: HistoryEvent) -> None:
        self.state.rules.pop(str(event.details["stage"]), None)

    def approved(self, event: HistoryEvent) -> None:
        key = (_number(event), str(event.details["stage"]), event.actor, event.session_user or "")
        self.state.approvals[key] = (event.reason, event.time_us)

    def signed(self, event: HistoryEvent) -> None:
        self._version(event).signatures[str(event.details["key_id"])] = str(event.details["signature"])

    def incident_opened(self, event: HistoryEvent) -> None:
        details = event.details
        self.state.incidents[int(details["incident"])] = IncidentState(
            cause=str(details["cause"]),
            status=event.to_value or "",
            version=event.version,
            monitor_id=details["monitor_id"],
            check_id=details["check_id"],
            run_id=details["run_id"],
            report_digest=details["report_digest"],
            figures=canonical_json(details["figures"]),
            opened_us=event.time_us,
            changed_us=event.time_us,
            changed_by=event.actor,
            reason=event.reason,
        )

    def incident_changed(self, event: HistoryEvent) -> None:
        number = int(event.details["incident"])
        self.state.incidents[number] = replace(
            self.state.incidents[number],
            status=event.to_value or "",
            changed_us=event.time_us,
            changed_by=event.actor,
            reason=event.reason,
        )

    def _tags(self, event: HistoryEvent) -> dict[str, str]:
        return self.state.tags if event.version is None else self._version(event).tags

    def _version(self, event: HistoryEvent) -> VersionState:
        # If no event created the version, the comparison with the tables reports it.
        return self.state.versions.setdefault(_number(event), VersionState(None))

    def _begin(self, stage: str, event: HistoryEvent, before: int | None) -> None:
        self._close(stage, self.times[event.seq])
        since = self.times[event.seq]
        self.periods.setdefault(stage, {})[since] = Period(stage, since, _number(event), None, before)

    def _close(self, stage: str, until: int) -> None:
        last = self._last(stage)
        if last is not None and last.until is None:
            self.periods[stage][last.since] = replace(last, until=until)

    def _last(self, stage: str) -> Period | None:
        periods = self.periods.get(stage)
        return periods[next(reversed(periods))] if periods else None

    def _link_of_promotion(self, stage: str, _event: HistoryEvent) -> int | None:
        last = self._last(stage)
        return None if last is None else last.since

    def _link_of_rollback(self, stage: str, event: HistoryEvent) -> int | None:
        """Return the link of the restored period: the nearest earlier one of the version that came back."""
        period = self._last(stage)
        while period is not None and period.version != event.version:
            period = None if period.before is None else self.periods[stage][period.before]
        return None if period is None else period.before


def _number(event: HistoryEvent) -> int:
    return event.version or 0


# Other kinds change no table: refusals, overrides, and corrections of other events' times.
_HANDLERS: Final[Mapping[str, Callable[[_Folding, HistoryEvent], None]]] = {
    EventKind.CREATED: _Folding.created,
    EventKind.RENAMED: _Folding.renamed,
    EventKind.UPDATED: _Folding.updated,
    EventKind.DELETED: _Folding.deleted,
    EventKind.VERSION_CREATED: _Folding.version_created,
    EventKind.VERSION_DELETED: _Folding.version_deleted,
    EventKind.VERSION_RESTORED: _Folding.version_restored,
    EventKind.STAGE_CHANGED: _Folding.moved,
    EventKind.ROLLED_BACK: _Folding.moved,
    EventKind.ALIAS_SET: _Folding.alias_set,
    EventKind.ALIAS_DELETED: _Folding.alias_deleted,
    EventKind.TAG_SET: _Folding.tag_set,
    EventKind.TAG_DELETED: _Folding.tag_deleted,
    EventKind.RULES_SET: _Folding.rules_set,
    EventKind.RULES_DELETED: _Folding.rules_deleted,
    EventKind.APPROVED: _Folding.approved,
    EventKind.SIGNED: _Folding.signed,
    EventKind.IMPORTED: _Folding.imported,
    EventKind.INCIDENT_OPENED: _Folding.incident_opened,
    EventKind.INCIDENT_ACKNOWLEDGED: _Folding.incident_changed,
    EventKind.INCIDENT_CLOSED: _Folding.incident_changed,
}
