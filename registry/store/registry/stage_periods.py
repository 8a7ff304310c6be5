"""Who held a stage or an alias, from when until when.

An alias is a stage's equal here, under the name ``@alias``. Invariant: of one stage at most one period is open, periods
do not overlap, and each links to the one that a rollback would go back to.
"""

import functools
from collections.abc import Iterator
from typing import Final

from sqlalchemy import Connection, bindparam, insert, literal_column, select, update

from registry.entities.stages import ACTIVE_STAGES
from registry.store.compiled import Compiled
from registry.store.dialects import AnyRow, AnySelect, table
from registry.store.tables import ModelAliasRow, ModelVersionRow, StagePeriodRow


def find_holder(connection: Connection, model_key: int, stage: str) -> int | None:
    """The version that holds an active stage, or None; None for the other stages."""
    if stage not in ACTIVE_STAGES:
        return None
    return _holder(stage).value(connection, {"model_key": model_key})


@functools.cache
def _holder(stage: str) -> Compiled:
    return Compiled(select_holder(stage))


def select_holder(stage: str) -> AnySelect:
    """The version that holds an active stage of the model ``model_key``."""
    # A literal, not a bound value: only then does SQLite use the partial index. It is one of two constants.
    in_stage = ModelVersionRow.current_stage == literal_column(f"'{stage}'")
    return select(ModelVersionRow.version).where(ModelVersionRow.model_id == bindparam("model_key"), in_stage)


def find_alias(connection: Connection, model_key: int, alias: str) -> int | None:
    """The version that an alias names, or None."""
    query = select(ModelAliasRow.version).where(ModelAliasRow.model_id == model_key, ModelAliasRow.alias == alias)
    return connection.execute(query).scalar_one_or_none()


def open_period(connection: Connection, model_key: int, stage: str, version: int, since: int) -> None:
    """Begin a period; it links to the last one of the stage, which ends at the same moment if it is open."""
    close_period(connection, model_key, stage, since)
    slot = {"model_key": model_key, "slot": stage}
    _OPEN.write(connection, {**slot, "stage": stage, "model_id": model_key, "version": version, "since": since})


def reopen_period(connection: Connection, model_key: int, stage: str, restored: AnyRow, since: int) -> None:
    """Begin a period that restores an older one: it takes over that one's link, so that the next step goes past it."""
    close_period(connection, model_key, stage, since)
    row = {"model_id": model_key, "stage": stage, "version": restored.version, "since": since}
    connection.execute(insert(table(StagePeriodRow)), {**row, "before": restored.before})


def close_period(connection: Connection, model_key: int, stage: str, until: int) -> None:
    """End the period that is open, if one is."""
    _CLOSE.write(connection, {"model_key": model_key, "slot": stage, "moment": until})


def find_last(connection: Connection, model_key: int, stage: str) -> AnyRow | None:
    """The newest period of a stage, open or ended, or None."""
    return connection.execute(_LAST, {"model_key": model_key, "slot": stage}).one_or_none()


def find_previous(connection: Connection, model_key: int, stage: str, holder: int | None) -> AnyRow | None:
    """The period that a rollback restores: of a living version other than the holder, along the links; or None."""
    for period in _back(connection, model_key, stage, skip_first=holder is not None):
        if period.version != holder and _is_living(connection, model_key, period.version):
            return period
    return None


def _back(connection: Connection, model_key: int, stage: str, *, skip_first: bool) -> Iterator[AnyRow]:
    period = find_last(connection, model_key, stage)
    while period is not None:
        if not skip_first:
            yield period
        skip_first = False
        if period.before is None:
            return
        query = select(StagePeriodRow.__table__).where(StagePeriodRow.id == period.before)
        period = connection.execute(query).one_or_none()


def _is_living(connection: Connection, model_key: int, version: int) -> bool:
    query = select(ModelVersionRow.id).where(
        ModelVersionRow.model_id == model_key,
        ModelVersionRow.version == version,
        ModelVersionRow.deleted_time.is_(None),
    )
    return connection.execute(query).first() is not None


_PERIODS: Final = table(StagePeriodRow)
_SLOT: Final = (_PERIODS.c.model_id == bindparam("model_key"), _PERIODS.c.stage == bindparam("slot"))
_LAST: Final = select(_PERIODS).where(*_SLOT).order_by(_PERIODS.c.since.desc()).limit(1)
_CLOSE: Final = Compiled(update(_PERIODS).where(*_SLOT, _PERIODS.c.until.is_(None)).values(until=bindparam("moment")))
_OPEN: Final = Compiled(insert(_PERIODS).values(before=_LAST.with_only_columns(_PERIODS.c.id).scalar_subquery()))
