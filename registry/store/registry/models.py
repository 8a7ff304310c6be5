"""Registered models: their names, descriptions and tags.

Leaves versions to `versions`, stages and aliases to `holders`. Invariant: of the living models no two have names that
fold to the same text; a deleted model stays as a tombstone with its history.
"""

import uuid
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, delete, select, update

from registry.entities.history import EventKind
from registry.entities.model_registry import RegisteredModel
from registry.entities.stages import ACTIVE_STAGES
from registry.exceptions import AlreadyExistsError, InUseError
from registry.store.clock import monotonic_now_ms, now_ms
from registry.store.dialects import insert_into, upsert
from registry.store.engine import ConstraintError
from registry.store.registry.history_writer import LockedModel, RegistryStore, lock_model, write_on_exit
from registry.store.registry.queries import read_models, require_model
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
        """A new model without versions.

        Raises:
            AlreadyExistsError: the name, or one that differs only in case or width, is taken.
        """
        if not insert_model(connection, name, self.actor, description=description, tags=tags, reason=reason):
            raise name_is_taken(connection, name)
        return read_models(connection, [require_model(connection, name)])[0]

    @read_transaction
    def get(self, connection: Connection, name: str) -> RegisteredModel:
        """A model by its exact name.

        Raises:
            ModelNotFoundError: no such model.
        """
        return read_models(connection, [require_model(connection, name)])[0]

    @single_query
    def require(self, connection: Connection, name: str) -> None:
        """Pass if there is a model of that name.

        Raises:
            ModelNotFoundError: no such model.
        """
        require_model(connection, name)

    @write_transaction
    def rename(self, connection: Connection, name: str, new_name: str, *, reason: str | None = None) -> RegisteredModel:
        """Give a model another name; versions, aliases and history follow.

        Raises:
            AlreadyExistsError: another model has the new name or a twin of it.
        """
        try:
            with self.locked(connection, name) as ledger:
                if new_name != name:
                    twin = _find_colliding_name(connection, new_name)
                    if twin is not None and twin != name:
                        raise name_is_taken(connection, new_name)
                    ledger.record(EventKind.RENAMED, before=name, after=new_name, reason=reason)
                    ledger.change(name=new_name, name_key=casefold_name(new_name))
        except ConstraintError:
            # Another transaction took the name after it was looked up.
            raise AlreadyExistsError(f"Registered Model (name={new_name}) already exists.") from None
        return read_models(connection, [require_model(connection, new_name)])[0]

    @write_transaction
    def update(
        self, connection: Connection, name: str, *, description: str | None, reason: str | None = None
    ) -> RegisteredModel:
        """Set the description; None leaves it as it is."""
        with self.locked(connection, name) as ledger:
            if description is not None and description != ledger.row.description:
                ledger.record(
                    EventKind.UPDATED,
                    before=ledger.row.description,
                    after=description,
                    reason=reason,
                    details={"field": "description"},
                )
                ledger.change(description=description)
        return read_models(connection, [require_model(connection, name)])[0]

    @write_transaction
    def delete(self, connection: Connection, name: str, *, force: bool = False, reason: str | None = None) -> None:
        """Delete a model and its versions; its history stays readable and its name becomes free.

        Raises:
            InUseError: a version holds Staging or Production and `force` is False.
        """
        with self.locked(connection, name) as ledger:
            held = _held_stages(connection, ledger.key)
            if held and not force:
                raise InUseError(
                    f"The model {name!r} has versions in use: {held}. Move them to Archived first, or delete with "
                    "force=True."
                )
            now = monotonic_now_ms(connection)
            event = ledger.record(EventKind.DELETED, before=name, reason=reason, details={"force": force})
            living_versions = (ModelVersionRow.model_id == ledger.key) & ModelVersionRow.deleted_time.is_(None)
            connection.execute(delete(ModelAliasRow).where(ModelAliasRow.model_id == ledger.key))
            connection.execute(
                update(ModelVersionRow).where(living_versions).values(current_stage="None", deleted_time=now)
            )
            open_periods = (StagePeriodRow.model_id == ledger.key) & StagePeriodRow.until.is_(None)
            connection.execute(update(StagePeriodRow).where(open_periods).values(until=event.time_us))
            ledger.change(deleted_time=now)

    @write_transaction
    def set_tag(self, connection: Connection, name: str, key: str, value: str, *, reason: str | None = None) -> None:
        """Set a label."""
        with self.locked(connection, name) as ledger:
            before = _find_tag(connection, ledger.key, key)
            if before != value:
                ledger.record(EventKind.TAG_SET, before=before, after=value, reason=reason, details={"key": key})
                upsert(connection, RegisteredModelTagRow, [{"model_id": ledger.key, "key": key, "value": value}])

    @write_transaction
    def delete_tag(self, connection: Connection, name: str, key: str, *, reason: str | None = None) -> None:
        """Remove a label; nothing happens if there is none, as in MLflow."""
        with self.locked(connection, name) as ledger:
            before = _find_tag(connection, ledger.key, key)
            if before is not None:
                ledger.record(EventKind.TAG_DELETED, before=before, reason=reason, details={"key": key})
                gone = (RegisteredModelTagRow.model_id == ledger.key) & (RegisteredModelTagRow.key == key)
                connection.execute(delete(RegisteredModelTagRow).where(gone))


def insert_model(
    connection: Connection,
    name: str,
    actor: str,
    *,
    description: str | None = None,
    tags: Mapping[str, str] | None = None,
    reason: str | None = None,
) -> bool:
    """Make a model and its first event; False if the name or a twin of it is taken."""
    now = now_ms()
    values: dict[str, Any] = {
        "uid": uuid.uuid4().hex,
        "name": name,
        "name_key": casefold_name(name),
        "description": description,
        "creation_time": now,
        "last_update_time": now,
    }
    statement = insert_into(connection.dialect.name, RegisteredModelRow).on_conflict_do_nothing()
    if connection.execute(statement.returning(RegisteredModelRow.id), values).first() is None:
        return False
    with write_on_exit(LockedModel(connection, lock_model(connection, name), actor)) as ledger:
        details: dict[str, Any] = {} if description is None else {"description": description}
        ledger.record(EventKind.CREATED, after=name, reason=reason, details=details)
        for key, value in sorted((tags or {}).items()):
            ledger.record(EventKind.TAG_SET, after=value, details={"key": key})
        rows = [{"model_id": ledger.key, "key": key, "value": value} for key, value in (tags or {}).items()]
        upsert(connection, RegisteredModelTagRow, rows)
    return True


def name_is_taken(connection: Connection, name: str) -> AlreadyExistsError:
    """The error for a name that exists, or that only differs in case or width from one that does."""
    twin = _find_colliding_name(connection, name)
    if twin is None or twin == name:
        return AlreadyExistsError(f"Registered Model (name={name}) already exists.")
    return AlreadyExistsError(
        f"Registered Model (name={name}) cannot be told from the existing {twin!r}, which differs only in case or in "
        "the form of its characters; use that one, or another name."
    )


def check_name_collision(connection: Connection, name: str) -> None:
    """Stop if another living model's name differs only in case or width.

    Raises:
        AlreadyExistsError: there is one.
    """
    if _find_colliding_name(connection, name) not in (None, name):
        raise name_is_taken(connection, name)


def _find_colliding_name(connection: Connection, name: str) -> str | None:
    query = select(RegisteredModelRow.name).where(
        RegisteredModelRow.name_key == casefold_name(name), RegisteredModelRow.deleted_time.is_(None)
    )
    return connection.execute(query).scalar_one_or_none()


def _find_tag(connection: Connection, model_key: int, key: str) -> str | None:
    query = select(RegisteredModelTagRow.value).where(
        RegisteredModelTagRow.model_id == model_key, RegisteredModelTagRow.key == key
    )
    return connection.execute(query).scalar_one_or_none()


def _held_stages(connection: Connection, model_key: int) -> str:
    query = select(ModelVersionRow.current_stage, ModelVersionRow.version).where(
        ModelVersionRow.model_id == model_key, ModelVersionRow.current_stage.in_(ACTIVE_STAGES)
    )
    return ", ".join(f"{stage} (version {version})" for stage, version in connection.execute(query))
