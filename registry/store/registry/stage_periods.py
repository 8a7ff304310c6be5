"""Stage periods: from when until when a version was in a stage or had an alias, which is stored as ``@alias``.

Guarantees: each stage has at most one open period, periods do not overlap, and each links to the period that a rollback
restores.
"""

import functools
from collections.abc import Iterator
from typing import Final

from sqlalchemy import Connection, bindparam, insert, literal_column, select, update

from registry.entities.stages import ACTIVE_STAGES
from registry.store.compiled_statements import Compiled
from registry.store.dialects import AnyRow, AnySelect, table
from registry.store.tables import ModelAliasRow, ModelVersionRow, StagePeriodRow


def find_holder(connection: Connection, model_key: int, stage: str) -> int | None:
    """Return the version in an active stage, or None; None for any other stage."""
    if stage not in ACTIVE_STAGES:
        return None
    return _holder(stage).value(connection, {"model_key": model_key})


@functools.cache
def _holder(stage: str) -> Compiled:
    return Compiled(select_holder(stage))


def select_holder(stage: str) -> AnySelect:
    """Return a query of the version in an active stage of the model ``model_key``."""
    # A literal, because SQLite uses the partial index only then. It is one of two constants.
    in_stage = ModelVersionRow.current_stage == literal_column(f"'{stage}'")
    return select(ModelVersionRow.version).where(ModelVersionRow.model_id == bindparam("model_key"), in_stage)


def find_alias(connection: Connection, model_key: int, alias: str) -> int | None:
    """Return the version that an alias points to, or None."""
    query = select(ModelAliasRow.version).where(ModelAliasRow.model_id == model_key, ModelAliasRow.alias == alias)
    return connection.execute(query).scalar_one_or_none()


def open_period(connection: Connection, model_key: int, stage: str, version: int, since: int) -> None:
    """Begin a period that links to the last one of the stage; an open one ends at the same time."""
    close_period(connection, model_key, stage, since)
    key = {"model_key": model_key, "slot": stage}
    _OPEN.write(connection, {**key, "stage": stage, "model_id": model_key, "version": version, "since": since})


def reopen_period(connection: Connection, model_key: int, stage: str, restored: AnyRow, since: int) -> None:
    """Begin a period that restores an older one, and copy its link, so that the next rollback goes further back."""
    close_period(connection, model_key, stage, since)
    row = {"model_id": model_key, "stage": stage, "version": restored.version, "since": since}
    connection.execute(insert(table(StagePeriodRow)), {**row, "before": restored.before})


def close_period(connection: Connection, model_key: int, stage: str, until: int) -> None:
    """End the open period, if any."""
    _CLOSE.write(connection, {"model_key": model_key, "slot": stage, "moment": until})


def find_last(connection: Connection, model_key: int, stage: str) -> AnyRow | None:
    """Return the newest period of a stage, open or ended, or None."""
    return connection.execute(_LAST, {"model_key": model_key, "slot": stage}).one_or_none()


def find_previous(
    connection: Connection, model_key: int, stage: str, holder: int | None, to: int | None = None
) -> AnyRow | None:
    """Follow the links to the period that a rollback restores: of another version that is not deleted; or None.

    With `to`, only a period of that version counts.
    """
    for period in _walk_back(connection, model_key, stage, skip_first=holder is not None):
        if to is not None and period.version != to:
            continue
        if period.version != holder and _exists(connection, model_key, period.version):
            return period
    return None


def _walk_back(connection: Connection, model_key: int, stage: str, *, skip_first: bool) -> Iterator[AnyRow]:
    period = find_last(connection, model_key, stage)
    while period is not None:
        if not skip_first:
            yield period
        skip_first = False
        if period.before is None:
            return
        query = select(StagePeriodRow.__table__).where(StagePeriodRow.id == period.before)
        period = connection.execute(query).one_or_none()


def _exists(connection: Connection, model_key: int, version: int) -> bool:
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
