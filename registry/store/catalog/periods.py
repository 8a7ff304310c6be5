"""Who held a stage or an alias, from when until when.

An alias is a stage's equal here, under the name ``@alias``. Invariant: of one stage at most one period is open, periods
do not overlap, and each links to the one that a rollback would go back to.
"""

from collections.abc import Iterator

from sqlalchemy import Connection, insert, literal_column, select, update

from registry.entities.stages import ACTIVE_STAGES
from registry.store.statements import AnyRow, table
from registry.store.tables import ModelAliasRow, ModelVersionRow, StagePeriodRow


def find_holder(connection: Connection, model_key: int, stage: str) -> int | None:
    """The version that holds an active stage, or None; None for the other stages."""
    if stage not in ACTIVE_STAGES:
        return None
    # A literal, not a bound value: only then does SQLite use the partial index. It is one of two constants.
    in_stage = ModelVersionRow.current_stage == literal_column(f"'{stage}'")
    query = select(ModelVersionRow.version).where(ModelVersionRow.model_id == model_key, in_stage)
    return connection.execute(query).scalar_one_or_none()


def find_alias(connection: Connection, model_key: int, alias: str) -> int | None:
    """The version that an alias names, or None."""
    query = select(ModelAliasRow.version).where(ModelAliasRow.model_id == model_key, ModelAliasRow.alias == alias)
    return connection.execute(query).scalar_one_or_none()


def open_period(connection: Connection, model_key: int, stage: str, version: int, since: int) -> None:
    """Begin a period; it links to the last one of the stage, which ends at the same moment if it is open."""
    last = find_last(connection, model_key, stage)
    _begin(connection, model_key, stage, version, since, before=None if last is None else last.id)


def reopen_period(connection: Connection, model_key: int, stage: str, restored: AnyRow, since: int) -> None:
    """Begin a period that restores an older one: it takes over that one's link, so that the next step goes past it."""
    _begin(connection, model_key, stage, restored.version, since, before=restored.before)


def close_period(connection: Connection, model_key: int, stage: str, until: int) -> None:
    """End the period that is open, if one is."""
    is_open = (StagePeriodRow.model_id == model_key) & (StagePeriodRow.stage == stage) & StagePeriodRow.until.is_(None)
    connection.execute(update(StagePeriodRow).where(is_open).values(until=until))


def find_last(connection: Connection, model_key: int, stage: str) -> AnyRow | None:
    """The newest period of a stage, open or ended, or None."""
    query = select(StagePeriodRow.__table__).where(StagePeriodRow.model_id == model_key, StagePeriodRow.stage == stage)
    return connection.execute(query.order_by(StagePeriodRow.since.desc()).limit(1)).one_or_none()


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


def _begin(connection: Connection, model_key: int, stage: str, version: int, since: int, *, before: int | None) -> None:
    close_period(connection, model_key, stage, since)
    row = {"model_id": model_key, "stage": stage, "version": version, "since": since, "before": before}
    connection.execute(insert(table(StagePeriodRow)), row)
