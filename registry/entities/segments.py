"""The history that a model had in another registry: a whole chain, and the event of the next chain that closes it.

Pure: events to and from their canonical form, and whether chains fit together. Invariant: `check_segments` passes only
if every event hashes to what the one after it says, and every chain but the last is closed by the next one's
``imported`` event, which names its registry, its model, its length and its last hash.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from registry.entities.history import EventKind, HistoryEvent
from registry.exceptions import IntegrityError

_FIELDS: Final[Mapping[str, str]] = {"from": "from_value", "to": "to_value"}
_SHAPE: Final = frozenset(json.loads(HistoryEvent("", 0, "", "", 0).canonical()))
_TEXTS: Final = ("model_uid", "kind", "actor")
_TEXTS_OR_NONE: Final = ("from", "to", "reason", "session_user", "prev_hash")


@dataclass(frozen=True, slots=True)
class ForeignSegment:
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


def check_segments(segments: Sequence[ForeignSegment]) -> None:
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


def check_closed(segment: ForeignSegment, events: Sequence[HistoryEvent], what: str) -> None:
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


def _check_chain(segment: ForeignSegment) -> None:
    previous_hash, previous_time = None, 0
    for seq, event in enumerate(segment.events, 1):
        where = f"Event {seq} of the imported history of the model {segment.model_uid}"
        if (event.seq, event.model_uid) != (seq, segment.model_uid):
            raise IntegrityError(f"{where} is missing: event {event.seq} of {event.model_uid} is in its place.")
        if event.prev_hash != previous_hash:
            raise IntegrityError(f"{where} does not continue the event before it: the chain of hashes is broken there.")
        if event.time_us <= previous_time:
            raise IntegrityError(f"{where} is not later than the event before it.")
        previous_hash, previous_time = event.hash, event.time_us
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
