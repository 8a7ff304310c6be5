"""Checks of monitors whose retention is over: which of them nothing needs, and their removal.

Guarantees: kept are the checks that an incident, a trigger or a promotion refers to, the newest of each monitor, and
the newest of each version that measured something, on which promotion rules are judged.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, Connection, and_, delete, exists, func, or_, select, update

from registry.entities import LifecycleStage
from registry.entities.monitors import CHECK
from registry.store.clock import monotonic_now_ms
from registry.store.dialects import table
from registry.store.gc.removal_conditions import Windows
from registry.store.long_lists import in_keys, keys_parameter
from registry.store.monitors.checks import WITH_RESULT, select_newest
from registry.store.registry.history_writer import event_of
from registry.store.registry.promotion_evidence import judged_evidence
from registry.store.tables import (
    KEY,
    HistoryRow,
    IncidentRow,
    MonitorCheckRow,
    RegisteredModelRow,
    RunRow,
    TriggerDeliveryRow,
)

# So many are found by one gc, so that a registry of many years is swept in several.
LIMIT: Final = 20_000
# So many are removed under one lock of their model, which promotions wait for.
BATCH: Final = 500


@dataclass(frozen=True, slots=True)
class UnjudgedChecks:
    """Checks of one model that no promotion was judged on, as its history says up to the event `last_seq`."""

    model_key: int
    keys: Sequence[int]
    last_seq: int


def find_old_checks(connection: Connection, windows: Windows) -> Iterator[tuple[int, str, int]]:
    """Yield number, name of the model and end of the checks that may be removed, oldest first."""
    query = (
        select(MonitorCheckRow.__table__, RegisteredModelRow.name)
        .join(RegisteredModelRow, RegisteredModelRow.id == MonitorCheckRow.model_id)
        .where(_is_old(windows))
        .order_by(MonitorCheckRow.id)
        .limit(LIMIT)
    )
    rows = connection.execute(query).all()
    judged = {key: _judged_checks(connection, key) for key in {row.model_id for row in rows}}
    for row in rows:
        if row.id not in judged[row.model_id]:
            yield row.id, row.name, row.end_time


def find_unjudged_checks(connection: Connection, keys: Sequence[int]) -> Iterator[UnjudgedChecks]:
    """Yield those of some checks that no promotion was judged on, by model, in batches."""
    dialect = connection.dialect.name
    query = (
        select(MonitorCheckRow.id, MonitorCheckRow.model_id, RegisteredModelRow.last_seq)
        .join(RegisteredModelRow, RegisteredModelRow.id == MonitorCheckRow.model_id)
        .where(in_keys(dialect, table(MonitorCheckRow).c.id))
        .order_by(MonitorCheckRow.id)
    )
    models: dict[tuple[int, int], list[int]] = defaultdict(list)
    for row in connection.execute(query, keys_parameter(dialect, keys)):
        models[row.model_id, row.last_seq].append(row.id)
    for (model_key, last_seq), of_model in models.items():
        judged = _judged_checks(connection, model_key)
        unjudged = [key for key in of_model if key not in judged]
        for start in range(0, len(unjudged), BATCH):
            yield UnjudgedChecks(model_key, unjudged[start : start + BATCH], last_seq)


def remove_checks(connection: Connection, checks: UnjudgedChecks, windows: Windows) -> list[int]:
    """Remove checks that nothing needs by now, and delete the runs with their reports; return their numbers."""
    # A promotion holds this lock until its event is written, which says on which check it was judged.
    this_model = RegisteredModelRow.id == checks.model_key
    connection.execute(select(RegisteredModelRow.id).where(this_model).with_for_update())
    judged = _judged_checks(connection, checks.model_key, after=checks.last_seq)
    keys = [key for key in checks.keys if key not in judged]
    dialect, check = connection.dialect.name, table(MonitorCheckRow).c
    statement = delete(table(MonitorCheckRow)).where(in_keys(dialect, check.id), _is_old(windows))
    removed = connection.execute(statement.returning(check.id, check.run_id), keys_parameter(dialect, keys)).all()
    is_report = in_keys(dialect, table(RunRow).c.run_id, kind=KEY)
    values = {"lifecycle_stage": LifecycleStage.DELETED, "deleted_time": monotonic_now_ms(connection)}
    connection.execute(
        update(RunRow).where(is_report, RunRow.lifecycle_stage == LifecycleStage.ACTIVE).values(values),
        keys_parameter(dialect, [row.run_id for row in removed if row.run_id is not None]),
    )
    return [row.id for row in removed]


def _is_old(windows: Windows) -> ColumnElement[bool]:
    """Return the condition: the retention of a check is over, and nothing but a promotion may still need it."""
    others = table(MonitorCheckRow).alias("others")
    newest_of_monitors = (
        select(func.max(others.c.id)).where(others.c.monitor_id.is_not(None)).group_by(others.c.monitor_id)
    )
    newest_of_version = select_newest(MonitorCheckRow.model_id, MonitorCheckRow.version).scalar_subquery()
    return and_(
        MonitorCheckRow.end_time <= windows.expired,
        MonitorCheckRow.id.not_in(newest_of_monitors),
        or_(MonitorCheckRow.status.not_in(WITH_RESULT), MonitorCheckRow.id != newest_of_version),
        ~exists().where(IncidentRow.check_id == MonitorCheckRow.id),
        ~exists().where(TriggerDeliveryRow.check_id == MonitorCheckRow.id),
    )


def _judged_checks(connection: Connection, model_key: int, *, after: int = 0) -> set[int]:
    """Return the numbers of the checks that promotions of a model were judged on, in the events after one."""
    query = (
        select(HistoryRow.__table__, RegisteredModelRow.uid)
        .join(RegisteredModelRow, RegisteredModelRow.id == HistoryRow.model_id)
        .where(
            HistoryRow.model_id == model_key,
            HistoryRow.seq > after,
            HistoryRow.details.contains(f'"kind":"{CHECK}"', autoescape=True),
        )
    )
    records = (record for row in connection.execute(query) for record in judged_evidence(event_of(row, row.uid)))
    return {record["id"] for record in records if record["kind"] == CHECK}
