"""Move versions between stages, roll stages back, and set aliases.

Guarantees: an active stage has at most one version. A unique index enforces this for every program; here the previous
version is archived in the same transaction, before the new one enters.
"""

import functools
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
from registry.store.compiled_statements import Compiled, first_row, first_value
from registry.store.dialects import AnyRow, table, upsert
from registry.store.driver_sql import Statement, end_with_next, run_all
from registry.store.registry.history_writer import LockedModel, RegistryStore, name_params
from registry.store.registry.promotion_rules import Judgement, candidate_statement, evaluate_rules, record_judgement
from registry.store.registry.queries import (
    describe_occupied_stages,
    not_deleted_row,
    read_version,
    require_model,
    require_version,
    select_one_version,
    version_of,
    version_statement,
)
from registry.store.registry.stage_periods import (
    alias_statement,
    close_period,
    holder_statement,
    open_period,
    previous_statement,
    reopen_period,
    select_alias,
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
        candidate = candidate_statement(connection, name, version, stage)
        with self.locked(connection, name, candidate) as model:
            row = first_row(candidate) or require_version(connection, name, version)
            holder = row.holder
            _check_expected(name, stage, holder, expected_current)
            if row.current_stage != stage:
                if holder is not None and not archive_existing:
                    raise StageOccupiedError(
                        f"Version {holder} of {name!r} is in stage {stage}, which holds one version. Archive it first, "
                        "or leave archive_existing_versions at True."
                    )
                judgement = evaluate_rules(connection, row, name, stage)
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
        held, previous = holder_statement(connection, name, stage), previous_statement(connection, name, stage, to)
        with self.locked(connection, name, held, previous) as model:
            version, holder, period = _rollback_target(
                connection, held, previous, name, stage, expected_current, to, force
            )
            now = _set_stages(model, holder, version.version, stage)
            _record_archival(model, holder, stage, version.version, reason)
            event = _move(model, version, stage, EventKind.ROLLED_BACK, reason, {"rules": "not judged again"})
            reopen_period(connection, model.key, stage, period, event.time_us)
        return replace(version, current_stage=stage, last_updated_timestamp=now)

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
        held, previous = holder_statement(connection, name, stage), previous_statement(connection, name, stage, to)
        require_model(connection, name)
        run_all(connection, held, previous)
        version, _, _ = _rollback_target(connection, held, previous, name, stage, expected_current, to, force)
        return version

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
        existing, pointed = version_statement(connection, name, version), alias_statement(connection, name, alias)
        with self.locked(connection, name, existing, pointed) as model:
            not_deleted_row(first_row(existing), name, version)
            before = first_value(pointed)
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
        pointed = alias_statement(connection, name, alias)
        with self.locked(connection, name, pointed) as model:
            before = first_value(pointed)
            _check_expected(name, f"@{alias}", before, expected_current)
            if before is None:
                return
            event = model.record(
                EventKind.ALIAS_DELETED, version=before, before=str(before), reason=reason, details={"alias": alias}
            )
            _DELETE_ALIAS.send(connection, {"model_key": model.key, "given_alias": alias})
            close_period(connection, model.key, f"@{alias}", event.time_us)

    @read_transaction
    def get_by_alias(self, connection: Connection, name: str, alias: str) -> ModelVersion:
        """Return the version that an alias points to.

        Raises:
            AliasNotFoundError: There is no such alias.
        """
        end_with_next(connection)
        row = _by_alias(connection.dialect.name).first(connection, {**name_params(name), "alias": alias})
        if row is None:
            key = require_model(connection, name).id
            raise AliasNotFoundError(
                f"Registered model alias {alias} not found for {name!r}; {describe_occupied_stages(connection, key)}."
            )
        return version_of(row)


@functools.cache
def _by_alias(dialect: str) -> Compiled:
    return Compiled(select_one_version(dialect, select_alias().scalar_subquery()))


def _rollback_target(
    connection: Connection,
    held: Statement,
    previous: Statement,
    name: str,
    stage: str,
    expected_current: Expected,
    to: int | None,
    force: bool,
) -> tuple[ModelVersion, int | None, AnyRow]:
    """Return the version that a rollback restores, the holder that it replaces, and the period that it reopens.

    `held` and `previous` are the answered `holder_statement` and `previous_statement`.
    """
    holder = first_value(held)
    _check_expected(name, stage, holder, expected_current)
    period = first_row(previous)
    if period is None:
        other = "no other version that still exists" if to is None else f"version {to} never"
        raise NoPreviousHolderError(
            f"{_describe(name, stage, holder)}, and {other} held it before. "
            "Move a version there with transition_model_version_stage."
        )
    row = read_version(connection, name, period.version)
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
    model: LockedModel,
    row: AnyRow | ModelVersion,
    stage: str,
    kind: EventKind,
    reason: str | None,
    details: Mapping[str, Any],
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
_DELETE_ALIAS: Final = Compiled(
    delete(ModelAliasRow).where(
        ModelAliasRow.model_id == bindparam("model_key"), ModelAliasRow.alias == bindparam("given_alias")
    )
)


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
