"""Lock a registered model and append events to its history: their sequence, time and hash.

Guarantees: changes of a model and their events are committed together. Event times grow with the sequence, whatever the
clock does.
"""

import contextlib
import functools
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from sqlalchemy import Connection, bindparam, insert, literal_column, null, select, update

from registry.entities.history import EventKind, HistoryEvent, canonical_json, check_remark, moment_of
from registry.entities.times import format_time
from registry.exceptions import ClockAheadError, IntegrityError, ModelNotFoundError
from registry.store import clock
from registry.store.compiled_statements import Compiled, first_row
from registry.store.dialects import AnyRow, AnySelect, table
from registry.store.driver_sql import Statement, run_all
from registry.store.tables import HistoryRow, RegisteredModelRow, RegistryIdRow
from registry.store.transactions import Store
from registry.validation.names import casefold_name, nearest

TOLERANCE_US: Final = 5 * 60 * 1_000_000
"""How far the last event of a model may be ahead of the clock before changes are refused, in microseconds."""
_COMPARED_NAMES: Final = 1_000


class RegistryStore(Store):
    """Base of stores that change registered models; `actor` is recorded in every event."""

    def __init__(self, database: Any, *, actor: str, ignore_clock: bool = False) -> None:
        super().__init__(database)
        self.actor = check_remark(actor, "actor (REGISTRY_ACTOR)")
        self.ignore_clock = ignore_clock

    def locked(
        self, connection: Connection, name: str, *facts: Statement
    ) -> "contextlib.AbstractContextManager[LockedModel]":
        """Lock a model until the transaction ends; its events are written at the end of the block.

        `facts` are run after the lock is taken, in the same round trip.

        Raises:
            ModelNotFoundError: There is no such model.
        """
        row = lock_model(connection, name, *facts)
        return write_on_exit(LockedModel(connection, row, self.actor, ignore_clock=self.ignore_clock))


class LockedModel:
    """A locked registered model, with the events and changes that are not written yet."""

    def __init__(self, connection: Connection, row: AnyRow, actor: str, *, ignore_clock: bool = False) -> None:
        self.connection = connection
        self.key: int = row.id
        self.name: str = row.name
        self.uid: str = row.uid
        self.row = row
        self.actor = actor
        self.session_user: str | None = row.session_user
        self.now_us = clock.clock_us(row.server_us)
        self._ignore_clock = ignore_clock
        self._events: list[HistoryEvent] = []
        self._changes: dict[str, Any] = {}

    def record(
        self,
        kind: EventKind,
        *,
        version: int | None = None,
        before: str | None = None,
        after: str | None = None,
        reason: str | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> HistoryEvent:
        """Append an event; `before` and `after` are the old and the new value.

        Raises:
            ClockAheadError: The model's last event is more than five minutes ahead of the clock.
        """
        last_us = self.last_event_us
        if last_us > self.now_us + TOLERANCE_US and not self._ignore_clock:
            raise _clock_ahead(self.name, last_us, self.now_us)
        return self._append(kind, last_us, version, before, after, reason, details)

    def record_correction(self, details: Mapping[str, Any], *, last_us: int, reason: str | None) -> HistoryEvent:
        """Append an event that corrects earlier event times; `last_us` is the corrected time of the last event."""
        return self._append(EventKind.CLOCK_CORRECTED, last_us, None, None, None, reason, details)

    def _append(
        self,
        kind: EventKind,
        last_us: int,
        version: int | None,
        before: str | None,
        after: str | None,
        reason: str | None,
        details: Mapping[str, Any] | None,
    ) -> HistoryEvent:
        last = self._events[-1] if self._events else None
        event = HistoryEvent(
            model_uid=self.uid,
            seq=(last.seq if last else self.row.last_seq) + 1,
            kind=kind,
            actor=self.actor,
            time_us=max(self.now_us, last_us + 1),
            version=version,
            from_value=before,
            to_value=after,
            reason=None if reason is None else check_remark(reason, "reason"),
            session_user=self.session_user,
            details=details or {},
            prev_hash=last.hash if last else self.row.head_hash,
        )
        self._events.append(event)
        return event

    @property
    def last_event_us(self) -> int:
        """The time of the last event, in microseconds since the epoch."""
        return self._events[-1].time_us if self._events else int(self.row.last_event_us)

    def change(self, **columns: Any) -> None:
        """Set columns of the model's row at the end of the block."""
        self._changes.update(columns)

    @property
    def has_events(self) -> bool:
        """Whether anything was recorded that is not written yet."""
        return bool(self._events)

    def next_version(self) -> int:
        """Return the next version number; numbers are never reused."""
        number = int(self.row.last_version) + 1
        self.change(last_version=number)
        return number

    def save(self) -> None:
        """Write the events and changes; do nothing if there are no events.

        The counter of all events is increased just before the insert. Its row stays locked until the transaction ends,
        so event ids appear in the order of commits, and a reader that polls from the last id misses none. All of it
        travels with COMMIT, because every change of any model waits for that row.
        """
        if not self._events:
            return
        count = len(self._events)
        _RAISE_COUNT.send(self.connection, {"count": count})
        rows = [_row(count - number, self.key, event) for number, event in enumerate(self._events, 1)]
        _APPEND.write_many(self.connection, rows)
        end = self._events[-1]
        values = {
            "last_seq": end.seq,
            "last_event_us": end.time_us,
            "head_hash": end.hash,
            "last_update_time": end.time_us // 1_000,
            **self._changes,
        }
        _CHANGE_MODEL.send(self.connection, {"model_key": self.key, **values})


# Built once, because building a statement costs more than running it.
_COUNT: Final = table(RegistryIdRow).c.last_event
_RAISE_COUNT: Final = Compiled(update(table(RegistryIdRow)).values(last_event=_COUNT + bindparam("count")))
_APPEND: Final = Compiled(
    insert(table(HistoryRow)).values(id=select(_COUNT).scalar_subquery() - bindparam("later_events"))
)
_MODELS: Final = table(RegisteredModelRow)
_CHANGE_MODEL: Final = Compiled(update(_MODELS).where(_MODELS.c.id == bindparam("model_key")))


@contextlib.contextmanager
def write_on_exit(model: LockedModel) -> Iterator[LockedModel]:
    """Save a locked model at the end of the block, unless the block raises."""
    yield model
    model.save()


def lock_model(connection: Connection, name: str, *facts: Statement) -> AnyRow:
    """Lock and return the row of a model that is not deleted, with the session's database user.

    `facts` are run after the lock is taken, in the same round trip.

    Raises:
        ModelNotFoundError: There is no such model.
    """
    lock = lock_statement(connection, name)
    run_all(connection, lock, *facts)
    row = first_row(lock)
    if row is None:
        raise model_not_found(connection, name)
    return row


def lock_statement(connection: Connection, name: str) -> Statement:
    """Return the statement that locks a model, for `LockedModel`."""
    return _lock_statement(connection.dialect.name).statement(connection, name_params(name))


@functools.cache
def _lock_statement(dialect: str) -> Compiled:
    return Compiled(select_locked(dialect).where(NOT_DELETED))


def select_locked(dialect: str) -> AnySelect:
    """Return a query that locks the rows of models; they have all columns that `LockedModel` needs."""
    user = null() if dialect == "sqlite" else literal_column("session_user::text")
    columns = (RegisteredModelRow.__table__, user.label("session_user"), clock.server_us(dialect))
    return select(*columns).with_for_update()


def _not_deleted(name_key: Any, name: Any) -> Any:
    return (
        (RegisteredModelRow.name_key == name_key)
        & (RegisteredModelRow.name == name)
        & RegisteredModelRow.deleted_time.is_(None)
    )


NOT_DELETED: Final[Any] = _not_deleted(bindparam("name_key"), bindparam("name"))
"""The condition for the model of a name that is not deleted; its index is on the case-folded key."""


KEY_OF_NAME: Final = select(RegisteredModelRow.id).where(NOT_DELETED).scalar_subquery()
"""The key of the model of `NOT_DELETED`: a statement that uses it need not wait for the key."""


def name_params(name: str) -> dict[str, str]:
    """Return the parameters of `NOT_DELETED`."""
    return {"name": name, "name_key": casefold_name(name)}


def not_deleted(name: str) -> Any:
    """Return `NOT_DELETED` with its values, for statements that are not compiled ahead."""
    return _not_deleted(casefold_name(name), name)


def _clock_ahead(name: str, last_us: int, now_us: int) -> ClockAheadError:
    last, now = format_time(moment_of(last_us)), format_time(moment_of(now_us))
    return ClockAheadError(
        f"The last event of {name!r} has the time {last}, but the clock says {now}: some machine's clock was ahead, or "
        f"this one is behind. If this clock is right, correct the history with 'registry models correct-clock {name}'; "
        "REGISTRY_IGNORE_CLOCK=1 allows changes anyway."
    )


def model_not_found(connection: Connection, name: str) -> ModelNotFoundError:
    """Return the error for a missing name: what it was renamed to, or when and by whom it was deleted."""
    renamed = (
        select(RegisteredModelRow.name)
        .join(HistoryRow, HistoryRow.model_id == RegisteredModelRow.id)
        .where(HistoryRow.kind == literal_column(f"'{EventKind.RENAMED}'"), HistoryRow.from_value == name)
        .where(RegisteredModelRow.deleted_time.is_(None), RegisteredModelRow.name != name)
        .order_by(HistoryRow.id.desc())
    )
    new_name = connection.execute(renamed.limit(1)).scalar_one_or_none()
    if new_name is not None:
        return ModelNotFoundError(f"Registered Model with name={name} not found; it was renamed to {new_name!r}.")
    deleted = find_deletion(connection, name)
    if deleted is not None:
        when = format_time(moment_of(deleted.time_us))
        return ModelNotFoundError(
            f"Registered Model with name={name} not found; it was deleted at {when} by {deleted.actor}."
        )
    return ModelNotFoundError(f"Registered Model with name={name} not found{near_names(connection, name)}")


def near_names(connection: Connection, name: str) -> str:
    """Return ``. Did you mean 'churn'?`` with the models whose names are nearest, or an empty text."""
    names = (
        select(RegisteredModelRow.name)
        .where(RegisteredModelRow.deleted_time.is_(None))
        .order_by(RegisteredModelRow.id.desc())
    )
    close = nearest(name, connection.execute(names.limit(_COMPARED_NAMES)).scalars())
    return f".{close}" if close else ""


def find_deletion(connection: Connection, name: str) -> AnyRow | None:
    """Return key, time and actor of the last deletion of a model of this name, or None."""
    # Nothing follows a deletion: it is the last event of its chain.
    last = (HistoryRow.model_id == RegisteredModelRow.id) & (HistoryRow.seq == RegisteredModelRow.last_seq)
    query = (
        select(RegisteredModelRow.id, HistoryRow.time_us, HistoryRow.actor)
        .join(HistoryRow, last)
        .where(RegisteredModelRow.name == name, RegisteredModelRow.deleted_time.is_not(None))
        .order_by(RegisteredModelRow.id.desc())
    )
    return connection.execute(query.limit(1)).one_or_none()


def _row(later_events: int, model_key: int, event: HistoryEvent) -> dict[str, Any]:
    return {
        "later_events": later_events,
        "model_id": model_key,
        "seq": event.seq,
        "kind": str(event.kind),
        "version": event.version,
        "from_value": event.from_value,
        "to_value": event.to_value,
        "actor": event.actor,
        "session_user": event.session_user,
        "reason": event.reason,
        "time_us": event.time_us,
        "details": canonical_json(dict(event.details)) if event.details else None,
        "prev_hash": event.prev_hash,
        "hash": event.hash,
    }


def event_of(row: AnyRow, model_uid: str) -> HistoryEvent:
    """Return the event of a row of `history`; its hash is computed, not read.

    Raises:
        IntegrityError: The details are not a JSON object.
    """
    return HistoryEvent(
        model_uid=model_uid,
        seq=row.seq,
        kind=row.kind,
        actor=row.actor,
        time_us=row.time_us,
        version=row.version,
        from_value=row.from_value,
        to_value=row.to_value,
        reason=row.reason,
        session_user=row.session_user,
        details=_details(row, model_uid),
        prev_hash=row.prev_hash,
    )


def _details(row: AnyRow, model_uid: str) -> dict[str, Any]:
    if row.details is None:
        return {}
    try:
        details = json.loads(row.details, parse_constant=_refuse_constant)
    except (TypeError, ValueError, RecursionError):
        details = None
    if not isinstance(details, dict):
        raise IntegrityError(f"Event {row.seq} of the model {model_uid} was edited: its details are not a JSON object.")
    return details


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)
