"""Checks that were made: append them, and read the newest as evidence that a promotion rule is judged on."""

from dataclasses import fields
from typing import Any, Final

from sqlalchemy import Connection, insert, select

from registry.entities import Evidence
from registry.entities.monitors import CheckOutcome, CheckStatus, MonitorCheck
from registry.store.dialects import AnyRow, AnySelect, table
from registry.store.tables import LoggedModelRow, ModelVersionRow, MonitorCheckRow

_FIELDS: Final = tuple(field.name for field in fields(MonitorCheck))
# The columns of a check beside those of another row, which has an id and a version of its own.
JOINED_PREFIX: Final = "checked_"
JOINED_CHECK: Final = tuple(table(MonitorCheckRow).c[name].label(JOINED_PREFIX + name) for name in _FIELDS)
WITH_RESULT: Final = [str(status) for status in CheckStatus if status.has_result]


def insert_check(
    connection: Connection,
    model_key: int,
    outcome: CheckOutcome,
    *,
    actor: str,
    end_time: int,
    monitor_id: int | None = None,
    due_time: int | None = None,
) -> int:
    """Append a check and return its number."""
    row: dict[str, Any] = {
        "model_id": model_key,
        "monitor_id": monitor_id,
        "due_time": due_time,
        "version": outcome.version,
        "status": str(outcome.status),
        "message": outcome.message,
        "report_digest": outcome.report_digest,
        "run_id": outcome.run_id,
        "actor": actor,
        "start_time": outcome.start_time,
        "end_time": end_time,
    }
    return int(connection.execute(insert(table(MonitorCheckRow)).returning(MonitorCheckRow.id), row).scalar_one())


def check_of(row: AnyRow, prefix: str = "") -> MonitorCheck:
    """Return the check of a row of `monitor_checks`, or of `JOINED_CHECK` with its prefix."""
    return MonitorCheck(**{name: getattr(row, prefix + name) for name in _FIELDS})


def select_newest(model_key: Any, version: Any) -> AnySelect:
    """Return a query of the number of the newest check of a version that measured something.

    Both arguments are values, or columns of the statement that the query is a part of.
    """
    checks = table(MonitorCheckRow).alias("checks")
    return (
        select(checks.c.id)
        .where(checks.c.model_id == model_key, checks.c.version == version, checks.c.status.in_(WITH_RESULT))
        .order_by(checks.c.end_time.desc(), checks.c.id.desc())
        .limit(1)
    )


def find_newest_check(connection: Connection, model_key: int, version: int) -> Evidence | None:
    """Return the newest check of a version that measured something, as evidence on its logged model."""
    newest = MonitorCheckRow.id == select_newest(model_key, version).scalar_subquery()
    row = connection.execute(_select_as_evidence().where(newest)).one_or_none()
    return None if row is None else check_of(row).to_evidence(row.public_model_id)


def find_check_evidence(connection: Connection, key: int) -> Evidence | None:
    """Return a check as evidence, by its number, or None."""
    row = connection.execute(_select_as_evidence().where(MonitorCheckRow.id == key)).one_or_none()
    return None if row is None else check_of(row).to_evidence(row.public_model_id)


def _select_as_evidence() -> Any:
    this = (ModelVersionRow.model_id == MonitorCheckRow.model_id) & (ModelVersionRow.version == MonitorCheckRow.version)
    return (
        select(MonitorCheckRow.__table__, LoggedModelRow.model_id.label("public_model_id"))
        .join(ModelVersionRow, this)
        .join(LoggedModelRow, LoggedModelRow.id == ModelVersionRow.logged_model_id)
    )
