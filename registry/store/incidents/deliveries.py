"""Deliveries: triggers that are to be run for the incidents of a check.

Guarantees: a delivery is given to one runner at a time, and again after a failure or a lost lease: at least once.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, or_, select, update

from registry.entities.monitors import DeliveryState, Incident, TriggerDelivery
from registry.store.clock import read_clock_us
from registry.store.dialects import AnyRow, AnySelect
from registry.store.driver_sql import end_with_next
from registry.store.incidents.incidents import incident_of, select_incidents
from registry.store.long_lists import among
from registry.store.monitors.checks import JOINED_CHECK, JOINED_PREFIX, check_of
from registry.store.tables import IncidentRow, MonitorCheckRow, MonitorRow, RegisteredModelRow, TriggerDeliveryRow
from registry.store.transactions import Store, read_transaction, write_transaction

# After this many failures a trigger is given up.
ATTEMPTS: Final = 10
_FIRST_WAIT_MS: Final = 30_000
_LONGEST_WAIT_MS: Final = 3_600_000


@dataclass(frozen=True, slots=True)
class DeliveryLease:
    """A delivery that one runner has for itself until its lease ends."""

    delivery: TriggerDelivery
    token: str


class DeliveryStore(Store):
    """Leases triggers that are to be run, and records how they ended."""

    @read_transaction
    def has_due(self, connection: Connection, triggers: Collection[str]) -> bool:
        """Tell whether one of these triggers is to be run now, and no runner has it."""
        due = _select_due(triggers, read_clock_us(connection) // 1000)
        return connection.execute(due.limit(1)).first() is not None

    @write_transaction
    def lease(
        self, connection: Connection, token: str, seconds: float, triggers: Collection[str]
    ) -> DeliveryLease | None:
        """Lease the delivery of one of these triggers that has been due longest, and count the attempt."""
        now = read_clock_us(connection) // 1000
        query = _select_due(triggers, now).order_by(TriggerDeliveryRow.next_time, TriggerDeliveryRow.id).limit(1)
        locked = query.with_for_update(of=TriggerDeliveryRow.__table__, skip_locked=True)
        row = connection.execute(locked).first()
        if row is None:
            return None
        values = {
            "lease_token": token,
            "lease_until": now + int(seconds * 1000),
            "attempts": TriggerDeliveryRow.attempts + 1,
        }
        connection.execute(update(TriggerDeliveryRow).where(TriggerDeliveryRow.id == row.id).values(**values))
        fresh = connection.execute(_select_deliveries().where(TriggerDeliveryRow.id == row.id)).one()
        return DeliveryLease(_deliveries_of(connection, [fresh])[0], token)

    @write_transaction
    def renew(self, connection: Connection, lease: DeliveryLease, seconds: float) -> bool:
        """Lengthen a lease; return False if another runner has the delivery by now."""
        until = read_clock_us(connection) // 1000 + int(seconds * 1000)
        change = update(TriggerDeliveryRow).where(*_held_by(lease)).values(lease_until=until)
        return connection.execute(change).rowcount == 1

    @write_transaction
    def finish(
        self, connection: Connection, lease: DeliveryLease, state: DeliveryState, message: str | None = None
    ) -> DeliveryState | None:
        """Record how an attempt ended, and return the state; None if another runner has the delivery by now.

        ``pending`` means that it failed and is tried again later; after `ATTEMPTS` failures it is given up.
        """
        now = read_clock_us(connection) // 1000
        attempts = lease.delivery.attempts
        if state == DeliveryState.PENDING and attempts >= ATTEMPTS:
            state = DeliveryState.FAILED
        wait = min(_LONGEST_WAIT_MS, _FIRST_WAIT_MS * 2 ** min(attempts - 1, 20))
        values: dict[str, Any] = {"state": str(state), "message": message, "lease_token": None, "lease_until": None}
        ended = {"next_time": now + wait} if state == DeliveryState.PENDING else {"end_time": now}
        change = update(TriggerDeliveryRow).where(*_held_by(lease)).values(**values, **ended)
        return state if connection.execute(change).rowcount == 1 else None

    @read_transaction
    def find_last_delivered(
        self, connection: Connection, delivery: TriggerDelivery, within_seconds: float
    ) -> int | None:
        """Return the number of another delivery of this trigger for this model that ended lately, or None."""
        since = read_clock_us(connection) // 1000 - int(within_seconds * 1000)
        query = _select_deliveries().where(
            TriggerDeliveryRow.trigger_name == delivery.trigger,
            RegisteredModelRow.name == delivery.name,
            RegisteredModelRow.deleted_time.is_(None),
            TriggerDeliveryRow.id != delivery.id,
            TriggerDeliveryRow.state == str(DeliveryState.DELIVERED),
            TriggerDeliveryRow.end_time > since,
        )
        row = connection.execute(query.order_by(TriggerDeliveryRow.id.desc()).limit(1)).first()
        return None if row is None else int(row.id)

    @read_transaction
    def list(self, connection: Connection, states: Collection[str] | None = None) -> Sequence[TriggerDelivery]:
        """Return the deliveries in these states, or all, oldest first."""
        query = _select_deliveries().order_by(TriggerDeliveryRow.id)
        if states is not None:
            query = query.where(TriggerDeliveryRow.state.in_(sorted(map(str, states))))
        rows = connection.execute(query).all()
        if rows:
            end_with_next(connection)
        return _deliveries_of(connection, rows)


def _held_by(lease: DeliveryLease) -> tuple[Any, ...]:
    return TriggerDeliveryRow.id == lease.delivery.id, TriggerDeliveryRow.lease_token == lease.token


def _select_deliveries() -> AnySelect:
    return (
        select(TriggerDeliveryRow.__table__, RegisteredModelRow.name, MonitorRow.stage, *JOINED_CHECK)
        .join(MonitorCheckRow, MonitorCheckRow.id == TriggerDeliveryRow.check_id)
        .join(RegisteredModelRow, RegisteredModelRow.id == MonitorCheckRow.model_id)
        .outerjoin(MonitorRow, MonitorRow.id == MonitorCheckRow.monitor_id)
    )


def _select_due(triggers: Collection[str], now: int) -> AnySelect:
    return _select_deliveries().where(
        TriggerDeliveryRow.state == str(DeliveryState.PENDING),
        TriggerDeliveryRow.trigger_name.in_(sorted(triggers)),
        TriggerDeliveryRow.next_time <= now,
        or_(TriggerDeliveryRow.lease_until.is_(None), TriggerDeliveryRow.lease_until <= now),
    )


def _deliveries_of(connection: Connection, rows: Sequence[AnyRow]) -> list[TriggerDelivery]:
    """Return the deliveries of rows of `_select_deliveries`, with the incidents of each; one statement."""
    dialect, numbers = connection.dialect.name, {row.check_id for row in rows}
    incidents: dict[int, list[Incident]] = {number: [] for number in numbers}
    opened = select_incidents().where(among(IncidentRow.check_id, numbers, dialect)).order_by(IncidentRow.id)
    for row in connection.execute(opened) if rows else ():
        incidents[row.check_id].append(incident_of(row))
    return [
        TriggerDelivery(
            id=row.id,
            trigger=row.trigger_name,
            name=row.name,
            stage=row.stage,
            check=check_of(row, JOINED_PREFIX),
            incidents=tuple(incidents[row.check_id]),
            state=row.state,
            attempts=row.attempts,
            next_time=row.next_time,
            message=row.message,
        )
        for row in rows
    ]
