"""Monitors as rows, and the lease that gives a due check to one of several runners.

Guarantees: a due check is given to one runner at a time. A runner that stops loses its lease after a while, and another
one makes the check; if the first comes back, its result is not recorded (see `store.incidents`).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, exists, func, insert, or_, select, update

from registry.entities.history import canonical_json, check_remark
from registry.entities.monitors import CheckOutcome, Guard, Monitor, MonitorCheck
from registry.exceptions import ModelNotFoundError, NotFoundError
from registry.store.clock import clock_us, clock_us_statement, read_clock_us
from registry.store.compiled_statements import Compiled, all_rows, first_value, send_core
from registry.store.dialects import AnyRow, AnySelect, table
from registry.store.driver_sql import Statement, end_with_next, run_all
from registry.store.engine import Database
from registry.store.monitors.checks import JOINED_CHECK, JOINED_PREFIX, WITH_RESULT, check_of, insert_check
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
            NotFoundError: The stage to guard is empty.
        """
        given = {"given_name": new.name, "given_stage": new.stage}
        clock, model, held = (
            clock_us_statement(connection),
            _MODEL.statement(connection, given),
            _HOLDER.statement(connection, given),
        )
        run_all(connection, clock, model, held)
        now, holder = clock_us(first_value(clock)) // 1000, first_value(held)
        row: dict[str, Any] = {
            "model_id": _key_of(model, new.name),
            "stage": new.stage,
            "every_seconds": new.every_seconds,
            "cooldown_seconds": new.cooldown_seconds,
            "settings": canonical_json(dict(new.settings)),
            "triggers": canonical_json(list(new.triggers)),
            "actor": self.actor,
            "creation_time": now,
            "next_time": now + new.first_seconds * 1000,
        }
        if new.guard_seconds is not None and holder is None:
            raise NotFoundError(f"{new.stage} of {new.name!r} is empty; a guard watches the version that holds it.")
        key = int(connection.execute(insert(table(MonitorRow)).returning(MonitorRow.id), row).scalar_one())
        guard = None
        if new.guard_seconds is not None and holder is not None:
            guard = Guard(holder, now + new.guard_seconds * 1000)
            guarded = {"monitor_id": key, "version": guard.version, "until": guard.until}
            send_core(connection, insert(table(MonitorGuardRow)).values(guarded))
        return Monitor(
            id=key,
            name=new.name,
            stage=new.stage,
            every_seconds=new.every_seconds,
            cooldown_seconds=new.cooldown_seconds,
            settings=json.loads(canonical_json(dict(new.settings))),
            triggers=tuple(new.triggers),
            actor=self.actor,
            creation_timestamp=now,
            next_time=row["next_time"],
            guard=guard,
        )

    @single_query
    def get(self, connection: Connection, key: int) -> Monitor:
        """Return a monitor.

        Raises:
            NotFoundError: There is no such monitor.
        """
        return read_monitor(connection, key)

    @read_transaction
    def list(self, connection: Connection, name: str | None = None) -> Sequence[Monitor]:
        """Return the monitors of a model, or of all models that are not deleted, by number.

        Raises:
            ModelNotFoundError: There is no such model.
        """
        given = {"given_name": name}
        end_with_next(connection)
        if name is None:
            return list(map(_monitor_of, _ALL.rows(connection, {})))
        model, monitors = _MODEL.statement(connection, given), _OF_MODEL.statement(connection, given)
        run_all(connection, model, monitors)
        _key_of(model, name)
        return list(map(_monitor_of, all_rows(monitors)))

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

    @read_transaction
    def list_checks(self, connection: Connection, key: int, limit: int) -> Sequence[MonitorCheck]:
        """Return the newest checks of a monitor, newest first.

        Raises:
            NotFoundError: There is no such monitor.
        """
        monitor = _EXISTS.send(connection, {"monitor_key": key})
        query = select(MonitorCheckRow.__table__).where(MonitorCheckRow.monitor_id == key)
        end_with_next(connection)
        rows = connection.execute(query.order_by(MonitorCheckRow.id.desc()).limit(limit))
        if not monitor.rows:
            raise _missing(key)
        return [check_of(row) for row in rows.all()]

    @read_transaction
    def list_checks_of_model(
        self, connection: Connection, name: str, limit: int, *, monitor_id: int | None = None, before: int | None = None
    ) -> Sequence[MonitorCheck]:
        """Return the newest checks of a model, or of one of its monitors, from before a number, newest first.

        Raises:
            ModelNotFoundError: There is no such model.
        """
        model = _MODEL.send(connection, {"given_name": name})
        query = select(MonitorCheckRow.__table__)
        query = query.join(RegisteredModelRow, RegisteredModelRow.id == MonitorCheckRow.model_id)
        query = query.where(RegisteredModelRow.name == name, RegisteredModelRow.deleted_time.is_(None))
        if monitor_id is not None:
            query = query.where(MonitorCheckRow.monitor_id == monitor_id)
        if before is not None:
            query = query.where(MonitorCheckRow.id < before)
        end_with_next(connection)
        rows = connection.execute(query.order_by(MonitorCheckRow.id.desc()).limit(limit))
        _key_of(model, name)
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
        clock, model = clock_us_statement(connection), _MODEL.statement(connection, {"given_name": name})
        run_all(connection, clock, model)
        key, now = _key_of(model, name), clock_us(first_value(clock)) // 1000
        return insert_check(connection, key, outcome, actor=self.actor, end_time=now)


_IS_MEANT: Final = (RegisteredModelRow.name == bindparam("given_name")) & RegisteredModelRow.deleted_time.is_(None)
_MODEL: Final = Compiled(select(RegisteredModelRow.id).where(_IS_MEANT))
_HOLDER: Final = Compiled(
    select(ModelVersionRow.version)
    .join(RegisteredModelRow, RegisteredModelRow.id == ModelVersionRow.model_id)
    .where(_IS_MEANT, ModelVersionRow.current_stage == bindparam("given_stage"))
)


def _key_of(model: Statement, name: str) -> int:
    """Return the key of the model of a name that `_MODEL` found.

    Raises:
        ModelNotFoundError: There is no such model.
    """
    if not model.rows:
        raise ModelNotFoundError(f"Registered Model with name={name} not found.")
    return int(model.rows[0][0])


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
    """Return a query of monitors with their guards, over models that are not deleted."""
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
    row = _BY_KEY.first(connection, {"monitor_key": key})
    if row is None:
        raise _missing(key)
    return _monitor_of(row)


def _missing(key: int) -> NotFoundError:
    return NotFoundError(f"There is no monitor {key}; 'registry monitor list' shows all.")


def _select_with_check() -> AnySelect:
    check = table(MonitorCheckRow).alias().c
    newest = select(func.max(check.id)).where(check.monitor_id == MonitorRow.id).correlate(MonitorRow).scalar_subquery()
    query = select_monitors().add_columns(*JOINED_CHECK).outerjoin(MonitorCheckRow, MonitorCheckRow.id == newest)
    return query.order_by(MonitorRow.id)


_ALL: Final = Compiled(_select_with_check())
_OF_MODEL: Final = Compiled(_select_with_check().where(RegisteredModelRow.name == bindparam("given_name")))
_BY_KEY: Final = Compiled(_select_with_check().where(MonitorRow.id == bindparam("monitor_key")))


def _monitor_of(row: AnyRow) -> Monitor:
    """Return the monitor of a row of `_select_with_check`, with its newest check."""
    return Monitor(
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
        last_check=None if row.checked_id is None else check_of(row, JOINED_PREFIX),
    )


_EXISTS: Final = Compiled(
    select(MonitorRow.id)
    .join(RegisteredModelRow, RegisteredModelRow.id == MonitorRow.model_id)
    .where(MonitorRow.id == bindparam("monitor_key"), RegisteredModelRow.deleted_time.is_(None))
)
