"""Who holds a stage or an alias: moving it, and since when.

Invariant: an active stage has at most one holder. A unique index says so to every program; here the holder that gives
way is archived in the same transaction, before the new one enters.

An alias is a stage's equal: `stage_periods` covers both, an alias under the name ``@alias``.
"""

from sqlalchemy import Connection, delete, insert, select, update

from registry.entities.history import EventKind
from registry.entities.model_registry import ModelVersion
from registry.entities.stages import ACTIVE_STAGES, ARCHIVED, UNSET, Unset
from registry.exceptions import AliasNotFoundError, InvalidParameterError, StageConflictError, StageOccupiedError
from registry.store.catalog.ledger import CatalogStore, Ledger
from registry.store.catalog.reading import read_version, require_model, require_version
from registry.store.experiments import now_ms
from registry.store.scopes import reads, writes
from registry.store.statements import AnyRow, table, upsert
from registry.store.tables import ModelAliasRow, ModelVersionRow, StagePeriodRow

Expected = int | None | Unset


class HolderStore(CatalogStore):
    """Moves stages and aliases from version to version."""

    @writes
    def transition(
        self,
        connection: Connection,
        name: str,
        version: int,
        stage: str,
        *,
        archive_existing: bool = True,
        expected_current: Expected = UNSET,
        reason: str | None = None,
    ) -> ModelVersion:
        """Move a version to a canonical stage; the holder of an active stage is archived.

        Raises:
            StageOccupiedError: the stage has another holder and `archive_existing` is False.
            StageConflictError: `expected_current` is not who holds the stage.
        """
        with self.locked(connection, name) as ledger:
            row = require_version(connection, ledger.key, name, version)
            holder = find_holder(connection, ledger.key, stage)
            _check_expected(name, stage, holder, expected_current)
            if row.current_stage != stage:
                _enter(ledger, row, stage, holder, archive_existing=archive_existing, reason=reason)
        return read_version(connection, ledger.key, name, version)

    @writes
    def set_alias(
        self,
        connection: Connection,
        name: str,
        alias: str,
        version: int,
        *,
        expected_current: Expected = UNSET,
        reason: str | None = None,
    ) -> None:
        """Let an alias name a version, whatever it named before.

        Raises:
            VersionNotFoundError: no such version.
            StageConflictError: `expected_current` is not what the alias names.
        """
        with self.locked(connection, name) as ledger:
            require_version(connection, ledger.key, name, version)
            before = find_alias(connection, ledger.key, alias)
            _check_expected(name, f"@{alias}", before, expected_current)
            if before == version:
                return
            event = ledger.record(
                EventKind.ALIAS_SET,
                version=version,
                before=None if before is None else str(before),
                after=str(version),
                reason=reason,
                details={"alias": alias},
            )
            upsert(connection, ModelAliasRow, [{"model_id": ledger.key, "alias": alias, "version": version}])
            open_period(connection, ledger.key, f"@{alias}", version, event.time_us)

    @writes
    def delete_alias(
        self,
        connection: Connection,
        name: str,
        alias: str,
        *,
        expected_current: Expected = UNSET,
        reason: str | None = None,
    ) -> None:
        """Remove an alias; nothing happens if there is none, as in MLflow."""
        with self.locked(connection, name) as ledger:
            before = find_alias(connection, ledger.key, alias)
            _check_expected(name, f"@{alias}", before, expected_current)
            if before is None:
                return
            event = ledger.record(
                EventKind.ALIAS_DELETED, version=before, before=str(before), reason=reason, details={"alias": alias}
            )
            gone = (ModelAliasRow.model_id == ledger.key) & (ModelAliasRow.alias == alias)
            connection.execute(delete(ModelAliasRow).where(gone))
            close_period(connection, ledger.key, f"@{alias}", event.time_us)

    @reads
    def get_by_alias(self, connection: Connection, name: str, alias: str) -> ModelVersion:
        """The version that an alias names now.

        Raises:
            AliasNotFoundError: no such alias.
        """
        key = require_model(connection, name).id
        version = find_alias(connection, key, alias)
        if version is None:
            raise AliasNotFoundError(f"Registered model alias {alias} not found.{_known_aliases(connection, key)}")
        return read_version(connection, key, name, version)


def find_holder(connection: Connection, model_key: int, stage: str) -> int | None:
    """The version that holds an active stage, or None; None for the other stages."""
    if stage not in ACTIVE_STAGES:
        return None
    query = select(ModelVersionRow.version).where(
        ModelVersionRow.model_id == model_key, ModelVersionRow.current_stage == stage
    )
    return connection.execute(query).scalar_one_or_none()


def find_alias(connection: Connection, model_key: int, alias: str) -> int | None:
    """The version that an alias names, or None."""
    query = select(ModelAliasRow.version).where(ModelAliasRow.model_id == model_key, ModelAliasRow.alias == alias)
    return connection.execute(query).scalar_one_or_none()


def open_period(connection: Connection, model_key: int, stage: str, version: int, since: int) -> None:
    """Begin a period, ending the one before it at the same moment and linking to it."""
    last = select(StagePeriodRow.id).where(StagePeriodRow.model_id == model_key, StagePeriodRow.stage == stage)
    before = connection.execute(last.order_by(StagePeriodRow.since.desc()).limit(1)).scalar_one_or_none()
    close_period(connection, model_key, stage, since)
    row = {"model_id": model_key, "stage": stage, "version": version, "since": since, "before": before}
    connection.execute(insert(table(StagePeriodRow)), row)


def close_period(connection: Connection, model_key: int, stage: str, until: int) -> None:
    """End the period that is open, if one is."""
    is_open = (StagePeriodRow.model_id == model_key) & (StagePeriodRow.stage == stage) & StagePeriodRow.until.is_(None)
    connection.execute(update(StagePeriodRow).where(is_open).values(until=until))


def _enter(
    ledger: Ledger, row: AnyRow, stage: str, holder: int | None, *, archive_existing: bool, reason: str | None
) -> None:
    connection = ledger.connection
    if holder is not None:
        if not archive_existing:
            raise StageOccupiedError(
                f"Version {holder} of {ledger.name!r} is in stage {stage}, which has room for one. Archive it first, "
                "or leave archive_existing_versions at True."
            )
        _set_stage(connection, ledger.key, holder, ARCHIVED)
        ledger.record(EventKind.STAGE_CHANGED, version=holder, before=stage, after=ARCHIVED, reason=reason)
    _set_stage(connection, ledger.key, row.version, stage)
    event = ledger.record(
        EventKind.STAGE_CHANGED, version=row.version, before=row.current_stage, after=stage, reason=reason
    )
    if row.current_stage in ACTIVE_STAGES:
        close_period(connection, ledger.key, row.current_stage, event.time_us)
    if stage in ACTIVE_STAGES:
        open_period(connection, ledger.key, stage, row.version, event.time_us)


def _set_stage(connection: Connection, model_key: int, version: int, stage: str) -> None:
    statement = update(ModelVersionRow).where(ModelVersionRow.model_id == model_key, ModelVersionRow.version == version)
    connection.execute(statement.values(current_stage=stage, last_update_time=now_ms()))


def _check_expected(name: str, stage: str, holder: int | None, expected: Expected) -> None:
    if isinstance(expected, Unset):
        return
    if stage not in ACTIVE_STAGES and not stage.startswith("@"):
        raise InvalidParameterError(
            f"expected_current says who holds {' or '.join(ACTIVE_STAGES)}; nobody holds the stage {stage}."
        )
    if holder != expected:
        now = "nobody" if holder is None else f"version {holder}"
        then = "nobody" if expected is None else f"version {expected}"
        raise StageConflictError(f"{now} holds {stage} of {name!r} now, not {then}; look again before you move it.")


def _known_aliases(connection: Connection, model_key: int) -> str:
    query = select(ModelAliasRow.alias).where(ModelAliasRow.model_id == model_key).order_by(ModelAliasRow.alias)
    known = connection.execute(query).scalars().all()
    return f" Known aliases: {', '.join(known)}." if known else ""
