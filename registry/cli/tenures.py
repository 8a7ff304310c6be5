"""Who holds a stage or alias, since when and why: the answer of ``models show`` and ``versions show``.

Guarantees: a terminal, a pipe and JSON tell the same: holder, time, person, reason, verdicts with figures, approvals.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from registry.cli import output
from registry.cli.formatting import Time
from registry.cli.output import Column

if TYPE_CHECKING:
    from registry import MlflowClient
    from registry.entities.history import HistoryEvent

_ENTRIES: Final = (
    *("stage_changed", "rolled_back", "imported"),
    *("rules_overridden", "approved", "version_created"),
)
_WAYS: Final = {"rolled_back": "by a rollback", "imported": "by an import"}


@dataclass(frozen=True, slots=True)
class Approval:
    """An approval of a version for the stage that it holds; that of the person who registered it does not count."""

    actor: str
    time: Time
    reason: str | None
    counts: bool


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
    approvals: Sequence[Approval] = ()

    @property
    def is_of_stage(self) -> bool:
        """Whether the place is a stage, not an alias."""
        return not self.place.startswith("@")

    def answer(self, verdict: Mapping[str, Any]) -> str:
        """Return what a rule said about the entry."""
        return "passed" if verdict.get("passed") else "failed, overridden" if self.overridden else "failed"

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
                {"actor": given.actor, "time": given.time.bare, "reason": given.reason, "counts": given.counts}
                for given in self.approvals
            ],
        }


def explain(tenure: Tenure) -> None:
    """Print on a terminal why a version holds its stage or alias."""
    output.heading(f"Why version {tenure.version} is {'in ' if tenure.is_of_stage else ''}{tenure.place}")
    how = _WAYS.get(str(tenure.kind))
    output.record(
        {
            "since": tenure.since,
            "by": tenure.actor,
            **({"how": how} if how else {}),
            "reason": tenure.reason,
            **({"rules": "none guarded it"} if tenure.kind == "stage_changed" and not tenure.verdicts else {}),
        }
    )
    if tenure.verdicts:
        output.line()
        output.table(_verdict_columns(tenure), tenure.verdicts)
    if tenure.approvals:
        output.line()
        output.table(_APPROVALS, tenure.approvals)


def _verdict_columns(tenure: Tenure) -> "tuple[Column[Mapping[str, Any]], ...]":
    return (
        Column("rule", lambda verdict: verdict.get("rule")),
        Column("answer", tenure.answer),
        Column("expected", lambda verdict: verdict.get("expected")),
        Column("actual", lambda verdict: verdict.get("actual")),
    )


_APPROVALS: Final[tuple[Column[Approval], ...]] = (
    Column("approved by", lambda given: given.actor),
    Column("at (UTC)", lambda given: given.time, whole=True, leaves=1),
    Column("counts", lambda given: "yes" if given.counts else "no: registered it"),
    Column("reason", lambda given: given.reason),
)


def flat(tenures: Sequence[Tenure]) -> dict[str, object]:
    """Return tenures as names and values for a pipe: ``Production.since``, ``Production.rule.1`` and so on."""
    values: dict[str, object] = {}
    for tenure in tenures:
        place = tenure.place
        values |= {
            f"{place}.version": tenure.version,
            f"{place}.since": tenure.since,
            f"{place}.by": tenure.actor,
            f"{place}.reason": tenure.reason,
        }
        for number, verdict in enumerate(tenure.verdicts, 1):
            values[f"{place}.rule.{number}"] = (
                f"{verdict.get('rule')}: {tenure.answer(verdict)}; "
                f"expected {verdict.get('expected')}, actual {verdict.get('actual')}"
            )
        for number, given in enumerate(tenure.approvals, 1):
            note = "" if given.counts else " (registered it, does not count)"
            reason = f": {given.reason}" if given.reason else ""
            values[f"{place}.approval.{number}"] = f"{given.actor} at {given.time.bare}{note}{reason}"
    return values


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
                _approvals(events, holding.stage, holding.version, holding.since),
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


def _approvals(events: Sequence["HistoryEvent"], stage: str, version: int, until: int) -> list[Approval]:
    """Return the approvals that were given before a version entered a stage."""
    own = [event for event in events if event.version == version and event.time_us <= until]
    registered_by = {event.session_user or event.actor for event in own if event.kind == "version_created"}
    return [
        Approval(
            event.actor, Time(event.time_us), event.reason, (event.session_user or event.actor) not in registered_by
        )
        for event in own
        if event.kind == "approved" and event.details.get("stage") == stage
    ]
