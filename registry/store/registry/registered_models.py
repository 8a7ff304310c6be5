"""Registered models: their names, descriptions and tags.

Guarantees: no two models that are not deleted have names that differ only in case or width. A deleted model stays as a
tombstone with its history.
"""

import functools
import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, select, update

from registry.entities.history import EventKind
from registry.entities.model_registry import RegisteredModel
from registry.entities.stages import ACTIVE_STAGES
from registry.exceptions import AlreadyExistsError, InUseError
from registry.store.clock import clock_statement, monotonic_now_ms, now_ms
from registry.store.compiled_statements import Compiled, first_row, first_value, send_core
from registry.store.dialects import insert_into, table, upsert
from registry.store.driver_sql import Statement, end_with_next, run_all
from registry.store.engine import ConstraintError
from registry.store.registry.history_writer import (
    KEY_OF_NAME,
    LockedModel,
    RegistryStore,
    lock_statement,
    name_params,
    write_on_exit,
)
from registry.store.registry.queries import built_model, model_statements, read_model, require_model
from registry.store.tables import (
    ModelAliasRow,
    ModelVersionRow,
    RegisteredModelRow,
    RegisteredModelTagRow,
    StagePeriodRow,
)
from registry.store.transactions import read_transaction, single_query, write_transaction
from registry.validation.names import casefold_name


class ModelStore(RegistryStore):
    """Creates, finds and changes registered models."""

    @write_transaction
    def create(
        self,
        connection: Connection,
        name: str,
        *,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
        reason: str | None = None,
    ) -> RegisteredModel:
        """Create a model without versions.

        Raises:
            AlreadyExistsError: The name, or one that differs only in case or width, is taken.
        """
        inserted = insert_model(connection, name, self.actor, description=description, tags=tags, reason=reason)
        if inserted is None:
            raise name_is_taken(connection, name)
        with write_on_exit(inserted) as model:
            return RegisteredModel(
                name=name,
                creation_timestamp=model.row.creation_time,
                last_updated_timestamp=model.last_event_us // 1_000,
                description=description,
                tags=dict(sorted((tags or {}).items())),
                model_uid=model.uid,
            )

    @read_transaction
    def get(self, connection: Connection, name: str) -> RegisteredModel:
        """Return a model by its exact name.

        Raises:
            ModelNotFoundError: There is no such model.
        """
        end_with_next(connection)
        return read_model(connection, name)

    @single_query
    def require(self, connection: Connection, name: str) -> None:
        """Check that a model exists.

        Raises:
            ModelNotFoundError: There is no such model.
        """
        require_model(connection, name)

    @write_transaction
    def rename(self, connection: Connection, name: str, new_name: str, *, reason: str | None = None) -> RegisteredModel:
        """Rename a model; it keeps its versions, aliases and history.

        Raises:
            AlreadyExistsError: Another model has the new name, or one that differs only in case or width.
        """
        taken = _COLLIDING.statement(connection, {"folded": casefold_name(new_name)})
        facts = model_statements(connection, name)
        with self.locked(connection, name, taken, *facts) as model:
            before = built_model(facts)
            if new_name == name:
                return before
            if first_value(taken) not in (None, name):
                raise name_is_taken(connection, new_name)
            event = model.record(EventKind.RENAMED, before=name, after=new_name, reason=reason)
            try:
                _RENAME.write(connection, {"model_key": model.key, **name_params(new_name)})
            except ConstraintError:
                # Another transaction took the name after it was looked up.
                raise AlreadyExistsError(f"Registered Model (name={new_name}) already exists.") from None
        versions = [replace(version, name=new_name) for version in before.latest_versions]
        return replace(before, name=new_name, latest_versions=versions, last_updated_timestamp=event.time_us // 1_000)

    @write_transaction
    def update(
        self, connection: Connection, name: str, *, description: str | None, reason: str | None = None
    ) -> RegisteredModel:
        """Set the description; None leaves it unchanged."""
        facts = model_statements(connection, name)
        with self.locked(connection, name, *facts) as model:
            before = built_model(facts)
            if description is None or description == before.description:
                return before
            event = model.record(
                EventKind.UPDATED,
                before=before.description,
                after=description,
                reason=reason,
                details={"field": "description"},
            )
            model.change(description=description)
        return replace(before, description=description, last_updated_timestamp=event.time_us // 1_000)

    @write_transaction
    def delete(self, connection: Connection, name: str, *, force: bool = False, reason: str | None = None) -> None:
        """Delete a model and its versions; its history stays readable, and its name becomes free.

        Raises:
            InUseError: A version is in Staging or Production and `force` is False.
        """
        clock = clock_statement(connection)
        with self.locked(connection, name, clock) as model:
            held = _held_stages(connection, model.key)
            if held and not force:
                raise InUseError(
                    f"The model {name!r} has versions in use: {held}. Move them to Archived first, or delete with "
                    "force=True."
                )
            now = monotonic_now_ms(connection, clock)
            event = model.record(EventKind.DELETED, before=name, reason=reason, details={"force": force})
            not_deleted = (ModelVersionRow.model_id == model.key) & ModelVersionRow.deleted_time.is_(None)
            send_core(connection, delete(ModelAliasRow).where(ModelAliasRow.model_id == model.key))
            changed = {"current_stage": "None", "deleted_time": now}
            send_core(connection, update(ModelVersionRow).where(not_deleted).values(changed))
            open_periods = (StagePeriodRow.model_id == model.key) & StagePeriodRow.until.is_(None)
            send_core(connection, update(StagePeriodRow).where(open_periods).values(until=event.time_us))
            model.change(deleted_time=now)

    @write_transaction
    def set_tag(self, connection: Connection, name: str, key: str, value: str, *, reason: str | None = None) -> None:
        """Set a tag."""
        tag = _TAG.statement(connection, {**name_params(name), "given_key": key})
        with self.locked(connection, name, tag) as model:
            before = first_value(tag)
            if before != value:
                model.record(EventKind.TAG_SET, before=before, after=value, reason=reason, details={"key": key})
                upsert(connection, RegisteredModelTagRow, [{"model_id": model.key, "key": key, "value": value}])

    @write_transaction
    def delete_tag(self, connection: Connection, name: str, key: str, *, reason: str | None = None) -> None:
        """Remove a tag; do nothing if it does not exist, as in MLflow."""
        tag = _TAG.statement(connection, {**name_params(name), "given_key": key})
        with self.locked(connection, name, tag) as model:
            before = first_value(tag)
            if before is not None:
                model.record(EventKind.TAG_DELETED, before=before, reason=reason, details={"key": key})
                _DELETE_TAG.send(connection, {"model_key": model.key, "given_key": key})


def insert_model(
    connection: Connection,
    name: str,
    actor: str,
    *,
    description: str | None = None,
    tags: Mapping[str, str] | None = None,
    reason: str | None = None,
) -> LockedModel | None:
    """Insert and lock a model, with its first event recorded; return None if the name or a similar one is taken."""
    model, is_new = insert_or_lock(connection, name, actor, description=description, tags=tags, reason=reason)
    return model if is_new else None


def insert_or_lock(
    connection: Connection,
    name: str,
    actor: str,
    *facts: Statement,
    description: str | None = None,
    tags: Mapping[str, str] | None = None,
    reason: str | None = None,
    ignore_clock: bool = False,
) -> tuple[LockedModel | None, bool]:
    """Insert a model with its first event, or lock the one that has the name; tell whether it is new.

    There is none if only a similar name is taken. `facts` are run after the lock is taken, in the same round trip.
    """
    now = now_ms()
    values: dict[str, Any] = {
        "uid": uuid.uuid4().hex,
        "name": name,
        "name_key": casefold_name(name),
        "description": description,
        "creation_time": now,
        "last_update_time": now,
    }
    inserted = _insert(connection.dialect.name).statement(connection, values)
    lock = lock_statement(connection, name)
    run_all(connection, inserted, lock, *facts)
    row = first_row(lock)
    if row is None:
        return None, False
    model = LockedModel(connection, row, actor, ignore_clock=ignore_clock)
    if not inserted.rows:
        return model, False
    details: dict[str, Any] = {} if description is None else {"description": description}
    model.record(EventKind.CREATED, after=name, reason=reason, details=details)
    for key, value in sorted((tags or {}).items()):
        model.record(EventKind.TAG_SET, after=value, details={"key": key})
    rows = [{"model_id": model.key, "key": key, "value": value} for key, value in (tags or {}).items()]
    upsert(connection, RegisteredModelTagRow, rows)
    return model, True


@functools.cache
def _insert(dialect: str) -> Compiled:
    return Compiled(insert_into(dialect, RegisteredModelRow).on_conflict_do_nothing().returning(RegisteredModelRow.id))


def name_is_taken(connection: Connection, name: str) -> AlreadyExistsError:
    """Return the error for a name that is taken, or that differs only in case or width from a taken one."""
    similar = _find_colliding_name(connection, name)
    if similar is None or similar == name:
        return AlreadyExistsError(f"Registered Model (name={name}) already exists.")
    return AlreadyExistsError(
        f"Registered Model (name={name}) is too similar to the existing {similar!r}, which differs only in case or in "
        "the form of its characters. Use the existing name, or a different one."
    )


def check_name_collision(connection: Connection, name: str) -> None:
    """Refuse a name that differs only in case or width from another model's.

    Raises:
        AlreadyExistsError: There is such a model.
    """
    if _find_colliding_name(connection, name) not in (None, name):
        raise name_is_taken(connection, name)


def _find_colliding_name(connection: Connection, name: str) -> str | None:
    return _COLLIDING.value(connection, {"folded": casefold_name(name)})


_COLLIDING: Final = Compiled(
    select(RegisteredModelRow.name).where(
        RegisteredModelRow.name_key == bindparam("folded"), RegisteredModelRow.deleted_time.is_(None)
    )
)
_RENAME: Final = Compiled(
    update(table(RegisteredModelRow)).where(table(RegisteredModelRow).c.id == bindparam("model_key"))
)
_TAG: Final = Compiled(
    select(RegisteredModelTagRow.value).where(
        RegisteredModelTagRow.model_id == KEY_OF_NAME, RegisteredModelTagRow.key == bindparam("given_key")
    )
)
_DELETE_TAG: Final = Compiled(
    delete(RegisteredModelTagRow).where(
        RegisteredModelTagRow.model_id == bindparam("model_key"), RegisteredModelTagRow.key == bindparam("given_key")
    )
)


def _held_stages(connection: Connection, model_key: int) -> str:
    query = select(ModelVersionRow.current_stage, ModelVersionRow.version).where(
        ModelVersionRow.model_id == model_key, ModelVersionRow.current_stage.in_(ACTIVE_STAGES)
    )
    return ", ".join(f"{stage} (version {version})" for stage, version in connection.execute(query))
