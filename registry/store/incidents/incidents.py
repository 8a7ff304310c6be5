"""Open, acknowledge and close incidents, each change with its event in the model's history.

A check without a new incident takes no lock of the model. Guarantees: a cause has at most one incident that is not
closed. A check, its incidents, their events and the triggers to be run are written in one transaction, by the runner
that has the lease.
"""

import functools
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import Connection, bindparam, insert, or_, select, update

from registry.entities.history import EventKind, canonical_json
from registry.entities.monitors import (
    ROLLBACK,
    CheckOutcome,
    CheckStatus,
    DeliveryState,
    Incident,
    IncidentStatus,
)
from registry.exceptions import InvalidStateError, NotFoundError
from registry.store.clock import read_clock_us
from registry.store.compiled_statements import Compiled, first_row, send_core
from registry.store.dialects import AnyRow, AnySelect, table
from registry.store.driver_sql import Statement, end_with_next, run_all, send
from registry.store.monitors.checks import insert_check
from registry.store.monitors.monitors import Lease, end_lease
from registry.store.registry.history_writer import LockedModel, RegistryStore, not_deleted, select_locked, write_on_exit
from registry.store.registry.queries import check_model, model_statement, require_model
from registry.store.tables import IncidentRow, MonitorRow, RegisteredModelRow, TriggerDeliveryRow
from registry.store.transactions import read_transaction, single_query, write_transaction

_EVENTS: Final = {
    IncidentStatus.ACKNOWLEDGED: EventKind.INCIDENT_ACKNOWLEDGED,
    IncidentStatus.CLOSED: EventKind.INCIDENT_CLOSED,
}


class IncidentStore(RegistryStore):
    """Records what checks found, and changes incidents."""

    @write_transaction
    def finish_check(
        self, connection: Connection, lease: Lease, outcome: CheckOutcome
    ) -> tuple[int, Sequence[Incident]] | None:
        """Record a check and open an incident for each new cause; return the check's number and these incidents.

        Returns None, and records nothing, if the lease was lost: then another runner makes the check.

        Raises:
            ModelNotFoundError: The model was deleted.
        """
        name = _current_name(connection, lease)
        now = read_clock_us(connection) // 1000
        key = require_model(connection, name).id
        causes = _new_causes(connection, key, lease, outcome, now)
        if not causes:
            check = self._record_check(connection, key, lease, outcome, now)
            return None if check is None else (check, ())
        with self.locked(connection, name) as model:
            check = self._record_check(connection, key, lease, outcome, now)
            if check is None:
                return None
            # Read again under the lock: another monitor of the model may have opened one meanwhile.
            causes = _new_causes(connection, key, lease, outcome, now)
            opened = [_open(model, lease, outcome, check, cause) for cause in causes]
        if opened:
            _insert_deliveries(connection, check, lease.monitor.triggers, now)
        return check, [read_incident(connection, number) for number in opened]

    def _record_check(
        self, connection: Connection, key: int, lease: Lease, outcome: CheckOutcome, now: int
    ) -> int | None:
        """End the lease and append the check, with the rollback of a guard that failed; None if the lease was lost."""
        if not end_lease(connection, lease, now):
            return None
        check = insert_check(
            connection,
            key,
            outcome,
            actor=self.actor,
            end_time=now,
            monitor_id=lease.monitor.id,
            due_time=lease.due_time,
        )
        guard = lease.monitor.guard
        if guard is not None and outcome.status == CheckStatus.DRIFT and outcome.version == guard.version:
            _insert_deliveries(connection, check, [ROLLBACK], now)
        return check

    @write_transaction
    def change(
        self, connection: Connection, number: int, status: IncidentStatus, *, reason: str | None = None
    ) -> Incident:
        """Acknowledge or close an incident. Doing it again changes nothing.

        Raises:
            NotFoundError: There is no such incident.
            InvalidStateError: A closed incident is acknowledged.
        """
        dialect, given = connection.dialect.name, {"given_number": number}
        lock, found = _lock_model(dialect).statement(connection, given), _BY_NUMBER.statement(connection, given)
        run_all(connection, lock, found)
        row, incident = first_row(lock), _incident_found(found, number)
        if row is None:
            raise _missing(number)
        with write_on_exit(LockedModel(connection, row, self.actor, ignore_clock=self.ignore_clock)) as model:
            if incident.status == status:
                return incident
            if incident.status == IncidentStatus.CLOSED:
                raise InvalidStateError(f"Incident {number} of {incident.name!r} is closed; it cannot be {status}.")
            event = model.record(
                _EVENTS[status],
                version=incident.version,
                before=incident.status,
                after=str(status),
                reason=reason,
                details={"incident": number, "cause": incident.cause},
            )
            changes: dict[str, Any] = {
                "status": str(status),
                "changed_us": event.time_us,
                "changed_by": self.actor,
                "reason": reason,
            }
            send_core(connection, update(IncidentRow).where(IncidentRow.id == number).values(**changes))
            return replace(incident, **changes)

    @single_query
    def get(self, connection: Connection, number: int) -> Incident:
        """Return an incident.

        Raises:
            NotFoundError: There is no such incident.
        """
        return read_incident(connection, number)

    @read_transaction
    def list(
        self,
        connection: Connection,
        name: str | None = None,
        statuses: Collection[str] | None = None,
        *,
        newest: int | None = None,
    ) -> Sequence[Incident]:
        """Return the incidents of a model, or of all models that are not deleted, oldest first; or the newest ones.

        Raises:
            ModelNotFoundError: There is no such model.
        """
        query = select_incidents().order_by(IncidentRow.id.desc()).limit(newest)
        model = None if name is None else send(connection, model_statement(connection, name))
        if name is not None:
            query = query.where(not_deleted(name))
        if statuses is not None:
            query = query.where(IncidentRow.status.in_(sorted(map(str, statuses))))
        end_with_next(connection)
        rows = connection.execute(query).all()
        if model is not None:
            check_model(connection, model, str(name))
        return [incident_of(row) for row in rows[::-1]]


def select_incidents() -> AnySelect:
    """Return a query of the columns that `incident_of` needs, over models that are not deleted."""
    return (
        select(IncidentRow.__table__, RegisteredModelRow.name)
        .join(RegisteredModelRow, RegisteredModelRow.id == IncidentRow.model_id)
        .where(RegisteredModelRow.deleted_time.is_(None))
    )


def incident_of(row: AnyRow) -> Incident:
    """Return a row of `select_incidents`."""
    return Incident(
        id=row.id,
        name=row.name,
        cause=row.cause,
        status=row.status,
        version=row.version,
        figures=json.loads(row.figures),
        report_digest=row.report_digest,
        run_id=row.run_id,
        monitor_id=row.monitor_id,
        check_id=row.check_id,
        opened_us=row.opened_us,
        changed_us=row.changed_us,
        changed_by=row.changed_by,
        reason=row.reason,
    )


def read_incident(connection: Connection, number: int) -> Incident:
    """Return an incident.

    Raises:
        NotFoundError: There is no such incident.
    """
    run_all(connection, found := _BY_NUMBER.statement(connection, {"given_number": number}))
    return _incident_found(found, number)


def _incident_found(found: Statement, number: int) -> Incident:
    row = first_row(found)
    if row is None:
        raise _missing(number)
    return incident_of(row)


def _missing(number: int) -> NotFoundError:
    return NotFoundError(f"There is no incident {number}; 'registry incident list --all' shows all.")


_NUMBER: Final[Any] = bindparam("given_number")
_BY_NUMBER: Final = Compiled(select_incidents().where(IncidentRow.id == _NUMBER))


@functools.cache
def _lock_model(dialect: str) -> Compiled:
    """Return the statement that locks the model of an incident."""
    model = select(IncidentRow.model_id).where(IncidentRow.id == _NUMBER).scalar_subquery()
    is_meant = (RegisteredModelRow.id == model) & RegisteredModelRow.deleted_time.is_(None)
    return Compiled(select_locked(dialect).where(is_meant))


def _current_name(connection: Connection, lease: Lease) -> str:
    """Return the name of the leased monitor's model, which may have been renamed since; of a removed one, the old."""
    query = (
        select(RegisteredModelRow.name)
        .join(MonitorRow, MonitorRow.model_id == RegisteredModelRow.id)
        .where(MonitorRow.id == lease.monitor.id)
    )
    return connection.execute(query).scalar_one_or_none() or lease.monitor.name


def _new_causes(connection: Connection, key: int, lease: Lease, outcome: CheckOutcome, now: int) -> list[str]:
    """Return the causes that have no incident which is not closed, or was opened within the cool-down."""
    if not outcome.causes:
        return []
    cool_us = (now - lease.monitor.cooldown_seconds * 1000) * 1000
    query = select(IncidentRow.cause).where(
        IncidentRow.model_id == key,
        or_(IncidentRow.status != str(IncidentStatus.CLOSED), IncidentRow.opened_us > cool_us),
    )
    known = set(connection.execute(query).scalars())
    return [cause for cause in sorted(outcome.causes) if cause not in known]


def _open(model: LockedModel, lease: Lease, outcome: CheckOutcome, check: int, cause: str) -> int:
    """Open an incident and record its event; return its number."""
    row: dict[str, Any] = {
        "model_id": model.key,
        "cause": cause,
        "status": str(IncidentStatus.OPEN),
        "version": outcome.version,
        "monitor_id": lease.monitor.id,
        "check_id": check,
        "run_id": outcome.run_id,
        "report_digest": outcome.report_digest,
        "figures": canonical_json(outcome.causes[cause]),
        "opened_us": 0,
        "changed_us": 0,
        "changed_by": model.actor,
        "reason": None,
    }
    number = int(model.connection.execute(insert(table(IncidentRow)).returning(IncidentRow.id), row).scalar_one())
    event = model.record(
        EventKind.INCIDENT_OPENED,
        version=outcome.version,
        after=str(IncidentStatus.OPEN),
        details=_details(number, row, outcome.causes[cause]),
    )
    times = {"opened_us": event.time_us, "changed_us": event.time_us}
    send_core(model.connection, update(IncidentRow).where(IncidentRow.id == number).values(**times))
    return number


def _details(number: int, row: Mapping[str, Any], figures: Any) -> dict[str, Any]:
    names = ("cause", "report_digest", "run_id", "monitor_id", "check_id")
    return {"incident": number, "figures": figures, **{name: row[name] for name in names}}


def _insert_deliveries(connection: Connection, check: int, triggers: Sequence[str], now: int) -> None:
    rows = [
        {
            "check_id": check,
            "trigger_name": trigger,
            "state": str(DeliveryState.PENDING),
            "attempts": 0,
            "next_time": now,
        }
        for trigger in dict.fromkeys(triggers)
    ]
    if rows:
        connection.execute(insert(table(TriggerDeliveryRow)), rows)
