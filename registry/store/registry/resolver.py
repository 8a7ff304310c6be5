"""Resolve a ``models:`` URI to a sealed directory, with one indexed query.

The cost does not depend on the number of versions or events. Further queries run only to explain a missing version.
"""

import functools
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    ScalarSelect,
    bindparam,
    func,
    literal_column,
    or_,
    select,
)

from registry.entities import LifecycleStage, LoggedModelStatus
from registry.entities.history import EventKind, microseconds_of, moment_of
from registry.entities.model_registry import ModelVersion, ResolvedModel
from registry.entities.stages import ACTIVE_STAGES
from registry.entities.times import format_time
from registry.exceptions import (
    AliasNotFoundError,
    InvalidParameterError,
    InvalidStateError,
    LoggedModelNotFoundError,
    NotFoundError,
    VersionNotFoundError,
)
from registry.store.compiled_statements import Compiled, first_row
from registry.store.dialects import AnyRow, AnySelect, table
from registry.store.driver_sql import end_with_next, run_all
from registry.store.logged_models.read import is_adopted, model_location
from registry.store.registry.history_writer import NOT_DELETED, find_deletion, not_deleted
from registry.store.registry.queries import (
    check_model,
    describe_occupied_stages,
    model_statement,
    require_model,
    require_version,
    select_one_version,
    version_of,
)
from registry.store.registry.stage_periods import select_alias, select_holder
from registry.store.tables import (
    ExperimentRow,
    HistoryRow,
    LoggedModelRow,
    ModelAliasRow,
    ModelVersionRow,
    RegisteredModelRow,
    StagePeriodRow,
)
from registry.store.transactions import Store, read_transaction, single_query
from registry.uris import (
    LoggedModelUri,
    ModelAliasUri,
    ModelLatestUri,
    ModelStageUri,
    ModelsUri,
    ModelVersionUri,
    RegisteredUri,
)
from registry.validation.names import casefold_name

# How far `at` may be ahead of this machine's clock: clocks of two machines differ a little.
_CLOCK_SKEW = timedelta(seconds=1)


class Resolver(Store):
    """Resolves URIs, now or at a past time."""

    def resolve(self, uri: ModelsUri) -> ResolvedModel:
        """Return the sealed model of a URI.

        Raises:
            ModelNotFoundError, VersionNotFoundError, AliasNotFoundError, LoggedModelNotFoundError: It does not exist;
                the message says what does.
            InvalidParameterError: The time is in the future.
        """
        if isinstance(uri, LoggedModelUri):
            return self._resolve_logged_model(uri)
        row = self._look_up(uri)
        if row is None or row.deleted_time is not None:
            return self._retry_or_explain(uri)
        return _resolved(row, row.name, row.version)

    @single_query
    def _look_up(self, connection: Connection, uri: RegisteredUri) -> AnyRow | None:
        return _find_row(connection, uri)

    @single_query
    def _resolve_logged_model(self, connection: Connection, uri: LoggedModelUri) -> ResolvedModel:
        row = _BY_ID.first(connection, {"public_id": uri.model_id})
        if row is None:
            raise LoggedModelNotFoundError(f"Logged model with ID '{uri.model_id}' not found.")
        if row.status != LoggedModelStatus.READY:
            raise InvalidStateError(f"The logged model {uri.model_id} is {row.status}, not READY; it cannot be loaded.")
        return _resolved(row, None, None)

    @read_transaction
    def _retry_or_explain(self, connection: Connection, uri: RegisteredUri) -> ResolvedModel:
        """Try once more in a snapshot, since a version may have appeared; else raise the reason."""
        resolved = _find(connection, uri)
        if resolved is None:
            raise _explain(connection, uri)
        return resolved

    @read_transaction
    def find_version(self, connection: Connection, uri: ModelStageUri | ModelAliasUri) -> ModelVersion | None:
        """Return the version in a stage or under an alias, now or at a past time; None if there was none.

        Raises:
            ModelNotFoundError: There is no such model.
            VersionNotFoundError: The version was deleted since; the message says when and by whom.
            InvalidParameterError: The time is in the future.
        """
        if uri.at is not None:
            _check_past(uri.at)
        stage = uri.stage if isinstance(uri, ModelStageUri) and uri.at is None else None
        version = _version(connection.dialect.name, stage, in_past=uri.at is not None)
        model, found = model_statement(connection, uri.name), version.statement(connection, _values(uri))
        end_with_next(connection)
        run_all(connection, model, found)
        row = first_row(found)
        if row is None:
            if not model.rows:
                _refuse_deleted_model(connection, uri)
            check_model(connection, model, uri.name)
            return None
        if row.deleted_time is not None:
            raise _explain_deleted(connection, row, uri)
        return version_of(row)


@functools.cache
def _version(dialect: str, stage: str | None, *, in_past: bool) -> Compiled:
    """Return the query of the version in a stage, or under the parameter ``alias``; of the past, deleted ones too."""
    if in_past:
        held = select(StagePeriodRow.version).join(RegisteredModelRow, RegisteredModelRow.id == StagePeriodRow.model_id)
        number = held.where(NOT_DELETED, *_held_at())
    else:
        number = select_alias() if stage is None else select_holder(stage)
    return Compiled(select_one_version(dialect, number.correlate(None).scalar_subquery(), with_deleted=in_past))


def _find_row(connection: Connection, uri: RegisteredUri) -> AnyRow | None:
    at = getattr(uri, "at", None)
    if at is not None:
        _check_past(at)
    return _query(uri).first(connection, _values(uri))


def _find(connection: Connection, uri: RegisteredUri) -> ResolvedModel | None:
    row = _find_row(connection, uri)
    if row is None:
        return None
    if row.deleted_time is not None:
        raise _explain_deleted(connection, row, uri)
    return _resolved(row, row.name, row.version)


def _query(uri: ModelsUri) -> Compiled:
    match uri:
        case ModelVersionUri():
            return _by_version()
        case ModelLatestUri():
            return _by_latest()
        case ModelStageUri(stage=stage, at=None):
            return _by_stage(stage)
        case ModelAliasUri(at=None):
            return _by_alias()
        case _:
            return _by_period()


def _values(uri: ModelsUri) -> dict[str, Any]:
    values: dict[str, Any] = {"name": getattr(uri, "name", ""), "name_key": casefold_name(getattr(uri, "name", ""))}
    match uri:
        case ModelVersionUri(version=version):
            values["version"] = version
        case ModelAliasUri(alias=alias, at=None):
            values["alias"] = alias
        case ModelStageUri(at=datetime() as at) | ModelAliasUri(at=datetime() as at):
            values |= {"slot": _slot(uri), "at": microseconds_of(at)}
    return values


def _slot(uri: ModelsUri) -> str:
    return f"@{uri.alias}" if isinstance(uri, ModelAliasUri) else getattr(uri, "stage", "")


# The statements are built once; values are bound when they run.


@functools.cache
def _base() -> AnySelect:
    return (
        select(
            RegisteredModelRow.name,
            ModelVersionRow.version,
            ModelVersionRow.deleted_time,
            LoggedModelRow.model_id,
            LoggedModelRow.location,
            LoggedModelRow.digest,
            ExperimentRow.artifact_location,
        )
        .join(ModelVersionRow, ModelVersionRow.model_id == RegisteredModelRow.id)
        .join(LoggedModelRow, LoggedModelRow.id == ModelVersionRow.logged_model_id)
        .join(ExperimentRow, ExperimentRow.id == LoggedModelRow.experiment_id)
        .where(
            RegisteredModelRow.name_key == bindparam("name_key"),
            RegisteredModelRow.name == bindparam("name"),
            RegisteredModelRow.deleted_time.is_(None),
        )
    )


@functools.cache
def _by_version() -> Compiled:
    return Compiled(
        _base().where(ModelVersionRow.version == bindparam("version"), ModelVersionRow.deleted_time.is_(None))
    )


@functools.cache
def _by_latest() -> Compiled:
    return Compiled(_base().where(ModelVersionRow.version == _highest()))


@functools.cache
def _by_stage(stage: str) -> Compiled:
    # A literal, because the database uses the partial index only then. It is one of four constants.
    in_stage: ColumnElement[str] = literal_column(f"'{stage}'")
    if stage in ACTIVE_STAGES:
        return Compiled(_base().where(ModelVersionRow.current_stage == in_stage))
    return Compiled(_base().where(ModelVersionRow.version == _highest(in_stage)))


def _highest(stage: ColumnElement[str] | None = None) -> ScalarSelect[int]:
    """Return the highest version, read from the end of the index; sorting would read all versions of a model."""
    other = table(ModelVersionRow).alias().c
    query = select(func.max(other.version)).where(other.model_id == RegisteredModelRow.id, other.deleted_time.is_(None))
    if stage is not None:
        query = query.where(other.current_stage == stage)
    return query.correlate(RegisteredModelRow).scalar_subquery()


@functools.cache
def _by_alias() -> Compiled:
    is_target = (ModelAliasRow.model_id == RegisteredModelRow.id) & (ModelAliasRow.version == ModelVersionRow.version)
    return Compiled(_base().join(ModelAliasRow, is_target).where(ModelAliasRow.alias == bindparam("alias")))


@functools.cache
def _by_period() -> Compiled:
    has_period = (StagePeriodRow.model_id == RegisteredModelRow.id) & (
        StagePeriodRow.version == ModelVersionRow.version
    )
    return Compiled(_base().join(StagePeriodRow, has_period).where(*_held_at()))


def _held_at() -> tuple[ColumnElement[bool], ...]:
    """Return the conditions on the period of a slot that covers the time ``at``.

    Periods do not overlap, so it is the last one that began by then, or none. That is one index lookup, even if the
    slot was empty at that time and has a thousand earlier periods.
    """
    at: BindParameter[int] = bindparam("at")
    earlier = table(StagePeriodRow).alias().c
    last = (
        select(func.max(earlier.since))
        .where(earlier.model_id == RegisteredModelRow.id, earlier.stage == bindparam("slot"), earlier.since <= at)
        .correlate(RegisteredModelRow)
        .scalar_subquery()
    )
    return (
        StagePeriodRow.stage == bindparam("slot"),
        StagePeriodRow.since == last,
        or_(StagePeriodRow.until.is_(None), StagePeriodRow.until > at),
    )


_BY_ID: Final = Compiled(
    select(LoggedModelRow.__table__, ExperimentRow.artifact_location)
    .join(ExperimentRow, ExperimentRow.id == LoggedModelRow.experiment_id)
    .where(LoggedModelRow.model_id == bindparam("public_id"), LoggedModelRow.lifecycle_stage == LifecycleStage.ACTIVE)
)


def _resolved(row: AnyRow, name: str | None, version: int | None) -> ResolvedModel:
    return ResolvedModel(
        name=name,
        version=version,
        model_id=row.model_id,
        location=model_location(row.artifact_location, row.location),
        digest=row.digest,
        is_adopted=is_adopted(row.location),
    )


def _check_past(at: datetime) -> None:
    if at > datetime.now(UTC) + _CLOCK_SKEW:
        raise InvalidParameterError(
            f"`at` is in the future: {format_time(at)}. Give a time in the past, or leave it out."
        )


def _explain(connection: Connection, uri: ModelsUri) -> NotFoundError:
    name = getattr(uri, "name", "")
    _refuse_deleted_model(connection, uri)
    model = require_model(connection, name)
    match uri:
        case ModelVersionUri(version=version):
            require_version(connection, name, version)
            return VersionNotFoundError(f"Model Version (name={name}, version={version}) not found")
        case ModelLatestUri():
            return VersionNotFoundError(f"No versions of model with name {name!r} found.")
        case ModelAliasUri(alias=alias, at=None):
            return AliasNotFoundError(
                f"Registered model alias {alias} not found for {name!r}; "
                f"{describe_occupied_stages(connection, model.id)}."
            )
        case ModelStageUri(stage=stage, at=None):
            used = describe_occupied_stages(connection, model.id)
            return VersionNotFoundError(f"No versions of model with name {name!r} and stage {stage!r} found; {used}.")
        case _:
            at = format_time(getattr(uri, "at"))  # noqa: B009 - the remaining forms have it
            return VersionNotFoundError(f"No version of {name!r} held {_slot(uri)} at {at}.")


def _explain_deleted(connection: Connection, row: AnyRow, uri: ModelsUri) -> VersionNotFoundError:
    query = (
        select(HistoryRow.time_us, HistoryRow.actor)
        .join(RegisteredModelRow, RegisteredModelRow.id == HistoryRow.model_id)
        .where(not_deleted(row.name), HistoryRow.kind == EventKind.VERSION_DELETED, HistoryRow.version == row.version)
        .order_by(HistoryRow.seq.desc())
    )
    deletion = connection.execute(query.limit(1)).one()
    when = format_time(moment_of(deletion.time_us))
    return VersionNotFoundError(
        f"Version {row.version} of {row.name!r} held {_slot(uri)} then, but was deleted at {when} by {deletion.actor}."
    )


def _refuse_deleted_model(connection: Connection, uri: ModelsUri) -> None:
    """Raise if the model was deleted since and its name is free; the message says which version held the slot."""
    if getattr(uri, "at", None) is None:
        return
    values = _values(uri)
    name = values["name"]
    deletion = find_deletion(connection, name)
    if deletion is None or connection.execute(select(RegisteredModelRow.id).where(not_deleted(name))).first():
        return
    query = (
        select(StagePeriodRow.version)
        .join(RegisteredModelRow, RegisteredModelRow.id == StagePeriodRow.model_id)
        .where(RegisteredModelRow.id == deletion.id, *_held_at())
    )
    version = connection.execute(query, {"slot": values["slot"], "at": values["at"]}).scalar_one_or_none()
    if version is not None:
        when = format_time(moment_of(deletion.time_us))
        raise VersionNotFoundError(
            f"Version {version} of {name!r} held {_slot(uri)} then, but the model was deleted at {when} by "
            f"{deletion.actor}."
        )
