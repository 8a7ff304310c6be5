"""Monitors as rows, and the lease that gives a due check to one of several runners.

Guarantees: a due check is given to one runner at a time. A runner that stops loses its lease after a while, and another
one makes the check; if the first comes back, its result is not recorded (see `store.incidents`).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, exists, func, insert, or_, select, update

from registry.entities.history import canonical_json, check_remark
from registry.entities.monitors import CheckOutcome, Guard, Monitor, MonitorCheck
from registry.exceptions import ModelNotFoundError, NotFoundError
from registry.store.clock import read_clock_us
from registry.store.compiled_statements import send_core
from registry.store.dialects import AnyRow, AnySelect, table
from registry.store.driver_sql import end_with_next
from registry.store.engine import Database
from registry.store.monitors.checks import WITH_RESULT, check_of, insert_check
from registry.store.tables import (
    ModelVersionRow,
    MonitorCheckRow,
    MonitorGuardRow,
    MonitorRow,
    RegisteredModelRow,
    TriggerDeliveryRow,
)
from registry.store.transactions import Store, read_transaction, single_query, write_transaction


@dataclass(frozen=True, slots=True)
class NewMonitor:
    """A monitor to add; times are seconds. With `guard_seconds` it guards the holder of the stage for that long."""

    name: str
    stage: str
    every_seconds: int
    cooldown_seconds: int
    settings: Mapping[str, Any]
    triggers: Sequence[str]
    guard_version: int | None = None
    guard_seconds: int | None = None
    first_seconds: int = 0


@dataclass(frozen=True, slots=True)
class Lease:
    """A due check that one runner has for itself until its lease ends. `token` is a random text."""

    monitor: Monitor
    token: str
    due_time: int


class MonitorStore(Store):
    """Adds, lists and removes monitors, and leases due checks."""

    def __init__(self, database: Database, *, actor: str) -> None:
        super().__init__(database)
        self.actor = check_remark(actor, "actor (REGISTRY_ACTOR)")

    @write_transaction
    def add(self, connection: Connection, new: NewMonitor) -> Monitor:
        """Add a monitor; its first check is due after `first_seconds`.

        Raises:
            ModelNotFoundError: There is no such model.
        """
        now = read_clock_us(connection) // 1000
        row = {
            "model_id": model_key(connection, new.name),
            "stage": new.stage,
            "every_seconds": new.every_seconds,
            "cooldown_seconds": new.cooldown_seconds,
            "settings": canonical_json(dict(new.settings)),
            "triggers": canonical_json(list(new.triggers)),
            "actor": self.actor,
            "creation_time": now,
            "next_time": now + new.first_seconds * 1000,
        }
        key = connection.execute(insert(table(MonitorRow)).returning(MonitorRow.id), row).scalar_one()
        if new.guard_version is not None and new.guard_seconds is not None:
            guard = {"monitor_id": key, "version": new.guard_version, "until": now + new.guard_seconds * 1000}
            send_core(connection, insert(table(MonitorGuardRow)).values(guard))
        return read_monitor(connection, key)

    @read_transaction
    def get(self, connection: Connection, key: int) -> Monitor:
        """Return a monitor.

        Raises:
            NotFoundError: There is no such monitor.
        """
        row = _require_row(connection, key)
        end_with_next(connection)
        return monitors_of(connection, [row])[0]

    @read_transaction
    def list(self, connection: Connection, name: str | None = None) -> Sequence[Monitor]:
        """Return the monitors of a model, or of all models that are not deleted, by number."""
        query = select_monitors()
        if name is not None:
            query = query.where(MonitorRow.model_id == model_key(connection, name))
        rows = connection.execute(query.order_by(MonitorRow.id)).all()
        if rows:
            end_with_next(connection)
        return monitors_of(connection, rows)

    @write_transaction
    def remove(self, connection: Connection, key: int) -> Monitor:
        """Remove a monitor and its guard, and return it. Its checks and incidents stay.

        Raises:
            NotFoundError: There is no such monitor.
        """
        monitor = read_monitor(connection, key)
        if monitor.guard is not None:  # only then does it take a promoter
            send_core(connection, delete(MonitorGuardRow).where(MonitorGuardRow.monitor_id == key))
        send_core(connection, delete(MonitorRow).where(MonitorRow.id == key))
        return monitor

    @single_query
    def list_checks(self, connection: Connection, key: int, limit: int) -> Sequence[MonitorCheck]:
        """Return the newest checks of a monitor, newest first."""
        query = select(MonitorCheckRow.__table__).where(MonitorCheckRow.monitor_id == key)
        rows = connection.execute(query.order_by(MonitorCheckRow.id.desc()).limit(limit))
        return [check_of(row) for row in rows.all()]

    @read_transaction
    def list_checks_of_model(
        self, connection: Connection, name: str, limit: int, *, monitor_id: int | None = None, before: int | None = None
    ) -> Sequence[MonitorCheck]:
        """Return the newest checks of a model, or of one of its monitors, from before a number, newest first.

        Raises:
            ModelNotFoundError: There is no such model.
        """
        query = select(MonitorCheckRow.__table__).where(MonitorCheckRow.model_id == model_key(connection, name))
        if monitor_id is not None:
            query = query.where(MonitorCheckRow.monitor_id == monitor_id)
        if before is not None:
            query = query.where(MonitorCheckRow.id < before)
        rows = connection.execute(query.order_by(MonitorCheckRow.id.desc()).limit(limit))
        return [check_of(row) for row in rows.all()]

    @single_query
    def count_checks(self, connection: Connection) -> Mapping[tuple[int, str], int]:
        """Return the number of checks by monitor and status, for the monitors that there are."""
        query = (
            select(MonitorRow.id, MonitorCheckRow.status, func.count())
            .join(MonitorCheckRow, MonitorCheckRow.monitor_id == MonitorRow.id)
            .group_by(MonitorRow.id, MonitorCheckRow.status)
        )
        return {(monitor, status): count for monitor, status, count in connection.execute(query)}

    @single_query
    def last_results(self, connection: Connection) -> Mapping[int, int]:
        """Return when the newest check ended that measured something, in milliseconds, by monitor."""
        query = (
            select(MonitorRow.id, func.max(MonitorCheckRow.end_time))
            .join(MonitorCheckRow, MonitorCheckRow.monitor_id == MonitorRow.id)
            .where(MonitorCheckRow.status.in_(WITH_RESULT))
            .group_by(MonitorRow.id)
        )
        return {row[0]: row[1] for row in connection.execute(query)}

    @single_query
    def count_deliveries(self, connection: Connection) -> Mapping[tuple[str, str], int]:
        """Return the number of trigger deliveries by trigger and state."""
        query = select(TriggerDeliveryRow.trigger_name, TriggerDeliveryRow.state, func.count())
        grouped = query.group_by(TriggerDeliveryRow.trigger_name, TriggerDeliveryRow.state)
        return {(name, state): count for name, state, count in connection.execute(grouped)}

    @single_query
    def now_ms(self, connection: Connection) -> int:
        """Return the time by the database's clock, in milliseconds since the epoch."""
        return read_clock_us(connection) // 1000

    @read_transaction
    def has_due(self, connection: Connection) -> bool:
        """Tell whether a check is due that no runner has; asked before `lease`, which waits for other writers."""
        due = select_due(read_clock_us(connection) // 1000)
        return connection.execute(due.limit(1)).first() is not None

    @write_transaction
    def lease(self, connection: Connection, token: str, seconds: float, monitor_id: int | None = None) -> Lease | None:
        """Lease the check that has been due longest, or that of `monitor_id` even if it is not due; None if none is.

        A check that another runner has is passed over.
        """
        now = read_clock_us(connection) // 1000
        query = select_due(now) if monitor_id is None else select_free(now).where(MonitorRow.id == monitor_id)
        ordered = query.order_by(MonitorRow.next_time, MonitorRow.id).limit(1)
        row = connection.execute(ordered.with_for_update(of=MonitorRow.__table__, skip_locked=True)).first()
        if row is None:
            return None
        until = now + int(seconds * 1000)
        change = update(MonitorRow).where(MonitorRow.id == row.id).values(lease_token=token, lease_until=until)
        connection.execute(change)
        due_time = row.next_time if monitor_id is None else min(row.next_time, now)
        return Lease(read_monitor(connection, row.id), token, due_time)

    @write_transaction
    def renew(self, connection: Connection, lease: Lease, seconds: float) -> bool:
        """Lengthen a lease; return False if another runner has the check by now."""
        until = read_clock_us(connection) // 1000 + int(seconds * 1000)
        change = update(MonitorRow).where(*held_by(lease)).values(lease_until=until)
        return connection.execute(change).rowcount == 1

    @write_transaction
    def release(self, connection: Connection, lease: Lease) -> None:
        """Give a lease back; the check is due as before."""
        send_core(connection, update(MonitorRow).where(*held_by(lease)).values(lease_token=None, lease_until=None))

    @write_transaction
    def log_check(self, connection: Connection, name: str, outcome: CheckOutcome) -> int:
        """Append a check that no monitor asked for; return its number."""
        now = read_clock_us(connection) // 1000
        return insert_check(connection, model_key(connection, name), outcome, actor=self.actor, end_time=now)


def model_key(connection: Connection, name: str) -> int:
    """Return the key of a model that is not deleted.

    Raises:
        ModelNotFoundError: There is no such model.
    """
    query = select(RegisteredModelRow.id).where(
        RegisteredModelRow.name == name, RegisteredModelRow.deleted_time.is_(None)
    )
    key = connection.execute(query).scalar_one_or_none()
    if key is None:
        raise ModelNotFoundError(f"Registered Model with name={name} not found.")
    return int(key)


def held_by(lease: Lease) -> tuple[Any, ...]:
    """Return the conditions for the row of a monitor that a lease still holds."""
    return MonitorRow.id == lease.monitor.id, MonitorRow.lease_token == lease.token


def end_lease(connection: Connection, lease: Lease, now: int) -> bool:
    """End a lease and set the time of the next check; return False if another runner has the check by now.

    The next time is the first one of the monitor's rhythm that lies ahead: checks that were missed are not made up for.
    """
    every = lease.monitor.every_seconds * 1000
    begin = lease.monitor.next_time
    next_time = begin + every * ((now - begin) // every + 1) if begin <= now else begin
    change = update(MonitorRow).where(*held_by(lease))
    done = connection.execute(change.values(lease_token=None, lease_until=None, next_time=next_time))
    return done.rowcount == 1


def select_monitors() -> AnySelect:
    """Return a query of the columns that `monitors_of` needs, over models that are not deleted."""
    return (
        select(MonitorRow.__table__, RegisteredModelRow.name, MonitorGuardRow.version, MonitorGuardRow.until)
        .join(RegisteredModelRow, RegisteredModelRow.id == MonitorRow.model_id)
        .outerjoin(MonitorGuardRow, MonitorGuardRow.monitor_id == MonitorRow.id)
        .where(RegisteredModelRow.deleted_time.is_(None))
    )


def select_free(now: int) -> AnySelect:
    """Return a query of the monitors whose check no runner has, and whose guard is not over."""
    return select_monitors().where(
        or_(MonitorRow.lease_until.is_(None), MonitorRow.lease_until <= now),
        or_(MonitorGuardRow.until.is_(None), MonitorRow.next_time < MonitorGuardRow.until),
    )


def select_due(now: int) -> AnySelect:
    """Return a query of the monitors that are due and that no runner has.

    A monitor of an empty stage waits until a version holds it. A guard ends when its version does not hold it any more.
    """
    holder = exists().where(
        ModelVersionRow.model_id == MonitorRow.model_id,
        ModelVersionRow.current_stage == MonitorRow.stage,
        or_(MonitorGuardRow.version.is_(None), ModelVersionRow.version == MonitorGuardRow.version),
    )
    return select_free(now).where(MonitorRow.next_time <= now, holder)


def read_monitor(connection: Connection, key: int) -> Monitor:
    """Return a monitor.

    Raises:
        NotFoundError: There is no such monitor.
    """
    return monitors_of(connection, [_require_row(connection, key)])[0]


def _require_row(connection: Connection, key: int) -> AnyRow:
    row = connection.execute(select_monitors().where(MonitorRow.id == key)).one_or_none()
    if row is None:
        raise NotFoundError(f"There is no monitor {key}; 'registry monitor list' shows all.")
    return row


def monitors_of(connection: Connection, rows: Sequence[AnyRow]) -> list[Monitor]:
    """Return the monitors of rows of `select_monitors`, each with its newest check."""
    newest = select(func.max(MonitorCheckRow.id)).where(MonitorCheckRow.monitor_id.in_([row.id for row in rows]))
    query = select(MonitorCheckRow.__table__).where(MonitorCheckRow.id.in_(newest.group_by(MonitorCheckRow.monitor_id)))
    checks = {row.monitor_id: check_of(row) for row in connection.execute(query)} if rows else {}
    return [
        Monitor(
            id=row.id,
            name=row.name,
            stage=row.stage,
            every_seconds=row.every_seconds,
            cooldown_seconds=row.cooldown_seconds,
            settings=json.loads(row.settings),
            triggers=tuple(json.loads(row.triggers)),
            actor=row.actor,
            creation_timestamp=row.creation_time,
            next_time=row.next_time,
            lease_until=row.lease_until,
            guard=None if row.version is None else Guard(row.version, row.until),
            last_check=checks.get(row.id),
        )
        for row in rows
    ]
