"""Stage periods: from when until when a version was in a stage or had an alias, which is stored as ``@alias``.

Guarantees: each stage has at most one open period, periods do not overlap, and each links to the period that a rollback
restores.
"""

import functools
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Connection,
    and_,
    bindparam,
    false,
    func,
    insert,
    literal_column,
    not_,
    or_,
    select,
    update,
)

from registry.entities.stages import ACTIVE_STAGES
from registry.store.compiled_statements import Compiled
from registry.store.dialects import AnyRow, AnySelect, table
from registry.store.driver_sql import Statement
from registry.store.registry.history_writer import KEY_OF_NAME, name_params
from registry.store.tables import ModelAliasRow, ModelVersionRow, StagePeriodRow


def holder_statement(connection: Connection, name: str, stage: str) -> Statement:
    """Return the query of the version in an active stage; other stages have none."""
    return _holder(stage).statement(connection, name_params(name))


@functools.cache
def _holder(stage: str) -> Compiled:
    return Compiled(select_holder(stage))


def select_holder(stage: str) -> AnySelect:
    """Return a query of the version in a stage of the model in `name_params`; no row for a stage that is not active."""
    # A literal, because SQLite uses the partial index only then. It is one of two constants.
    in_stage = ModelVersionRow.current_stage == literal_column(f"'{stage}'") if stage in ACTIVE_STAGES else false()
    return select(ModelVersionRow.version).where(ModelVersionRow.model_id == KEY_OF_NAME, in_stage)


def alias_statement(connection: Connection, name: str, alias: str) -> Statement:
    """Return the query of the version that an alias points to."""
    return _ALIAS.statement(connection, {**name_params(name), "alias": alias})


def select_alias() -> AnySelect:
    """Return a query of the version that ``alias`` of the model in `name_params` points to."""
    in_model = ModelAliasRow.model_id == KEY_OF_NAME
    return select(ModelAliasRow.version).where(in_model, ModelAliasRow.alias == bindparam("alias"))


def open_period(connection: Connection, model_key: int, stage: str, version: int, since: int) -> None:
    """Begin a period that links to the last one of the stage; an open one ends at the same time."""
    close_period(connection, model_key, stage, since)
    key = {"model_key": model_key, "slot": stage}
    _OPEN.send(connection, {**key, "stage": stage, "model_id": model_key, "version": version, "since": since})


def reopen_period(connection: Connection, model_key: int, stage: str, restored: AnyRow, since: int) -> None:
    """Begin a period that restores an older one, and copy its link, so that the next rollback goes further back."""
    close_period(connection, model_key, stage, since)
    row = {"model_id": model_key, "stage": stage, "version": restored.version, "since": since}
    _REOPEN.send(connection, {**row, "before": restored.before})


def close_period(connection: Connection, model_key: int, stage: str, until: int) -> None:
    """End the open period, if any."""
    _CLOSE.send(connection, {"model_key": model_key, "slot": stage, "moment": until})


def previous_statement(connection: Connection, name: str, stage: str, to: int | None = None) -> Statement:
    """Return the query that follows the links to the period that a rollback of an active stage restores.

    It is a period of another version that is not deleted. An empty stage gets its last version back. With `to`, only a
    period of that version counts.
    """
    return _previous(stage).statement(connection, {**name_params(name), "slot": stage, "to_version": to})


@functools.cache
def _previous(stage: str) -> Compiled:
    holder = select_holder(stage).scalar_subquery()

    def walk_step(is_restored: Any) -> AnySelect:
        exists = (
            select(ModelVersionRow.id)
            .where(
                ModelVersionRow.model_id == _PERIODS.c.model_id,
                ModelVersionRow.version == _PERIODS.c.version,
                ModelVersionRow.deleted_time.is_(None),
            )
            .correlate(_PERIODS)
            .exists()
        )
        columns = (_PERIODS.c.id, _PERIODS.c.version, _PERIODS.c.before)
        is_meant = or_(_TO.is_(None), _PERIODS.c.version == _TO)
        return select(*columns, and_(is_restored, is_meant, exists).label("is_restored"))

    latest = _PERIODS.alias().c
    last = (
        select(func.max(latest.since))
        .where(latest.model_id == KEY_OF_NAME, latest.stage == bindparam("slot"))
        .scalar_subquery()
    )
    in_slot = (_PERIODS.c.model_id == KEY_OF_NAME, _PERIODS.c.stage == bindparam("slot"))
    walk = walk_step(holder.is_(None)).where(*in_slot, _PERIODS.c.since == last).cte("walk", recursive=True)
    other = or_(holder.is_(None), _PERIODS.c.version != holder)
    step = walk_step(other).join(walk, _PERIODS.c.id == walk.c.before).where(not_(walk.c.is_restored))
    walk = walk.union_all(step)
    return Compiled(select(walk.c.id, walk.c.version, walk.c.before).where(walk.c.is_restored))


_TO: Final[Any] = bindparam("to_version", type_=BigInteger())
_PERIODS: Final = table(StagePeriodRow)
_SLOT: Final = (_PERIODS.c.model_id == bindparam("model_key"), _PERIODS.c.stage == bindparam("slot"))
_LAST: Final = select(_PERIODS).where(*_SLOT).order_by(_PERIODS.c.since.desc()).limit(1)
_CLOSE: Final = Compiled(update(_PERIODS).where(*_SLOT, _PERIODS.c.until.is_(None)).values(until=bindparam("moment")))
_OPEN: Final = Compiled(insert(_PERIODS).values(before=_LAST.with_only_columns(_PERIODS.c.id).scalar_subquery()))
_REOPEN: Final = Compiled(insert(_PERIODS))
_ALIAS: Final = Compiled(select_alias())
