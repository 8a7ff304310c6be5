"""Model versions: immutable numbers under a model, each for one logged model.

Guarantees: numbers are 1, 2, 3 … per model, without gaps at creation, and never reused. A version refers to a sealed
logged model from the moment it exists.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from registry.entities import LifecycleStage, LoggedModelStatus
from registry.entities.history import EventKind
from registry.entities.model_registry import ModelVersion
from registry.entities.stages import ACTIVE_STAGES, ALL_STAGES
from registry.exceptions import (
    ConflictError,
    InUseError,
    InvalidStateError,
    LoggedModelNotFoundError,
    VersionNotFoundError,
)
from registry.store.clock import clock_statement, monotonic_now_ms, now_ms
from registry.store.compiled_statements import Compiled, first_row, first_value, send_core
from registry.store.dialects import AnyRow, table, upsert
from registry.store.driver_sql import Statement, end_with_next, run_all
from registry.store.logged_models.logged_models import SealedCopy, insert_logged_model
from registry.store.registry.creation_event import SIGNATURES, recorded_of, signatures_of
from registry.store.registry.history_writer import (
    KEY_OF_NAME,
    LockedModel,
    RegistryStore,
    lock_model,
    name_params,
    write_on_exit,
)
from registry.store.registry.queries import (
    latest_versions,
    not_deleted_row,
    one_version_statement,
    read_version,
    require_model,
    version_of,
    version_statement,
)
from registry.store.registry.registered_models import check_name_collision, insert_or_lock
from registry.store.registry.stage_periods import close_period
from registry.store.tables import (
    LoggedModelRow,
    ModelAliasRow,
    ModelVersionRow,
    ModelVersionTagRow,
    RunRow,
)
from registry.store.transactions import read_transaction, write_transaction


@dataclass(frozen=True, slots=True)
class NewVersion:
    """A version to create: `source` is the caller's, `model_id` the sealed logged model.

    `run_id` defaults to the run that created the logged model. With `copy`, the logged model is created in the same
    transaction. With `by_id`, the caller gave the id of the logged model, so it must not be deleted. `creation_time`
    (milliseconds) and `user_id` are those of a version of another system. With `number`, the version must get this
    number.
    """

    source: str
    model_id: str
    run_id: str | None = None
    run_link: str | None = None
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    origin: str | None = None
    copy: SealedCopy | None = None
    by_id: bool = False
    creation_time: int | None = None
    user_id: str | None = None
    number: int | None = None


class VersionStore(RegistryStore):
    """Creates, finds and changes versions."""

    @write_transaction
    def create(
        self,
        connection: Connection,
        name: str,
        new: NewVersion,
        *,
        create_model: bool = False,
        reason: str | None = None,
    ) -> ModelVersion:
        """Create the next version of a model, and with `create_model` the model too if it is missing.

        Raises:
            ModelNotFoundError: There is no such model, and `create_model` is False.
            AlreadyExistsError: A model has a name that differs only in case or width.
            LoggedModelNotFoundError: There is no such logged model.
            InvalidStateError: The logged model is not READY, or gc removed its files.
            ConflictError: The version would get another number than the one that it must have.
        """
        copied = _COPY.statement(connection, {**name_params(name), "given_origin": new.origin})
        facts = logged_model_facts(connection, new.model_id)
        locked = self._lock_or_create(connection, name, [copied, *facts], create_model=create_model, reason=reason)
        with write_on_exit(locked) as model:
            if new.origin is not None and (copy := first_value(copied)) is not None:
                return read_version(connection, name, copy)
            if new.copy is not None:
                insert_logged_model(connection, new.copy.new, new.copy.seal)
                run_all(connection, *(facts := logged_model_facts(connection, new.model_id)))
            number = model.next_version()
            if new.number not in (None, number):
                raise ConflictError(
                    f"{new.source} of {new.origin} would become version {number} of {name!r} here, not {new.number}: "
                    "the numbers have gone apart. Copy single versions with copy_model_version."
                )
            return insert_version(model, number, new, facts, reason=reason)

    def _lock_or_create(
        self, connection: Connection, name: str, facts: Sequence[Statement], *, create_model: bool, reason: str | None
    ) -> LockedModel:
        """Lock a model, created if it is missing and `create_model` is true; read facts in the same round trip."""
        if not create_model:
            row = lock_model(connection, name, *facts)
            return LockedModel(connection, row, self.actor, ignore_clock=self.ignore_clock)
        while True:
            model, _ = insert_or_lock(
                connection, name, self.actor, *facts, reason=reason, ignore_clock=self.ignore_clock
            )
            if model is not None:
                return model
            # Without a similar name, it existed, and was renamed or deleted before it could be locked.
            check_name_collision(connection, name)

    @read_transaction
    def get(self, connection: Connection, name: str, version: int) -> ModelVersion:
        """Return a version by number.

        Raises:
            ModelNotFoundError, VersionNotFoundError: There is no such model or version.
        """
        end_with_next(connection)
        return read_version(connection, name, version)

    @read_transaction
    def find_by_origin(self, connection: Connection, name: str, origin: str) -> ModelVersion | None:
        """Return the version that was copied from `origin`, a version in another registry, or None."""
        copy = _COPY.value(connection, {**name_params(name), "given_origin": origin})
        return None if copy is None else read_version(connection, name, copy)

    @read_transaction
    def latest(self, connection: Connection, name: str, stages: Sequence[str] | None = None) -> list[ModelVersion]:
        """Return the highest version of each canonical stage (default: all four), lowest version first."""
        end_with_next(connection)
        versions = latest_versions(connection, name, stages or ALL_STAGES)
        if not versions:
            require_model(connection, name)
        return versions

    @write_transaction
    def update(
        self, connection: Connection, name: str, version: int, *, description: str | None, reason: str | None = None
    ) -> ModelVersion:
        """Set the description; None leaves it unchanged."""
        existing = one_version_statement(connection, name, version, with_deleted=True)
        with self.locked(connection, name, existing) as model:
            row = not_deleted_row(first_row(existing), name, version)
            if description is None or description == row.description:
                return version_of(row)
            model.record(
                EventKind.UPDATED,
                version=version,
                before=row.description,
                after=description,
                reason=reason,
                details={"field": "description"},
            )
            now = _change(connection, row.id, description=description)
        return replace(version_of(row), description=description, last_updated_timestamp=now)

    @write_transaction
    def delete(
        self, connection: Connection, name: str, version: int, *, force: bool = False, reason: str | None = None
    ) -> None:
        """Delete a version and its aliases; its number is never reused.

        Raises:
            InUseError: The version is in Staging or Production and `force` is False.
        """
        existing, clock = version_statement(connection, name, version), clock_statement(connection)
        with self.locked(connection, name, existing, clock) as model:
            row = not_deleted_row(first_row(existing), name, version)
            if row.current_stage in ACTIVE_STAGES and not force:
                raise InUseError(
                    f"Version {version} of {name!r} is in stage {row.current_stage}. Move it to Archived first, or "
                    "delete it with force=True."
                )
            _drop_aliases(model, version, reason)
            event = model.record(
                EventKind.VERSION_DELETED,
                version=version,
                before=row.current_stage,
                reason=reason,
                details={"force": force},
            )
            close_period(connection, model.key, row.current_stage, event.time_us)
            _change(connection, row.id, current_stage="None", deleted_time=monotonic_now_ms(connection, clock))

    @write_transaction
    def restore(self, connection: Connection, name: str, version: int, *, reason: str | None = None) -> ModelVersion:
        """Restore a deleted version, in stage None and without aliases.

        Raises:
            VersionNotFoundError: There was never such a version.
            InvalidStateError: The version is not deleted, or gc removed its files.
        """
        existing = one_version_statement(connection, name, version, with_deleted=True)
        files = _LOCK_FILES.statement(connection, {**name_params(name), "number": version})
        with self.locked(connection, name, existing, files) as model:
            row = first_row(existing)
            if row is None:
                raise VersionNotFoundError(f"Model Version (name={name}, version={version}) not found")
            if row.deleted_time is None:
                raise InvalidStateError(f"Version {version} of {name!r} is not deleted.")
            if first_value(files) is not None:
                raise InvalidStateError(
                    f"Version {version} of {name!r} cannot be restored: its files were removed by gc."
                )
            model.record(EventKind.VERSION_RESTORED, version=version, after="None", reason=reason)
            now = _change(connection, row.id, deleted_time=None)
        return replace(version_of(row), last_updated_timestamp=now)

    @write_transaction
    def set_tag(
        self, connection: Connection, name: str, version: int, key: str, value: str, *, reason: str | None = None
    ) -> None:
        """Set a tag."""
        existing = version_statement(connection, name, version)
        tag = _TAG.statement(connection, {**name_params(name), "number": version, "given_key": key})
        with self.locked(connection, name, existing, tag) as model:
            row = not_deleted_row(first_row(existing), name, version)
            before = first_value(tag)
            if before != value:
                model.record(
                    EventKind.TAG_SET, version=version, before=before, after=value, reason=reason, details={"key": key}
                )
                upsert(connection, ModelVersionTagRow, [{"version_id": row.id, "key": key, "value": value}])
                _change(connection, row.id)

    @write_transaction
    def delete_tag(
        self, connection: Connection, name: str, version: int, key: str, *, reason: str | None = None
    ) -> None:
        """Remove a tag; do nothing if it does not exist, as in MLflow."""
        existing = version_statement(connection, name, version)
        tag = _TAG.statement(connection, {**name_params(name), "number": version, "given_key": key})
        with self.locked(connection, name, existing, tag) as model:
            row = not_deleted_row(first_row(existing), name, version)
            before = first_value(tag)
            if before is not None:
                model.record(EventKind.TAG_DELETED, version=version, before=before, reason=reason, details={"key": key})
                _DELETE_TAG.send(connection, {"version_key": row.id, "given_key": key})
                _change(connection, row.id)


def insert_version(
    model: LockedModel,
    number: int,
    new: NewVersion,
    facts: Sequence[Statement],
    *,
    reason: str | None = None,
    details: Mapping[str, Any] | None = None,
) -> ModelVersion:
    """Insert a version under a number that was never used; `details` are added to its event.

    `facts` are the answered statements of `logged_model_facts`.

    Raises:
        LoggedModelNotFoundError: There is no such logged model.
        InvalidStateError: The logged model is not READY, or gc removed its files.
    """
    connection, now = model.connection, now_ms()
    created_at = now if new.creation_time is None else new.creation_time
    user_id = model.actor if new.user_id is None else new.user_id
    locked, signatures = facts
    logged = _check_ready(first_row(locked), new)
    run_id = new.run_id or logged.run_id
    values = {
        "model_id": model.key,
        "version": number,
        "logged_model_id": logged.id,
        "source": new.source,
        "run_id": run_id,
        "run_link": new.run_link,
        "origin": new.origin,
        "description": new.description,
        "user_id": user_id,
        "session_user": model.session_user,
        "creation_time": created_at,
        "last_update_time": now,
    }
    _INSERT.send(connection, values)
    created = {
        **_created(new, run_id, logged.digest),
        "recorded": recorded_of(created_at, new.run_link, logged.flavors, logged.signature),
        "signatures": signatures_of(signatures),
        **({} if new.user_id is None else {"user_id": new.user_id}),
        **(details or {}),
    }
    model.record(EventKind.VERSION_CREATED, version=number, reason=reason, details=created)
    for tag, value in sorted(new.tags.items()):
        model.record(EventKind.TAG_SET, version=number, after=value, details={"key": tag})
    of_version = {"model_key": model.key, "number": number}
    _INSERT_TAG.write_many(connection, [{**of_version, "key": tag, "value": new.tags[tag]} for tag in new.tags])
    return ModelVersion(
        name=model.name,
        version=number,
        creation_timestamp=created_at,
        last_updated_timestamp=now,
        current_stage="None",
        source=new.source,
        description=new.description,
        user_id=user_id,
        run_id=run_id,
        run_link=new.run_link,
        tags=dict(sorted(new.tags.items())),
        model_id=new.model_id,
        digest=logged.digest,
    )


def logged_model_facts(connection: Connection, model_id: str) -> tuple[Statement, Statement]:
    """Return the statement that locks a logged model, so that gc cannot remove it, and the query of its signatures."""
    values = {"public_id": model_id}
    return _LOCK_READY.statement(connection, values), SIGNATURES.statement(connection, values)


def _check_ready(row: AnyRow | None, new: NewVersion) -> AnyRow:
    """Return the row of a logged model, unless it cannot be registered."""
    model_id = new.model_id
    if row is None or (new.by_id and row.lifecycle_stage != LifecycleStage.ACTIVE):
        raise LoggedModelNotFoundError(f"Logged model with ID '{model_id}' not found.")
    if row.status != LoggedModelStatus.READY:
        raise InvalidStateError(f"The logged model {model_id} is {row.status}; only a READY one can be registered.")
    if row.purged_time is not None:
        raise InvalidStateError(f"The logged model {model_id} cannot be registered: its files were removed by gc.")
    return row


_INSERT: Final = Compiled(insert(table(ModelVersionRow)))
_INSERT_TAG: Final = Compiled(
    insert(table(ModelVersionTagRow)).values(
        version_id=select(ModelVersionRow.id)
        .where(ModelVersionRow.model_id == bindparam("model_key"), ModelVersionRow.version == bindparam("number"))
        .scalar_subquery()
    )
)
_DELETE_TAG: Final = Compiled(
    delete(ModelVersionTagRow).where(
        ModelVersionTagRow.version_id == bindparam("version_key"), ModelVersionTagRow.key == bindparam("given_key")
    )
)
_TAG: Final = Compiled(
    select(ModelVersionTagRow.value)
    .join(ModelVersionRow, ModelVersionRow.id == ModelVersionTagRow.version_id)
    .where(
        ModelVersionRow.model_id == KEY_OF_NAME,
        ModelVersionRow.version == bindparam("number"),
        ModelVersionTagRow.key == bindparam("given_key"),
    )
)
_CHANGE: Final = Compiled(update(table(ModelVersionRow)).where(table(ModelVersionRow).c.id == bindparam("version_key")))
# A version that was copied from another registry.
_COPY: Final = Compiled(
    select(ModelVersionRow.version).where(
        ModelVersionRow.model_id == KEY_OF_NAME,
        ModelVersionRow.origin == bindparam("given_origin"),
        ModelVersionRow.deleted_time.is_(None),
    )
)
_READY: Final = select(
    LoggedModelRow.id,
    LoggedModelRow.status,
    LoggedModelRow.digest,
    LoggedModelRow.flavors,
    LoggedModelRow.signature,
    LoggedModelRow.purged_time,
    LoggedModelRow.lifecycle_stage,
    select(RunRow.run_id).where(RunRow.id == LoggedModelRow.run_id).scalar_subquery().label("run_id"),
).where(LoggedModelRow.model_id == bindparam("public_id"))
# When gc removed the files of a version; from now on it cannot.
_LOCK_FILES: Final = Compiled(
    select(LoggedModelRow.purged_time)
    .join(ModelVersionRow, ModelVersionRow.logged_model_id == LoggedModelRow.id)
    .where(ModelVersionRow.model_id == KEY_OF_NAME, ModelVersionRow.version == bindparam("number"))
    .with_for_update(read=True, key_share=True, of=LoggedModelRow)
)
_LOCK_READY: Final = Compiled(_READY.with_for_update(read=True, key_share=True, of=LoggedModelRow))


def _created(new: NewVersion, run_id: str | None, digest: str) -> dict[str, Any]:
    details = {"digest": digest, "model_id": new.model_id, "run_id": run_id, "source": new.source}
    if new.description is not None:
        details["description"] = new.description
    if new.origin is not None:
        details["origin"] = new.origin
    return details


def _drop_aliases(model: LockedModel, version: int, reason: str | None) -> None:
    named = (ModelAliasRow.model_id == model.key) & (ModelAliasRow.version == version)
    aliases = model.connection.execute(select(ModelAliasRow.alias).where(named).order_by(ModelAliasRow.alias))
    for alias in aliases.scalars().all():
        event = model.record(
            EventKind.ALIAS_DELETED, version=version, before=str(version), reason=reason, details={"alias": alias}
        )
        close_period(model.connection, model.key, f"@{alias}", event.time_us)
    send_core(model.connection, delete(ModelAliasRow).where(named))


def _change(connection: Connection, key: int, **values: Any) -> int:
    """Change columns of a version; return the time in milliseconds."""
    now = now_ms()
    _CHANGE.send(connection, {"version_key": key, "last_update_time": now, **values})
    return now
