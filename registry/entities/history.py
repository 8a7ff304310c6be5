"""Events of a registered model's history, their canonical form and their hash chain.

The hash of an event is the SHA-256 (lower-case hex) of its canonical form, which includes the hash of the event before
it. Guarantees: the last hash detects any change to earlier events. It does not prevent changes.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Any, Final

from registry.exceptions import IntegrityError, InvalidParameterError, InvalidTypeError

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MAX_REMARK: Final = 10_000


class EventKind(StrEnum):
    """The kind of change that an event records."""

    CREATED = "created"
    RENAMED = "renamed"
    UPDATED = "updated"
    DELETED = "deleted"
    VERSION_CREATED = "version_created"
    VERSION_DELETED = "version_deleted"
    VERSION_RESTORED = "version_restored"
    STAGE_CHANGED = "stage_changed"
    ALIAS_SET = "alias_set"
    ALIAS_DELETED = "alias_deleted"
    TAG_SET = "tag_set"
    TAG_DELETED = "tag_deleted"
    RULES_SET = "rules_set"
    RULES_DELETED = "rules_deleted"
    APPROVED = "approved"
    PROMOTION_REFUSED = "promotion_refused"
    RULES_OVERRIDDEN = "rules_overridden"
    ROLLED_BACK = "rolled_back"
    IMPORTED = "imported"
    CLOCK_CORRECTED = "clock_corrected"
    SIGNED = "signed"
    INCIDENT_OPENED = "incident_opened"
    INCIDENT_ACKNOWLEDGED = "incident_acknowledged"
    INCIDENT_CLOSED = "incident_closed"


@dataclass(frozen=True, slots=True)
class HistoryEvent:
    """One change of a registered model.

    Attributes:
        model_uid: Unique id of the model, which no later model of the same name has.
        seq: Number of the event in the model's history: 1, 2, 3 … without gaps.
        kind: One of `EventKind`.
        actor: Who made the change, as the settings or the operating system name them.
        time_us: Time in microseconds since the epoch, UTC; it grows with `seq`.
        version: The version that was changed, if any.
        from_value: The value before the change.
        to_value: The value after the change.
        reason: The reason that the caller gave.
        session_user: The user of the database session (PostgreSQL only).
        details: Further values, depending on `kind`.
        prev_hash: The hash of the event before it, None for the first.

    Example:
        >>> event = client.get_history("churn")[0]
        >>> event.seq, event.kind, event.actor
        (1, 'created', 'ann')
    """

    model_uid: str
    seq: int
    kind: str
    actor: str
    time_us: int
    version: int | None = None
    from_value: str | None = None
    to_value: str | None = None
    reason: str | None = None
    session_user: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    prev_hash: str | None = None

    def canonical(self) -> bytes:
        """Return the form that is hashed: a JSON object of all fields, keys sorted, no spaces, non-ASCII as UTF-8."""
        values = {
            "actor": self.actor,
            "details": dict(self.details),
            "from": self.from_value,
            "kind": str(self.kind),
            "model_uid": self.model_uid,
            "prev_hash": self.prev_hash,
            "reason": self.reason,
            "seq": self.seq,
            "session_user": self.session_user,
            "time_us": self.time_us,
            "to": self.to_value,
            "version": self.version,
        }
        return canonical_json(values).encode()

    @property
    def hash(self) -> str:
        """Return the SHA-256 of the canonical form, in lower-case hex."""
        return hashlib.sha256(self.canonical()).hexdigest()

    @property
    def time(self) -> datetime:
        """Return the time as an aware UTC datetime."""
        return moment_of(self.time_us)


@dataclass(frozen=True, slots=True)
class PublishedEvent:
    """An event and its position among the events of all models; `position` grows in commit order."""

    position: int
    model_name: str
    event: HistoryEvent


def corrected_times(events: Sequence[HistoryEvent]) -> dict[int, int]:
    """Return the time of each event of a chain by sequence, in microseconds since the epoch.

    Each time is the event's own, shifted by every later event that corrects a clock.

    Raises:
        IntegrityError: a correction does not say which events it corrects, and by how much.
    """
    times = {event.seq: event.time_us for event in events}
    for event in events:
        if event.kind == EventKind.CLOCK_CORRECTED:
            first, last, shift = (event.details.get(key) for key in ("from_seq", "to_seq", "shift"))
            if not (type(first) is type(last) is type(shift) is int and 1 <= first <= last < event.seq):
                raise IntegrityError(f"Event {event.seq} corrects events that do not exist: {dict(event.details)!r}.")
            for seq in range(first, last + 1):
                times[seq] = times.get(seq, 0) + shift
    return times


def check_times_grow(events: Sequence[HistoryEvent], what: str) -> None:
    """Check that each event of a chain is later than the one before it, after clock corrections.

    Raises:
        IntegrityError: an event is not later; `what` names the history in the message.
    """
    times = corrected_times(events)
    previous = 0
    for event in events:
        if times[event.seq] <= previous:
            raise IntegrityError(f"Event {event.seq} of {what} is not later than the event before it.")
        previous = times[event.seq]


def canonical_json(value: Any) -> str:
    """Return JSON with sorted keys, no spaces and unescaped non-ASCII characters.

    Raises:
        ValueError: a number is NaN or infinite; write such numbers as text.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest_of(value: Any) -> str:
    """Return the SHA-256 of a value's canonical JSON. An event holds it in place of a value that is too large."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def check_remark(text: object, what: str) -> str:
    """Return text that an event can hold: at most 10,000 characters, no NUL, no half of a surrogate pair.

    Raises:
        InvalidParameterError: the text breaks one of these rules.
    """
    if not isinstance(text, str):
        raise InvalidTypeError(f"{what} must be a string, got {text!r:.60} of type {type(text).__name__}.")
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise InvalidParameterError(f"{what} has a NUL or half of a surrogate pair, which databases cannot hold.")
    if len(text) > MAX_REMARK:
        raise InvalidParameterError(f"{what} has {len(text)} characters; at most {MAX_REMARK} are allowed.")
    return text


def moment_of(microseconds: int) -> datetime:
    """Convert microseconds since the epoch to an aware UTC datetime."""
    return _EPOCH + timedelta(microseconds=microseconds)


def microseconds_of(moment: datetime) -> int:
    """Convert an aware datetime to microseconds since the epoch."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


_FIELDS: Final[Mapping[str, str]] = {"from": "from_value", "to": "to_value"}
_SHAPE: Final = frozenset(json.loads(HistoryEvent("", 0, "", "", 0).canonical()))
_TEXTS: Final = ("model_uid", "kind", "actor")
_TEXTS_OR_NONE: Final = ("from", "to", "reason", "session_user", "prev_hash")


@dataclass(frozen=True, slots=True)
class ImportedHistory:
    """All events of a model in another registry, from the first to the one at which it was exported."""

    registry_id: str
    model_uid: str
    events: tuple[HistoryEvent, ...]

    @property
    def closing(self) -> dict[str, Any]:
        """Return the details of the ``imported`` event that follows this history."""
        return {
            "registry_id": self.registry_id,
            "model_uid": self.model_uid,
            "events": len(self.events),
            "head_hash": self.events[-1].hash,
        }


def event_from(values: Any) -> HistoryEvent:
    """Make an event from its canonical form, parsed from JSON.

    Raises:
        IntegrityError: the values are not the canonical form of an event.
    """
    if not isinstance(values, Mapping) or set(values) != _SHAPE or not _is_typed(values):
        raise IntegrityError(f"This is not a history event: {values!r:.200}.")
    return HistoryEvent(**{_FIELDS.get(name, name): value for name, value in values.items()})


def check_imported_histories(segments: Sequence[ImportedHistory]) -> None:
    """Check that every chain is whole and that the chains follow each other, oldest first.

    Raises:
        IntegrityError: the first fault.
    """
    for segment in segments:
        _check_chain(segment)
    for before, after in pairwise(segments):
        check_closed(before, after.events, f"the model {after.model_uid}")
    if segments and find_import(segments[0].events) is not None:
        raise IntegrityError(
            f"The history of the model {segments[0].model_uid} has an import event, but no history before it."
        )


def check_closed(segment: ImportedHistory, events: Sequence[HistoryEvent], what: str) -> None:
    """Check that `events` contain the ``imported`` event that follows an imported history.

    Raises:
        IntegrityError: the event is missing, or describes another chain.
    """
    imported = find_import(events)
    said = {} if imported is None else {key: imported.details.get(key) for key in segment.closing}
    if said != segment.closing:
        raise IntegrityError(
            f"The imported history of {what} is {segment.closing!r}, but its own history records {said!r}."
        )


def find_import(events: Sequence[HistoryEvent]) -> HistoryEvent | None:
    """Return the event that says which registry a model was imported from, or None if it was created in this one.

    An import from another system, such as MLflow, brings no history with it; its events name the ``system`` instead.

    Raises:
        IntegrityError: there is more than one.
    """
    imports = [event for event in events if event.kind == EventKind.IMPORTED and "system" not in event.details]
    if len(imports) > 1:
        raise IntegrityError(f"The history of the model {imports[0].model_uid} has more than one import event.")
    return imports[0] if imports else None


def _check_chain(segment: ImportedHistory) -> None:
    previous_hash = None
    for seq, event in enumerate(segment.events, 1):
        where = f"Event {seq} of the imported history of the model {segment.model_uid}"
        if (event.seq, event.model_uid) != (seq, segment.model_uid):
            raise IntegrityError(f"{where} is missing: event {event.seq} of {event.model_uid} is in its place.")
        if event.prev_hash != previous_hash:
            raise IntegrityError(f"{where} does not continue the event before it: the chain of hashes is broken there.")
        previous_hash = event.hash
    check_times_grow(segment.events, f"the imported history of the model {segment.model_uid}")
    if not segment.events:
        raise IntegrityError(f"The imported history of the model {segment.model_uid} has no events.")


def _is_typed(values: Mapping[str, Any]) -> bool:
    version = values["version"]
    return (
        all(isinstance(values[name], str) for name in _TEXTS)
        and all(values[name] is None or isinstance(values[name], str) for name in _TEXTS_OR_NONE)
        and all(type(values[name]) is int for name in ("seq", "time_us"))
        and (version is None or type(version) is int)
        and isinstance(values["details"], dict)
    )
