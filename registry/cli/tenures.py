"""Who holds a stage or alias, since when and why: the answer of ``models show`` and ``versions show``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from registry.cli.formatting import Time

if TYPE_CHECKING:
    from registry import MlflowClient
    from registry.entities.history import HistoryEvent

_ENTRIES: Final = ("stage_changed", "rolled_back", "imported", "rules_overridden", "approved")


@dataclass(frozen=True, slots=True)
class Tenure:
    """A stage or ``@alias`` that a version holds, and the event that put it there."""

    place: str
    version: int
    since: Time
    actor: str
    reason: str | None
    kind: str | None = None
    verdicts: Sequence[Mapping[str, Any]] = ()
    overridden: bool = False
    approvals: Sequence["HistoryEvent"] = field(default_factory=tuple)

    def document(self) -> dict[str, Any]:
        """Return the form for JSON."""
        return {
            "place": self.place,
            "version": self.version,
            "since": self.since.bare,
            "actor": self.actor,
            "reason": self.reason,
            "kind": self.kind,
            "overridden": self.overridden,
            "verdicts": [dict(verdict) for verdict in self.verdicts],
            "approvals": [
                {"actor": event.actor, "time": Time(event.time_us).bare, "reason": event.reason}
                for event in self.approvals
            ],
        }


def flat(tenures: Sequence[Tenure]) -> dict[str, object]:
    """Return tenures as names and values, for lines in a pipe: ``Production.since``, ``Production.by`` and so on."""
    return {
        f"{tenure.place}.{key}": value
        for tenure in tenures
        for key, value in (
            ("version", tenure.version),
            ("since", tenure.since),
            ("by", tenure.actor),
            ("reason", tenure.reason),
        )
    }


def current_tenures(client: "MlflowClient", name: str, version: int | None = None) -> list[Tenure]:
    """Return the open tenures of a model, or of one version of it, stages before aliases."""
    uid = client.get_registered_model(name).model_uid
    holdings = [
        holding
        for holding in client.get_holdings(name)
        if holding.until is None and holding.model_uid == uid and version in (None, holding.version)
    ]
    events = [event for event in client.get_history(name, kind=_ENTRIES) if event.model_uid == uid] if holdings else []
    tenures = []
    for holding in holdings:
        entry = _entry(events, holding.stage, holding.version)
        details = entry.details if entry is not None else {}
        rules = details.get("rules", ())
        override = _override(events, entry)
        if override is not None:
            rules = override.details.get("rules", ())
        tenures.append(
            Tenure(
                holding.stage,
                holding.version,
                Time(holding.since),
                holding.actor,
                holding.reason,
                None if entry is None else str(entry.kind),
                rules if isinstance(rules, Sequence) and not isinstance(rules, str) else (),
                override is not None,
                [e for e in events if _approves(e, holding.stage, holding.version) and e.time_us <= holding.since],
            )
        )
    return sorted(tenures, key=lambda tenure: (tenure.place.startswith("@"), tenure.place))


def _entry(events: Sequence["HistoryEvent"], stage: str, version: int) -> "HistoryEvent | None":
    """Return the last event that moved a version into a stage."""
    entries = [e for e in events if e.version == version and e.to_value == stage and e.kind != "approved"]
    return entries[-1] if entries else None


def _override(events: Sequence["HistoryEvent"], entry: "HistoryEvent | None") -> "HistoryEvent | None":
    """Return the event that overrode the rules of an entry: the one before it in the chain."""
    if entry is None:
        return None
    return next(
        (
            e
            for e in events
            if e.kind == "rules_overridden"
            and e.version == entry.version
            and e.to_value == entry.to_value
            and 0 < entry.seq - e.seq <= 2
        ),
        None,
    )


def _approves(event: "HistoryEvent", stage: str, version: int) -> bool:
    return event.kind == "approved" and event.version == version and event.details.get("stage") == stage
