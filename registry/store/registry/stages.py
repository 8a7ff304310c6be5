"""Move versions between stages, roll stages back, and set aliases.

Guarantees: an active stage has at most one version. A unique index enforces this for every program; here the previous
version is archived in the same transaction, before the new one enters.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection, bindparam, delete, update

from registry.entities.history import EventKind, HistoryEvent
from registry.entities.model_registry import ModelVersion
from registry.entities.stages import ACTIVE_STAGES, ARCHIVED, UNSET, Unset
from registry.exceptions import (
    AliasNotFoundError,
    InUseError,
    InvalidParameterError,
    NoPreviousHolderError,
    PromotionRefusedError,
    StageConflictError,
    StageOccupiedError,
)
from registry.store.clock import now_ms
from registry.store.compiled_statements import Compiled
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

if TYPE_CHECKING:
    from registry.rules import Verdict

Expected = int | Unset | None


class StageStore(RegistryStore):
    """Changes the version of a stage or alias."""

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
        """Move a version to a canonical stage, and archive the previous version of an active stage.

        Raises:
            StageOccupiedError: The stage has another version and `archive_existing` is False.
            StageConflictError: The version in the stage is not `expected_current`.
            PromotionRefusedError: Rules failed and `override` is False; the refusal is recorded in the history.
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
        raise PromotionRefusedError(
            _refusal(name, version, stage, outcome.verdicts),
            verdicts=[verdict.to_dict() for verdict in outcome.verdicts],
        )

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
        """Return the moved version, or the judgement that refused it; a refusal commits only its event."""
        with self.locked(connection, name) as model:
            row = candidate_version(connection, model.key, name, version, stage)
            holder = row.holder
            _check_expected(name, stage, holder, expected_current)
            if row.current_stage != stage:
                if holder is not None and not archive_existing:
                    raise StageOccupiedError(
                        f"Version {holder} of {name!r} is in stage {stage}, which holds one version. Archive it first, "
                        "or leave archive_existing_versions at True."
                    )
                judgement = evaluate_rules(connection, name, row, stage)
                if not judgement.passed:
                    kind = EventKind.RULES_OVERRIDDEN if override else EventKind.PROMOTION_REFUSED
                    record_judgement(model, kind, row, stage, judgement, reason)
                    if not override:
                        return judgement
                    judgement = Judgement()
                since = _promote(model, row, stage, holder, judgement, reason)
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
        to: int | None = None,
        force: bool = False,
        reason: str | None = None,
    ) -> ModelVersion:
        """Restore the previous version of an active stage; repeated calls go further back.

        Deleted versions are skipped. An empty stage gets its last version back. Rules are not evaluated again.

        Raises:
            NoPreviousHolderError: There is no previous version, or none is `to`.
            StageConflictError: The version in the stage is not `expected_current`.
            InUseError: The version holds another active stage, and `force` is False.
        """
        with self.locked(connection, name) as model:
            row, holder, period = _rollback_target(connection, model.key, name, stage, expected_current, to, force)
            _set_stages(model, holder, row.version, stage)
            _record_archival(model, holder, stage, row.version, reason)
            event = _move(model, row, stage, EventKind.ROLLED_BACK, reason, {"rules": "not judged again"})
            reopen_period(connection, model.key, stage, period, event.time_us)
        return read_version(connection, model.key, name, row.version)

    @read_transaction
    def plan_rollback(
        self,
        connection: Connection,
        name: str,
        stage: str,
        *,
        expected_current: Expected = UNSET,
        to: int | None = None,
        force: bool = False,
    ) -> ModelVersion:
        """Return the version that `rollback` would restore, as it is now; raise what `rollback` would raise."""
        key = require_model(connection, name).id
        row, _, _ = _rollback_target(connection, key, name, stage, expected_current, to, force)
        return read_version(connection, key, name, row.version)

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
        """Point an alias to a version.

        Raises:
            VersionNotFoundError: There is no such version.
            StageConflictError: The alias does not point to `expected_current`.
        """
        with self.locked(connection, name) as model:
            require_version(connection, model.key, name, version)
            before = find_alias(connection, model.key, alias)
            _check_expected(name, f"@{alias}", before, expected_current)
            if before == version:
                return
            event = model.record(
                EventKind.ALIAS_SET,
                version=version,
                before=None if before is None else str(before),
                after=str(version),
                reason=reason,
                details={"alias": alias},
            )
            upsert(connection, ModelAliasRow, [{"model_id": model.key, "alias": alias, "version": version}])
            open_period(connection, model.key, f"@{alias}", version, event.time_us)

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
        """Remove an alias; do nothing if it does not exist, as in MLflow."""
        with self.locked(connection, name) as model:
            before = find_alias(connection, model.key, alias)
            _check_expected(name, f"@{alias}", before, expected_current)
            if before is None:
                return
            event = model.record(
                EventKind.ALIAS_DELETED, version=before, before=str(before), reason=reason, details={"alias": alias}
            )
            condition = (ModelAliasRow.model_id == model.key) & (ModelAliasRow.alias == alias)
            connection.execute(delete(ModelAliasRow).where(condition))
            close_period(connection, model.key, f"@{alias}", event.time_us)

    @read_transaction
    def get_by_alias(self, connection: Connection, name: str, alias: str) -> ModelVersion:
        """Return the version that an alias points to.

        Raises:
            AliasNotFoundError: There is no such alias.
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
        """Return the version in an active stage, or None."""
        key = require_model(connection, name).id
        version = find_holder(connection, key, stage)
        return None if version is None else read_version(connection, key, name, version)


def _rollback_target(
    connection: Connection,
    model_key: int,
    name: str,
    stage: str,
    expected_current: Expected,
    to: int | None,
    force: bool,
) -> tuple[AnyRow, int | None, AnyRow]:
    """Return the version that a rollback restores, the holder that it replaces, and the period that it reopens."""
    holder = find_holder(connection, model_key, stage)
    _check_expected(name, stage, holder, expected_current)
    period = find_previous(connection, model_key, stage, holder, to)
    if period is None:
        other = "no other version that still exists" if to is None else f"version {to} never"
        raise NoPreviousHolderError(
            f"{_describe(name, stage, holder)}, and {other} held it before. "
            "Move a version there with transition_model_version_stage."
        )
    row = require_version(connection, model_key, name, period.version)
    if row.current_stage in ACTIVE_STAGES and row.current_stage != stage and not force:
        raise InUseError(
            f"Version {row.version} of {name!r}, which held {stage} before, is in {row.current_stage} now: rolling "
            f"{stage} back would leave {row.current_stage} empty. Do it all the same with force=True."
        )
    return row, holder, period


def _promote(
    model: LockedModel, row: AnyRow, stage: str, holder: int | None, judgement: Judgement, reason: str | None
) -> int:
    """Move a version into a stage; return the time in milliseconds."""
    now = _set_stages(model, holder, row.version, stage)
    _record_archival(model, holder, stage, row.version, reason)
    event = _move(model, row, stage, EventKind.STAGE_CHANGED, reason, judgement.details)
    if stage in ACTIVE_STAGES:
        open_period(model.connection, model.key, stage, row.version, event.time_us)
    return now


def _record_archival(model: LockedModel, holder: int | None, stage: str, successor: int, reason: str | None) -> None:
    """Record that the previous version is archived. Its period ends when the next begins, so there is no gap."""
    if holder is not None:
        model.record(
            EventKind.STAGE_CHANGED,
            version=holder,
            before=stage,
            after=ARCHIVED,
            reason=reason,
            details={"succeeded_by": successor},
        )


def _move(
    model: LockedModel, row: AnyRow, stage: str, kind: EventKind, reason: str | None, details: Mapping[str, Any]
) -> HistoryEvent:
    """Record that a version enters a stage, and end its period in the active stage that it leaves."""
    event = model.record(
        kind, version=row.version, before=row.current_stage, after=stage, reason=reason, details=details
    )
    if row.current_stage in ACTIVE_STAGES:
        close_period(model.connection, model.key, row.current_stage, event.time_us)
    return event


def _set_stages(model: LockedModel, holder: int | None, version: int, stage: str) -> int:
    """Archive the holder, if any, then set the version's stage; return the time in milliseconds."""
    now = now_ms()
    stages = [(version, stage)] if holder is None else [(holder, ARCHIVED), (version, stage)]
    row = {"model_key": model.key, "last_update_time": now}
    _SET_STAGE.write_many(
        model.connection, [{**row, "number": number, "current_stage": entered} for number, entered in stages]
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
            f"expected_current applies only to {' and '.join(ACTIVE_STAGES)}, since {stage} may have many versions. "
            "Leave it out."
        )
    if holder != expected:
        kind = "alias" if stage.startswith("@") else "stage"
        required = (
            f"version {expected}" if expected is not None else "no alias" if kind == "alias" else "an empty stage"
        )
        raise StageConflictError(
            f"{_describe(name, stage, holder)}; expected_current={expected} requires {required}. "
            f"Re-read the {kind} and retry."
        )


def _describe(name: str, stage: str, holder: int | None) -> str:
    """Return a clause on the version in a stage or alias, such as ``Production of 'churn' is empty``."""
    if stage.startswith("@"):
        return f"{stage} of {name!r} " + ("is not set" if holder is None else f"points to version {holder}")
    return f"{stage} of {name!r} " + ("is empty" if holder is None else f"is held by version {holder}")


def _refusal(name: str, version: int, stage: str, verdicts: "Sequence[Verdict]") -> str:
    failed = [verdict.text for verdict in verdicts if not verdict.passed]
    return (
        f"Version {version} of {name!r} may not enter {stage}: {'; '.join(failed)}. "
        "Pass override=True with a reason to promote it anyway."
    )
