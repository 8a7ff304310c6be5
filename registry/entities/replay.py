"""What a registered model must look like if its history is true: events folded into a state.

Pure: `store` compares the state with its tables. Invariant: two models whose events are equal have equal states.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from registry.entities.history import EventKind, HistoryEvent
from registry.entities.stages import ACTIVE_STAGES


@dataclass(slots=True)
class VersionState:
    """One version: the digest of its manifest, its stage, description and tags, and whether it is deleted."""

    digest: str
    stage: str = "None"
    description: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Period:
    """A version's hold of a stage (or ``@alias``), in microseconds; `until` is None while it lasts."""

    stage: str
    since: int
    version: int
    until: int | None


@dataclass(slots=True)
class ModelState:
    """A registered model with everything that its history speaks of; `rules` are JSON by stage."""

    name: str = ""
    description: str | None = None
    deleted: bool = False
    tags: dict[str, str] = field(default_factory=dict)
    versions: dict[int, VersionState] = field(default_factory=dict)
    aliases: dict[str, int] = field(default_factory=dict)
    rules: dict[str, str] = field(default_factory=dict)
    periods: list[Period] = field(default_factory=list)


def replay(events: Iterable[HistoryEvent]) -> ModelState:
    """The state after these events of one model, in the order of their sequence."""
    folding = _Folding()
    for event in events:
        folding.apply(event)
    state = folding.state
    state.periods = sorted([*state.periods, *folding.open.values()], key=lambda period: (period.stage, period.since))
    return state


class _Folding:
    def __init__(self) -> None:
        self.state = ModelState()
        self.open: dict[str, Period] = {}

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
        for stage in list(self.open):
            self._close(stage, event.time_us)

    def version_created(self, event: HistoryEvent) -> None:
        number, details = _number(event), event.details
        self.state.versions[number] = VersionState(str(details.get("digest")), description=details.get("description"))

    def version_deleted(self, event: HistoryEvent) -> None:
        version = self._version(event)
        self._close_if_held(version.stage, _number(event), event.time_us)
        version.deleted, version.stage = True, "None"

    def version_restored(self, event: HistoryEvent) -> None:
        self._version(event).deleted = False

    def moved(self, event: HistoryEvent) -> None:
        version, number = self._version(event), _number(event)
        before, after = version.stage, event.to_value or "None"
        version.stage = after
        # A holder that gives way holds until its successor's moment, which is the next event's.
        if before in ACTIVE_STAGES and "succeeded_by" not in event.details:
            self._close_if_held(before, number, event.time_us)
        if after in ACTIVE_STAGES:
            self._close(after, event.time_us)
            self.open[after] = Period(after, event.time_us, number, None)

    def alias_set(self, event: HistoryEvent) -> None:
        alias = str(event.details["alias"])
        self.state.aliases[alias] = _number(event)
        self._close(f"@{alias}", event.time_us)
        self.open[f"@{alias}"] = Period(f"@{alias}", event.time_us, _number(event), None)

    def alias_deleted(self, event: HistoryEvent) -> None:
        alias = str(event.details["alias"])
        self.state.aliases.pop(alias, None)
        self._close(f"@{alias}", event.time_us)

    def tag_set(self, event: HistoryEvent) -> None:
        self._tags(event)[str(event.details["key"])] = event.to_value or ""

    def tag_deleted(self, event: HistoryEvent) -> None:
        self._tags(event).pop(str(event.details["key"]), None)

    def rules_set(self, event: HistoryEvent) -> None:
        self.state.rules[str(event.details["stage"])] = event.to_value or ""

    def rules_deleted(self, event: HistoryEvent) -> None:
        self.state.rules.pop(str(event.details["stage"]), None)

    def _tags(self, event: HistoryEvent) -> dict[str, str]:
        return self.state.tags if event.version is None else self._version(event).tags

    def _version(self, event: HistoryEvent) -> VersionState:
        # A version that no event created is a fault that the comparison with the tables reports.
        return self.state.versions.setdefault(_number(event), VersionState(""))

    def _close_if_held(self, stage: str, number: int, until: int) -> None:
        if stage in self.open and self.open[stage].version == number:
            self._close(stage, until)

    def _close(self, stage: str, until: int) -> None:
        period = self.open.pop(stage, None)
        if period is not None:
            self.state.periods.append(Period(period.stage, period.since, period.version, until))


def _number(event: HistoryEvent) -> int:
    return event.version or 0


# Events that are not here change nothing that a table holds: refusals, overrides, approvals.
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
}
