"""Checks of monitors whose retention is over: which of them nothing needs, and their removal.

Guarantees: kept are the checks that an incident, a trigger or a promotion refers to, the newest of each monitor, and
the newest of each version that measured something, on which promotion rules are judged.
"""

import json
from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, and_, delete, exists, or_, select, update
from sqlalchemy.orm import aliased

from registry.entities import LifecycleStage
from registry.entities.monitors import CHECK
from registry.store.clock import monotonic_now_ms
from registry.store.dialects import table
from registry.store.gc.removal_conditions import Windows
from registry.store.monitors.checks import WITH_RESULT
from registry.store.tables import (
    HistoryRow,
    IncidentRow,
    MonitorCheckRow,
    RegisteredModelRow,
    RunRow,
    TriggerDeliveryRow,
)

# So many are found by one gc, so that a registry of many years is swept in several.
LIMIT: Final = 20_000


def find_old_checks(connection: Connection, windows: Windows) -> Iterator[tuple[int, str, int]]:
    """Yield number, name of the model and end of the checks that may be removed, oldest first."""
    query = (
        select(MonitorCheckRow.__table__, RegisteredModelRow.name)
        .join(RegisteredModelRow, RegisteredModelRow.id == MonitorCheckRow.model_id)
        .where(_is_old(windows))
        .order_by(MonitorCheckRow.id)
        .limit(LIMIT)
    )
    judged: dict[int, set[int]] = {}
    for row in connection.execute(query).all():
        if row.model_id not in judged:
            judged[row.model_id] = _judged_checks(connection, row.model_id)
        if row.id not in judged[row.model_id]:
            yield row.id, row.name, row.end_time


def remove_old_check(connection: Connection, key: int, windows: Windows) -> bool:
    """Remove a check and delete the run with its report; return False if something needs it."""
    row = connection.execute(select(MonitorCheckRow.__table__).where(MonitorCheckRow.id == key)).one_or_none()
    if row is None:
        return False
    # A promotion holds this lock until its event is written, which says on which check it was judged.
    connection.execute(select(RegisteredModelRow.id).where(RegisteredModelRow.id == row.model_id).with_for_update())
    if key in _judged_checks(connection, row.model_id):
        return False
    removed = connection.execute(delete(table(MonitorCheckRow)).where(MonitorCheckRow.id == key, _is_old(windows)))
    if removed.rowcount and row.run_id is not None:
        is_active = and_(RunRow.run_id == row.run_id, RunRow.lifecycle_stage == LifecycleStage.ACTIVE)
        values = {"lifecycle_stage": LifecycleStage.DELETED, "deleted_time": monotonic_now_ms(connection)}
        connection.execute(update(RunRow).where(is_active).values(values))
    return removed.rowcount == 1


def _is_old(windows: Windows) -> ColumnElement[bool]:
    later: Any = aliased(table(MonitorCheckRow), name="later")
    is_later = later.c.id > MonitorCheckRow.id
    of_monitor = exists().where(is_later, later.c.monitor_id == MonitorCheckRow.monitor_id)
    of_version = exists().where(
        is_later,
        later.c.model_id == MonitorCheckRow.model_id,
        later.c.version == MonitorCheckRow.version,
        later.c.status.in_(WITH_RESULT),
    )
    return and_(
        MonitorCheckRow.end_time <= windows.expired,
        or_(MonitorCheckRow.monitor_id.is_(None), of_monitor),
        or_(MonitorCheckRow.status.not_in(WITH_RESULT), of_version),
        ~exists().where(IncidentRow.check_id == MonitorCheckRow.id),
        ~exists().where(TriggerDeliveryRow.check_id == MonitorCheckRow.id),
    )


def _judged_checks(connection: Connection, model_key: int) -> set[int]:
    """Return the numbers of the checks that promotions of a model were judged on, as its history says."""
    query = select(HistoryRow.details).where(
        HistoryRow.model_id == model_key, HistoryRow.details.contains(f'"kind":"{CHECK}"', autoescape=True)
    )
    return set(_numbers(json.loads(details) for details in connection.execute(query).scalars() if details))


def _numbers(values: Any) -> Iterator[int]:
    """Yield the numbers of all evidence of checks in JSON values."""
    if isinstance(values, dict):
        if values.get("kind") == CHECK and isinstance(values.get("id"), int):
            yield values["id"]
        yield from _numbers(values.values())
    elif not isinstance(values, str | int | float | bool | None):
        for value in values:
            yield from _numbers(value)
