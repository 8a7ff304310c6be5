"""Events of a registered model's history, their canonical form and the chain of their hashes.

The hash of an event is the SHA-256 (lower-case hex) of its canonical form, which includes the hash of the event before
it: whoever keeps the last hash can tell whether anything before it was changed. Detection, not prevention.
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
    """What an event says was done."""

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


@dataclass(frozen=True, slots=True)
class HistoryEvent:
    """One change of a registered model.

    `seq` counts the model's events from 1 without gaps; `time_us` is in microseconds since the epoch, UTC, and grows
    with `seq`. `from_value` and `to_value` are what the change replaced and what it put there; `details` has what else
    it says. `session_user` is the database's own word for who it was (PostgreSQL).
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
        """The form that is hashed: a JSON object of all fields, keys sorted, no blanks, non-ASCII as it is, UTF-8."""
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
        """SHA-256 of the canonical form, in lower-case hex."""
        return hashlib.sha256(self.canonical()).hexdigest()

    @property
    def time(self) -> datetime:
        """When it happened, as an aware UTC datetime."""
        return moment_of(self.time_us)


@dataclass(frozen=True, slots=True)
class PublishedEvent:
    """An event with its place among the events of all models: `position` grows in the order of their commits."""

    position: int
    model_name: str
    event: HistoryEvent


def corrected_times(events: Sequence[HistoryEvent]) -> dict[int, int]:
    """When each event of a chain happened, by sequence, in microseconds since the epoch.

    That is its own time, moved by every later event that says that a clock was wrong.

    Raises:
        IntegrityError: such an event does not say which events it corrects, and by how much.
    """
    times = {event.seq: event.time_us for event in events}
    for event in events:
        if event.kind == EventKind.CLOCK_CORRECTED:
            first, last, shift = (event.details.get(key) for key in ("from_seq", "to_seq", "shift"))
            if not (type(first) is type(last) is type(shift) is int and 1 <= first <= last < event.seq):
                raise IntegrityError(f"Event {event.seq} corrects no events that are there: {dict(event.details)!r}.")
            for seq in range(first, last + 1):
                times[seq] = times.get(seq, 0) + shift
    return times


def check_times_grow(events: Sequence[HistoryEvent], what: str) -> None:
    """Pass if each event of a chain happened after the one before it, once clocks are corrected.

    Raises:
        IntegrityError: one did not; `what` says in the message whose history it is.
    """
    times = corrected_times(events)
    previous = 0
    for event in events:
        if times[event.seq] <= previous:
            raise IntegrityError(f"Event {event.seq} of {what} is not later than the event before it.")
        previous = times[event.seq]


def canonical_json(value: Any) -> str:
    """JSON with sorted keys, no blanks and non-ASCII characters as they are.

    Raises:
        ValueError: a number is NaN or infinite; such figures are written as text.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest_of(value: Any) -> str:
    """SHA-256 of the canonical JSON of a value, by which an event covers what is too large to stand in it."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def check_remark(text: object, what: str) -> str:
    """Text that an event can hold: at most 10,000 characters, without NUL and halves of surrogate pairs.

    Raises:
        InvalidParameterError: it breaks one of these rules.
    """
    if not isinstance(text, str):
        raise InvalidTypeError(f"{what} must be a string, got {text!r:.60} of type {type(text).__name__}.")
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise InvalidParameterError(f"{what} has a NUL or half of a surrogate pair, which databases cannot hold.")
    if len(text) > MAX_REMARK:
        raise InvalidParameterError(f"{what} has {len(text)} characters; at most {MAX_REMARK} are allowed.")
    return text


def moment_of(microseconds: int) -> datetime:
    """Microseconds since the epoch as an aware UTC datetime."""
    return _EPOCH + timedelta(microseconds=microseconds)


def microseconds_of(moment: datetime) -> int:
    """An aware datetime as microseconds since the epoch."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


_FIELDS: Final[Mapping[str, str]] = {"from": "from_value", "to": "to_value"}
_SHAPE: Final = frozenset(json.loads(HistoryEvent("", 0, "", "", 0).canonical()))
_TEXTS: Final = ("model_uid", "kind", "actor")
_TEXTS_OR_NONE: Final = ("from", "to", "reason", "session_user", "prev_hash")


@dataclass(frozen=True, slots=True)
class ImportedHistory:
    """All events of a model in one registry, from the first to the one at which it was exported."""

    registry_id: str
    model_uid: str
    events: tuple[HistoryEvent, ...]

    @property
    def closing(self) -> dict[str, Any]:
        """What the ``imported`` event that closes this segment says of it."""
        return {
            "registry_id": self.registry_id,
            "model_uid": self.model_uid,
            "events": len(self.events),
            "head_hash": self.events[-1].hash,
        }


def event_from(values: Any) -> HistoryEvent:
    """The event of a canonical form that was read as JSON.

    Raises:
        IntegrityError: it is not the canonical form of an event.
    """
    if not isinstance(values, Mapping) or set(values) != _SHAPE or not _is_typed(values):
        raise IntegrityError(f"This is not an event of a history: {values!r:.200}.")
    return HistoryEvent(**{_FIELDS.get(name, name): value for name, value in values.items()})


def check_imported_histories(segments: Sequence[ImportedHistory]) -> None:
    """Pass if every chain is whole and the chains follow each other, oldest first.

    Raises:
        IntegrityError: the first thing that is wrong.
    """
    for segment in segments:
        _check_chain(segment)
    for before, after in pairwise(segments):
        check_closed(before, after.events, f"the model {after.model_uid}")
    if segments and find_import(segments[0].events) is not None:
        raise IntegrityError(
            f"The history of the model {segments[0].model_uid} says that it was imported, but its past is missing."
        )


def check_closed(segment: ImportedHistory, events: Sequence[HistoryEvent], what: str) -> None:
    """Pass if these events have the ``imported`` event that closes a segment.

    Raises:
        IntegrityError: they have not, or it speaks of another chain.
    """
    imported = find_import(events)
    said = {} if imported is None else {key: imported.details.get(key) for key in segment.closing}
    if said != segment.closing:
        raise IntegrityError(
            f"The imported history of {what} is {segment.closing!r}, but its own history closes {said!r}."
        )


def find_import(events: Sequence[HistoryEvent]) -> HistoryEvent | None:
    """The event that says where a model came from, or None if it was made where its history is.

    Raises:
        IntegrityError: there is more than one.
    """
    found = [event for event in events if event.kind == EventKind.IMPORTED]
    if len(found) > 1:
        raise IntegrityError(f"The history of the model {found[0].model_uid} says twice that it was imported.")
    return found[0] if found else None


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
