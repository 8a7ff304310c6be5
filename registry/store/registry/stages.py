"""Who holds a stage or an alias: moving it, and moving it back.

Leaves the record of periods to `periods` and the rules to `gates`. Invariant: an active stage has at most one holder. A
unique index says so to every program; here the holder that gives way is archived in the same transaction, before the
new one enters.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, update

from registry.entities.history import EventKind, HistoryEvent
from registry.entities.model_registry import ModelVersion
from registry.entities.stages import ACTIVE_STAGES, ARCHIVED, UNSET, Unset
from registry.exceptions import (
    AliasNotFoundError,
    InvalidParameterError,
    NoPreviousHolderError,
    PromotionRefusedError,
    StageConflictError,
    StageOccupiedError,
)
from registry.rules import Verdict
from registry.store.clock import now_ms
from registry.store.compiled import Compiled
from registry.store.dialects import AnyRow, table, upsert
from registry.store.registry.history_writer import LockedModel, RegistryStore
from registry.store.registry.promotion_rules import Judgement, candidate_version, evaluate_rules, record_judgement
from registry.store.registry.queries import (
    describe_occupied_stages,
    read_version,
    require_model,
    require_version,
    version_of,
)
from registry.store.registry.stage_periods import (
    close_period,
    find_alias,
    find_holder,
    find_previous,
    open_period,
    reopen_period,
)
from registry.store.tables import ModelAliasRow, ModelVersionRow
from registry.store.transactions import read_transaction, write_transaction

Expected = int | Unset | None


class StageStore(RegistryStore):
    """Moves stages and aliases from version to version."""

    def transition(
        self,
        name: str,
        version: int,
        stage: str,
        *,
        archive_existing: bool = True,
        expected_current: Expected = UNSET,
        override: bool = False,
        reason: str | None = None,
    ) -> ModelVersion:
        """Move a version to a canonical stage; the holder of an active stage is archived.

        Raises:
            StageOccupiedError: the stage has another holder and `archive_existing` is False.
            StageConflictError: `expected_current` is not who holds the stage.
            PromotionRefusedError: rules of the stage failed and `override` is False; the refusal is on record.
        """
        if override and not reason:
            raise InvalidParameterError(
                "Overriding promotion rules needs a reason: give reason='…' with override=True."
            )
        outcome = self._transition(
            name,
            version,
            stage,
            archive_existing=archive_existing,
            expected_current=expected_current,
            override=override,
            reason=reason,
        )
        if isinstance(outcome, ModelVersion):
            return outcome
        raise PromotionRefusedError(_refusal(name, version, stage, outcome.verdicts))

    @write_transaction
    def _transition(
        self,
        connection: Connection,
        name: str,
        version: int,
        stage: str,
        *,
        archive_existing: bool,
        expected_current: Expected,
        override: bool,
        reason: str | None,
    ) -> ModelVersion | Judgement:
        """The moved version, or the judgement that refused it: then the refusal's event is all that is committed."""
        with self.locked(connection, name) as ledger:
            row = candidate_version(connection, ledger.key, name, version, stage)
            holder = row.holder
            _check_expected(name, stage, holder, expected_current)
            if row.current_stage != stage:
                if holder is not None and not archive_existing:
                    raise StageOccupiedError(
                        f"Version {holder} of {name!r} is in stage {stage}, which has room for one. Archive it first, "
                        "or leave archive_existing_versions at True."
                    )
                judgement = evaluate_rules(connection, name, row, stage)
                if not judgement.passed:
                    kind = EventKind.RULES_OVERRIDDEN if override else EventKind.PROMOTION_REFUSED
                    record_judgement(ledger, kind, row, stage, judgement, reason)
                    if not override:
                        return judgement
                    judgement = Judgement()
                since = _promote(ledger, row, stage, holder, judgement, reason)
                return replace(version_of(row), current_stage=stage, last_updated_timestamp=since)
        return version_of(row)

    @write_transaction
    def rollback(
        self,
        connection: Connection,
        name: str,
        stage: str,
        *,
        expected_current: Expected = UNSET,
        reason: str | None = None,
    ) -> ModelVersion:
        """Put back who held an active stage before; doing it again walks further back.

        Deleted versions are passed over, and an empty stage gets its last holder back. Rules are not judged again.

        Raises:
            NoPreviousHolderError: there is nobody to go back to.
            StageConflictError: `expected_current` is not who holds the stage.
        """
        with self.locked(connection, name) as ledger:
            holder = find_holder(connection, ledger.key, stage)
            _check_expected(name, stage, holder, expected_current)
            period = find_previous(connection, ledger.key, stage, holder)
            if period is None:
                now = "nobody" if holder is None else f"version {holder}"
                raise NoPreviousHolderError(
                    f"Nobody to roll back to: {now} holds {stage} of {name!r} and no other living version held it."
                )
            row = require_version(connection, ledger.key, name, period.version)
            _set_stages(ledger, holder, row.version, stage)
            _record_archival(ledger, holder, stage, row.version, reason)
            event = _move(ledger, row, stage, EventKind.ROLLED_BACK, reason, {"rules": "not judged again"})
            reopen_period(connection, ledger.key, stage, period, event.time_us)
        return read_version(connection, ledger.key, name, row.version)

    @write_transaction
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

    @write_transaction
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

    @read_transaction
    def get_by_alias(self, connection: Connection, name: str, alias: str) -> ModelVersion:
        """The version that an alias names now.

        Raises:
            AliasNotFoundError: no such alias.
        """
        key = require_model(connection, name).id
        version = find_alias(connection, key, alias)
        if version is None:
            raise AliasNotFoundError(
                f"Registered model alias {alias} not found for {name!r}; {describe_occupied_stages(connection, key)}."
            )
        return read_version(connection, key, name, version)

    @read_transaction
    def find_by_stage(self, connection: Connection, name: str, stage: str) -> ModelVersion | None:
        """The version that holds an active stage now, or None."""
        key = require_model(connection, name).id
        version = find_holder(connection, key, stage)
        return None if version is None else read_version(connection, key, name, version)


def _promote(
    ledger: LockedModel, row: AnyRow, stage: str, holder: int | None, judgement: Judgement, reason: str | None
) -> int:
    """Let a version enter a stage; the time of it, in milliseconds."""
    now = _set_stages(ledger, holder, row.version, stage)
    _record_archival(ledger, holder, stage, row.version, reason)
    event = _move(ledger, row, stage, EventKind.STAGE_CHANGED, reason, judgement.details)
    if stage in ACTIVE_STAGES:
        open_period(ledger.connection, ledger.key, stage, row.version, event.time_us)
    return now


def _record_archival(ledger: LockedModel, holder: int | None, stage: str, successor: int, reason: str | None) -> None:
    """Note that the holder of a stage gives way. Its period ends when the next begins, so that no moment has nobody."""
    if holder is not None:
        ledger.record(
            EventKind.STAGE_CHANGED,
            version=holder,
            before=stage,
            after=ARCHIVED,
            reason=reason,
            details={"succeeded_by": successor},
        )


def _move(
    ledger: LockedModel, row: AnyRow, stage: str, kind: EventKind, reason: str | None, details: Mapping[str, Any]
) -> HistoryEvent:
    """Note that a version moves into a stage, and end its period in the active stage that it leaves."""
    event = ledger.record(
        kind, version=row.version, before=row.current_stage, after=stage, reason=reason, details=details
    )
    if row.current_stage in ACTIVE_STAGES:
        close_period(ledger.connection, ledger.key, row.current_stage, event.time_us)
    return event


def _set_stages(ledger: LockedModel, holder: int | None, version: int, stage: str) -> int:
    """Archive the holder, if there is one, and then let a version enter its stage; the time of it, in milliseconds."""
    now = now_ms()
    stages = [(version, stage)] if holder is None else [(holder, ARCHIVED), (version, stage)]
    row = {"model_key": ledger.key, "last_update_time": now}
    _SET_STAGE.write_many(
        ledger.connection, [{**row, "number": number, "current_stage": entered} for number, entered in stages]
    )
    return now


_VERSIONS: Final = table(ModelVersionRow)
_THIS: Final = (_VERSIONS.c.model_id == bindparam("model_key"), _VERSIONS.c.version == bindparam("number"))
_SET_STAGE: Final = Compiled(update(_VERSIONS).where(*_THIS))


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


def _refusal(name: str, version: int, stage: str, verdicts: Sequence[Verdict]) -> str:
    failed = [verdict.text for verdict in verdicts if not verdict.passed]
    return (
        f"Version {version} of {name!r} may not enter {stage}: {'; '.join(failed)}. "
        "Pass override=True with a reason to promote it all the same."
    )
