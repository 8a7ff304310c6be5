"""Events of a registered model's history, their canonical form and the chain of their hashes.

The hash of an event is the SHA-256 (lower-case hex) of its canonical form, which includes the hash of the event before
it: whoever keeps the last hash can tell whether anything before it was changed. Detection, not prevention.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from registry.exceptions import InvalidParameterError, InvalidTypeError

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


def canonical_json(value: Any) -> str:
    """JSON with sorted keys, no blanks and non-ASCII characters as they are.

    Raises:
        ValueError: a number is NaN or infinite; such figures are written as text.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


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
