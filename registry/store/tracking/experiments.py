"""Experiments in SQL: groups of runs with a common artifact location.

Guarantees: a name belongs to one experiment, deleted ones included, as in MLflow, until gc has purged the experiment.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from sqlalchemy import Connection, bindparam, delete, func, select, text, update

from registry.entities import Experiment, LifecycleStage
from registry.entities.experiment import DEFAULT_EXPERIMENT_ID, DEFAULT_EXPERIMENT_NAME
from registry.exceptions import (
    AlreadyExistsError,
    ExperimentNotFoundError,
    InvalidParameterError,
    InvalidStateError,
    NotFoundError,
)
from registry.store.clock import monotonic_now_ms, now_ms
from registry.store.dialects import AnyRow, insert_into, upsert
from registry.store.long_lists import among
from registry.store.ownership import relocate_ownership
from registry.store.tables import ExperimentRow, ExperimentTagRow, RegistryIdRow, RunRow
from registry.store.transactions import Store, read_transaction, write_transaction

_MAX_LISTED = 5
# A purged experiment remains as a row for the deleted versions that refer to it; every other query hides it.
_IS_KEPT: Final = ExperimentRow.purged_time.is_(None)


def experiment_key(experiment_id: object) -> int:
    """Convert a public experiment id to its integer key; raise InvalidParameterError if it is not an integer."""
    text = str(experiment_id)
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise InvalidParameterError(f"Invalid experiment ID: {experiment_id!r}. It is an integer, such as '0'.")
    return int(text)


class ExperimentStore(Store):
    """The experiments of a database."""

    @read_transaction
    def get(self, connection: Connection, experiment_id: str) -> Experiment:
        """Return an experiment by id, deleted ones included."""
        row = _require(connection, experiment_key(experiment_id))
        return read_experiments(connection, [row])[0]

    @read_transaction
    def find_by_name(self, connection: Connection, name: str) -> Experiment | None:
        """Return an experiment by name, deleted ones included, or None."""
        query = select(ExperimentRow.__table__).where(ExperimentRow.name == name, _IS_KEPT)
        row = connection.execute(query).one_or_none()
        return read_experiments(connection, [row])[0] if row else None

    @write_transaction
    def create(
        self,
        connection: Connection,
        name: str,
        *,
        artifact_root: str,
        artifact_location: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> str:
        """Create an experiment and return its id. The default location is ``<artifact_root>/<id>``."""
        taken = connection.execute(
            select(ExperimentRow.id, ExperimentRow.lifecycle_stage).where(ExperimentRow.name == name, _IS_KEPT)
        ).one_or_none()
        key = None if taken else _insert(connection, None, name, artifact_root, artifact_location)
        if key is None:
            deleted = taken is not None and taken.lifecycle_stage == LifecycleStage.DELETED
            hint = " It is deleted; restore it with restore_experiment." if deleted else ""
            raise AlreadyExistsError(f"Experiment(name={name}) already exists.{hint}")
        _set_tags(connection, key, tags or {})
        return str(key)

    @read_transaction
    def registry_id(self, connection: Connection) -> str:
        """Return the UUID that this database got when it was created."""
        return connection.execute(select(RegistryIdRow.id)).scalar_one()

    def ensure_default(self, *, artifact_root: str) -> None:
        """Create experiment ``0`` named Default if it is missing. Read first: a read-only role cannot insert."""
        if not self._has_default():
            self._insert_default(artifact_root)

    @read_transaction
    def _has_default(self, connection: Connection) -> bool:
        query = select(ExperimentRow.id).where(ExperimentRow.id == int(DEFAULT_EXPERIMENT_ID))
        return connection.execute(query).first() is not None

    @write_transaction
    def _insert_default(self, connection: Connection, artifact_root: str) -> None:
        _insert(connection, int(DEFAULT_EXPERIMENT_ID), DEFAULT_EXPERIMENT_NAME, artifact_root, None)

    @write_transaction
    def rename(self, connection: Connection, experiment_id: str, new_name: str) -> None:
        """Rename an active experiment."""
        row = _require_active(connection, experiment_id)
        taken = select(ExperimentRow.id).where(ExperimentRow.name == new_name, ExperimentRow.id != row.id, _IS_KEPT)
        if connection.execute(taken).first():
            raise AlreadyExistsError(f"Experiment(name={new_name}) already exists.")
        _update(connection, row.id, name=new_name)

    @write_transaction
    def delete(self, connection: Connection, experiment_id: str) -> None:
        """Mark an experiment and its active runs as deleted."""
        key = experiment_key(experiment_id)
        if _require(connection, key).lifecycle_stage != LifecycleStage.ACTIVE:
            raise ExperimentNotFoundError(f"No active experiment with id={experiment_id}; it is deleted already.")
        # `restore` finds the runs deleted with the experiment by this time, so no other run may have it.
        latest_deletion = select(func.max(RunRow.deleted_time)).where(RunRow.experiment_id == key)
        now = max(monotonic_now_ms(connection), (connection.execute(latest_deletion).scalar_one() or 0) + 1)
        _update(connection, key, lifecycle_stage=LifecycleStage.DELETED, deleted_time=now)
        active = (RunRow.experiment_id == key) & (RunRow.lifecycle_stage == LifecycleStage.ACTIVE)
        connection.execute(
            update(RunRow).where(active).values(lifecycle_stage=LifecycleStage.DELETED, deleted_time=now)
        )

    @write_transaction
    def restore(self, connection: Connection, experiment_id: str) -> None:
        """Restore an experiment and the runs deleted with it, but no run deleted earlier or purged."""
        key = experiment_key(experiment_id)
        row = _require(connection, key)
        if row.lifecycle_stage != LifecycleStage.DELETED:
            raise ExperimentNotFoundError(f"No deleted experiment with id={experiment_id}; it is active.")
        _update(connection, key, lifecycle_stage=LifecycleStage.ACTIVE, deleted_time=None)
        deleted_together = (RunRow.experiment_id == key) & (RunRow.deleted_time == row.deleted_time)
        connection.execute(
            update(RunRow)
            .where(deleted_together, RunRow.purged_time.is_(None))
            .values(lifecycle_stage=LifecycleStage.ACTIVE, deleted_time=None)
        )

    @write_transaction
    def relocate(self, connection: Connection, old: str, new: str) -> int:
        """Replace the location prefix `old` (whole path segments) by `new` in all experiments; return how many changed.

        Deleted experiments change too.

        Raises:
            ExperimentNotFoundError: no experiment is at `old`; the message lists the locations.
        """
        below = _experiments_below(connection, old, lock=True)
        for key, location in below.items():
            _update(connection, key, artifact_location=new + location.removeprefix(old))
        relocate_ownership(connection, self.database, old, new)
        return len(below)

    @read_transaction
    def count_below(self, connection: Connection, location: str) -> int:
        """Return how many experiments keep their files at a location or below, deleted ones included.

        Raises:
            ExperimentNotFoundError: none does; the message lists the locations.
        """
        return len(_experiments_below(connection, location))

    @write_transaction
    def set_tags(self, connection: Connection, experiment_id: str, tags: Mapping[str, str]) -> None:
        """Set tags of an active experiment."""
        row = _require_active(connection, experiment_id)
        _set_tags(connection, row.id, tags)
        _update(connection, row.id)

    @write_transaction
    def delete_tag(self, connection: Connection, experiment_id: str, key: str) -> None:
        """Delete a tag of an active experiment; raise NotFoundError if it has no such tag."""
        row = _require_active(connection, experiment_id)
        tag = (ExperimentTagRow.experiment_id == row.id) & (ExperimentTagRow.key == key)
        if connection.execute(delete(ExperimentTagRow).where(tag)).rowcount == 0:
            raise NotFoundError(f"No tag with name: {key} in experiment with id {experiment_id}.")
        _update(connection, row.id)


def _experiments_below(connection: Connection, location: str, *, lock: bool = False) -> dict[int, str]:
    """Return the key and the location of each experiment at a location (whole path segments) or below."""
    query = select(ExperimentRow.id, ExperimentRow.artifact_location).order_by(ExperimentRow.id)
    rows = connection.execute(query.with_for_update() if lock else query).all()
    below = {row.id: row.artifact_location for row in rows if f"{row.artifact_location}/".startswith(f"{location}/")}
    if not below:
        locations = sorted({row.artifact_location for row in rows})
        more = "" if len(locations) <= _MAX_LISTED else f" and {len(locations) - _MAX_LISTED} more"
        listed = ", ".join(locations[:_MAX_LISTED])
        raise ExperimentNotFoundError(
            f"No experiment keeps its files at {location!r} or below. They are at: {listed}{more}."
        )
    return below


def read_experiments(connection: Connection, rows: Iterable[AnyRow]) -> list[Experiment]:
    """Build experiments with their tags from rows of `experiments`, in their order."""
    experiment_rows = list(rows)
    tags: dict[int, dict[str, str]] = {row.id: {} for row in experiment_rows}
    query = select(ExperimentTagRow.__table__).where(
        among(ExperimentTagRow.experiment_id, tags, connection.dialect.name)
    )
    for tag in connection.execute(query.order_by(ExperimentTagRow.key)) if tags else ():
        tags[tag.experiment_id][tag.key] = tag.value
    return [
        Experiment(
            experiment_id=str(row.id),
            name=row.name,
            artifact_location=row.artifact_location,
            lifecycle_stage=row.lifecycle_stage,
            tags=tags[row.id],
            creation_time=row.creation_time,
            last_update_time=row.last_update_time,
        )
        for row in experiment_rows
    ]


def active_location(connection: Connection, experiment_id: object) -> tuple[int, str]:
    """Return the key and artifact location of an experiment; raise InvalidParameterError if it is deleted."""
    row = _require(connection, experiment_key(experiment_id))
    if row.lifecycle_stage != LifecycleStage.ACTIVE:
        raise InvalidParameterError(
            f"The experiment {experiment_id} must be in the 'active' state. Current state is deleted; "
            "restore it with restore_experiment."
        )
    return row.id, row.artifact_location


def _insert(connection: Connection, key: int | None, name: str, root: str, location: str | None) -> int | None:
    """Insert an experiment and return its key, or None if its name or key is taken."""
    now = now_ms()
    if key is None and connection.dialect.name == "postgresql":
        # Draw the key first: the location contains it, and a role that may insert experiments may not update them.
        key = connection.execute(text("SELECT nextval(pg_get_serial_sequence('experiments', 'id'))")).scalar_one()
    default_location = "" if key is None else f"{root.rstrip('/')}/{key}"
    values = {
        "name": name,
        "artifact_location": location or default_location,
        "lifecycle_stage": LifecycleStage.ACTIVE,
        "creation_time": now,
        "last_update_time": now,
        **({} if key is None else {"id": key}),
    }
    statement = insert_into(connection.dialect.name, ExperimentRow).values(values).on_conflict_do_nothing()
    created = connection.execute(statement.returning(ExperimentRow.id)).scalar_one_or_none()
    if created is not None and not location and not default_location:
        own_row = update(ExperimentRow).where(ExperimentRow.id == created)
        connection.execute(own_row.values(artifact_location=f"{root.rstrip('/')}/{created}"))
    return created


_BY_KEY: Final = select(ExperimentRow.__table__).where(ExperimentRow.id == bindparam("given_key"), _IS_KEPT)


def _require(connection: Connection, key: int) -> AnyRow:
    row = connection.execute(_BY_KEY, {"given_key": key}).one_or_none()
    if row is None:
        raise ExperimentNotFoundError(f"No Experiment with id={key} exists")
    return row


def _require_active(connection: Connection, experiment_id: str) -> AnyRow:
    row = _require(connection, experiment_key(experiment_id))
    if row.lifecycle_stage != LifecycleStage.ACTIVE:
        raise InvalidStateError(f"The experiment {row.id} is deleted; restore it with restore_experiment.")
    return row


def _update(connection: Connection, key: int, **values: object) -> None:
    statement = update(ExperimentRow).where(ExperimentRow.id == key)
    connection.execute(statement.values(last_update_time=now_ms(), **values))


def _set_tags(connection: Connection, key: int, tags: Mapping[str, str]) -> None:
    values = [{"experiment_id": key, "key": name, "value": value} for name, value in tags.items()]
    upsert(connection, ExperimentTagRow, values)


__all__ = ["ExperimentStore", "active_location", "experiment_key", "now_ms", "read_experiments"]
