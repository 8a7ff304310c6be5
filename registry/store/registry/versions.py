"""Model versions: immutable numbers under a model, each for one logged model.

Guarantees: numbers are 1, 2, 3 … per model, without gaps at creation, and never reused. A version refers to a sealed
logged model from the moment it exists.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
    ModelNotFoundError,
    VersionNotFoundError,
)
from registry.store.clock import monotonic_now_ms, now_ms
from registry.store.compiled_statements import Compiled
from registry.store.dialects import AnyRow, table, upsert
from registry.store.logged_models.logged_models import SealedCopy, insert_logged_model
from registry.store.registry.creation_event import recorded_of, signatures_of
from registry.store.registry.history_writer import LockedModel, RegistryStore, lock_model, not_deleted, write_on_exit
from registry.store.registry.queries import (
    find_version,
    read_version,
    read_versions,
    require_model,
    require_version,
    select_latest,
)
from registry.store.registry.registered_models import check_name_collision, insert_model
from registry.store.registry.stage_periods import close_period
from registry.store.tables import (
    LoggedModelRow,
    ModelAliasRow,
    ModelVersionRow,
    ModelVersionTagRow,
    RegisteredModelRow,
    RunRow,
)
from registry.store.transactions import read_transaction, write_transaction


@dataclass(frozen=True, slots=True)
class NewVersion:
    """A version to create: `source` is the caller's, `model_id` the sealed logged model.

    `run_id` defaults to the run that created the logged model. With `copy`, the logged model is created in the same
    transaction. With `by_id`, the caller gave the id of the logged model, so it must not be deleted. With `number`, the
    version must get this number.
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
        with write_on_exit(self._lock_or_create(connection, name, create_model=create_model, reason=reason)) as model:
            if new.origin is not None and (copy := _find_copy(connection, model.key, new.origin)) is not None:
                return read_version(connection, model.key, name, copy)
            if new.copy is not None:
                insert_logged_model(connection, new.copy.new, new.copy.seal)
            number = model.next_version()
            if new.number not in (None, number):
                raise ConflictError(
                    f"{new.source} of {new.origin} would become version {number} of {name!r} here, not {new.number}: "
                    "the numbers have gone apart. Copy single versions with copy_model_version."
                )
            return insert_version(model, number, new, reason=reason)

    def _lock_or_create(
        self, connection: Connection, name: str, *, create_model: bool, reason: str | None
    ) -> LockedModel:
        """Lock a model, created if it is missing and `create_model` is true."""
        while True:
            if create_model and not insert_model(connection, name, self.actor, reason=reason):
                check_name_collision(connection, name)
            try:
                return LockedModel(connection, lock_model(connection, name), self.actor, ignore_clock=self.ignore_clock)
            except ModelNotFoundError:
                # With `create_model`, it existed, and was renamed or deleted before it could be locked.
                if not create_model:
                    raise

    @read_transaction
    def get(self, connection: Connection, name: str, version: int) -> ModelVersion:
        """Return a version by number.

        Raises:
            ModelNotFoundError, VersionNotFoundError: There is no such model or version.
        """
        return read_version(connection, require_model(connection, name).id, name, version)

    @read_transaction
    def find_by_origin(self, connection: Connection, name: str, origin: str) -> ModelVersion | None:
        """Return the version that was copied from `origin`, a version in another registry, or None."""
        row = connection.execute(select(RegisteredModelRow.id).where(not_deleted(name))).one_or_none()
        copy = None if row is None else _find_copy(connection, row.id, origin)
        return None if row is None or copy is None else read_version(connection, row.id, name, copy)

    @read_transaction
    def latest(self, connection: Connection, name: str, stages: Sequence[str] | None = None) -> list[ModelVersion]:
        """Return the highest version of each canonical stage (default: all four), lowest version first."""
        key = require_model(connection, name).id
        query = select_latest([key], connection.dialect.name).where(
            ModelVersionRow.current_stage.in_(stages or ALL_STAGES)
        )
        return read_versions(connection, connection.execute(query).all())

    @write_transaction
    def update(
        self, connection: Connection, name: str, version: int, *, description: str | None, reason: str | None = None
    ) -> ModelVersion:
        """Set the description; None leaves it unchanged."""
        with self.locked(connection, name) as model:
            row = require_version(connection, model.key, name, version)
            if description is not None and description != row.description:
                model.record(
                    EventKind.UPDATED,
                    version=version,
                    before=row.description,
                    after=description,
                    reason=reason,
                    details={"field": "description"},
                )
                _change(connection, row.id, description=description)
        return read_version(connection, model.key, name, version)

    @write_transaction
    def delete(
        self, connection: Connection, name: str, version: int, *, force: bool = False, reason: str | None = None
    ) -> None:
        """Delete a version and its aliases; its number is never reused.

        Raises:
            InUseError: The version is in Staging or Production and `force` is False.
        """
        with self.locked(connection, name) as model:
            row = require_version(connection, model.key, name, version)
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
            _change(connection, row.id, current_stage="None", deleted_time=monotonic_now_ms(connection))

    @write_transaction
    def restore(self, connection: Connection, name: str, version: int, *, reason: str | None = None) -> ModelVersion:
        """Restore a deleted version, in stage None and without aliases.

        Raises:
            VersionNotFoundError: There was never such a version.
            InvalidStateError: The version is not deleted, or gc removed its files.
        """
        with self.locked(connection, name) as model:
            row = find_version(connection, model.key, version)
            if row is None:
                raise VersionNotFoundError(f"Model Version (name={name}, version={version}) not found")
            if row.deleted_time is None:
                raise InvalidStateError(f"Version {version} of {name!r} is not deleted.")
            purged = select(LoggedModelRow.purged_time).where(LoggedModelRow.id == row.logged_model_id)
            if connection.execute(purged.with_for_update(read=True, key_share=True)).scalar_one() is not None:
                raise InvalidStateError(
                    f"Version {version} of {name!r} cannot be restored: its files were removed by gc."
                )
            model.record(EventKind.VERSION_RESTORED, version=version, after="None", reason=reason)
            _change(connection, row.id, deleted_time=None)
        return read_version(connection, model.key, name, version)

    @write_transaction
    def set_tag(
        self, connection: Connection, name: str, version: int, key: str, value: str, *, reason: str | None = None
    ) -> None:
        """Set a tag."""
        with self.locked(connection, name) as model:
            row = require_version(connection, model.key, name, version)
            before = _find_tag(connection, row.id, key)
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
        with self.locked(connection, name) as model:
            row = require_version(connection, model.key, name, version)
            before = _find_tag(connection, row.id, key)
            if before is not None:
                model.record(EventKind.TAG_DELETED, version=version, before=before, reason=reason, details={"key": key})
                condition = (ModelVersionTagRow.version_id == row.id) & (ModelVersionTagRow.key == key)
                connection.execute(delete(ModelVersionTagRow).where(condition))
                _change(connection, row.id)


def insert_version(
    model: LockedModel,
    number: int,
    new: NewVersion,
    *,
    reason: str | None = None,
    details: Mapping[str, Any] | None = None,
) -> ModelVersion:
    """Insert a version under a number that was never used; `details` are added to its event.

    Raises:
        LoggedModelNotFoundError: There is no such logged model.
        InvalidStateError: The logged model is not READY, or gc removed its files.
    """
    connection, now = model.connection, now_ms()
    logged = _lock_ready(connection, new)
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
        "user_id": model.actor,
        "session_user": model.session_user,
        "creation_time": now,
        "last_update_time": now,
    }
    key = _INSERT.value(connection, values)
    created = {
        **_created(new, run_id, logged.digest),
        "recorded": recorded_of(now, new.run_link, logged.flavors, logged.signature),
        "signatures": signatures_of(connection, logged.id),
        **(details or {}),
    }
    model.record(EventKind.VERSION_CREATED, version=number, reason=reason, details=created)
    for tag, value in sorted(new.tags.items()):
        model.record(EventKind.TAG_SET, version=number, after=value, details={"key": tag})
    rows = [{"version_id": key, "key": tag, "value": value} for tag, value in new.tags.items()]
    upsert(connection, ModelVersionTagRow, rows)
    return ModelVersion(
        name=model.name,
        version=number,
        creation_timestamp=now,
        last_updated_timestamp=now,
        current_stage="None",
        source=new.source,
        description=new.description,
        user_id=model.actor,
        run_id=run_id,
        run_link=new.run_link,
        tags=dict(sorted(new.tags.items())),
        model_id=new.model_id,
        digest=logged.digest,
    )


def _find_copy(connection: Connection, model_key: int, origin: str) -> int | None:
    query = select(ModelVersionRow.version).where(
        ModelVersionRow.model_id == model_key,
        ModelVersionRow.origin == origin,
        ModelVersionRow.deleted_time.is_(None),
    )
    return connection.execute(query).scalar_one_or_none()


def _lock_ready(connection: Connection, new: NewVersion) -> AnyRow:
    """Lock and return a sealed logged model, so that gc cannot remove it before this transaction ends."""
    model_id = new.model_id
    row = _LOCK_READY.first(connection, {"public_id": model_id})
    if row is None or (new.by_id and row.lifecycle_stage != LifecycleStage.ACTIVE):
        raise LoggedModelNotFoundError(f"Logged model with ID '{model_id}' not found.")
    if row.status != LoggedModelStatus.READY:
        raise InvalidStateError(f"The logged model {model_id} is {row.status}; only a READY one can be registered.")
    if row.purged_time is not None:
        raise InvalidStateError(f"The logged model {model_id} cannot be registered: its files were removed by gc.")
    return row


_INSERT: Final = Compiled(insert(table(ModelVersionRow)).returning(table(ModelVersionRow).c.id))
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
    model.connection.execute(delete(ModelAliasRow).where(named))


def _change(connection: Connection, key: int, **values: Any) -> None:
    statement = update(ModelVersionRow).where(ModelVersionRow.id == key)
    connection.execute(statement.values(last_update_time=now_ms(), **values))


def _find_tag(connection: Connection, version_key: int, key: str) -> str | None:
    query = select(ModelVersionTagRow.value).where(
        ModelVersionTagRow.version_id == version_key, ModelVersionTagRow.key == key
    )
    return connection.execute(query).scalar_one_or_none()
