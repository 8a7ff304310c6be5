"""Experiments in SQL: groups of runs with a common artifact location.

Guarantees: a name belongs to one experiment, deleted ones included, as in MLflow, until gc has purged the experiment.
"""

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from sqlalchemy import BigInteger, Connection, bindparam, delete, func, select, update

from registry.entities import Experiment, LifecycleStage
from registry.entities.experiment import DEFAULT_EXPERIMENT_ID, DEFAULT_EXPERIMENT_NAME
from registry.exceptions import (
    AlreadyExistsError,
    ExperimentNotFoundError,
    InvalidParameterError,
    InvalidStateError,
    NotFoundError,
)
from registry.store.adopted_places import AdoptedPlaces, find_adopted, relocate_adopted
from registry.store.clock import clock_statement, monotonic_now_ms, now_ms
from registry.store.compiled_statements import CheckedWrite, Compiled, first_row, first_value, named_rows
from registry.store.dialects import AnyRow, insert_into, table, upsert
from registry.store.driver_sql import Answer, Statement, end_with_next, run_all
from registry.store.long_lists import in_keys, keys_parameter
from registry.store.ownership import relocate_ownership
from registry.store.tables import ExperimentRow, ExperimentTagRow, RegistryIdRow, RunRow
from registry.store.tables.base import ID
from registry.store.transactions import Store, read_transaction, single_query, write_transaction

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
        key = experiment_key(experiment_id)
        end_with_next(connection)
        rows, tags = run_all(
            connection,
            _BY_KEY.statement(connection, {"given_key": key}),
            _tags_query(connection.dialect.name).statement(connection, keys_parameter(connection.dialect.name, [key])),
        )
        if not rows.rows:
            raise _missing(key)
        return _build_experiments(named_rows(rows), tags)[0]

    @read_transaction
    def find_by_name(self, connection: Connection, name: str) -> Experiment | None:
        """Return an experiment by name, deleted ones included, or None."""
        end_with_next(connection)
        queries = (_BY_NAME, _TAGS_BY_NAME)
        rows, tags = run_all(connection, *(query.statement(connection, {"given_name": name}) for query in queries))
        return _build_experiments(named_rows(rows), tags)[0] if rows.rows else None

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
        same_name = _BY_NAME.statement(connection, {"given_name": name})
        # Draw the key first: the location contains it, and a role that may insert experiments may not update them.
        drawn = Statement(_DRAW_KEY)
        run_all(connection, same_name, *([] if self.database.is_sqlite else [drawn]))
        taken = first_row(same_name)
        drawn_key = None if self.database.is_sqlite else first_value(drawn)
        key = None if taken else _insert(connection, drawn_key, name, artifact_root, artifact_location)
        if key is None:
            deleted = taken is not None and taken.lifecycle_stage == LifecycleStage.DELETED
            hint = " It is deleted; restore it with restore_experiment." if deleted else ""
            raise AlreadyExistsError(f"Experiment(name={name}) already exists.{hint}")
        _set_tags(connection, key, tags or {})
        return str(key)

    @single_query
    def registry_id(self, connection: Connection) -> str:
        """Return the UUID that this database got when it was created."""
        return connection.execute(select(RegistryIdRow.id)).scalar_one()

    def ensure_default(self, *, artifact_root: str) -> None:
        """Create experiment ``0`` named Default if it is missing. Read first: a read-only role cannot insert."""
        if not self._has_default():
            self._insert_default(artifact_root)

    @single_query
    def _has_default(self, connection: Connection) -> bool:
        query = select(ExperimentRow.id).where(ExperimentRow.id == int(DEFAULT_EXPERIMENT_ID))
        return connection.execute(query).first() is not None

    @write_transaction
    def _insert_default(self, connection: Connection, artifact_root: str) -> None:
        _insert(connection, int(DEFAULT_EXPERIMENT_ID), DEFAULT_EXPERIMENT_NAME, artifact_root, None)

    @write_transaction
    def rename(self, connection: Connection, experiment_id: str, new_name: str) -> None:
        """Rename an active experiment."""
        same_name = _BY_NAME.statement(connection, {"given_name": new_name})
        row = _require_active(connection, experiment_id, same_name)
        holder = first_row(same_name)
        if holder is not None and holder.id != row.id:
            raise AlreadyExistsError(f"Experiment(name={new_name}) already exists.")
        _update(connection, row.id, name=new_name)

    @write_transaction
    def delete(self, connection: Connection, experiment_id: str) -> None:
        """Mark an experiment and its active runs as deleted."""
        key = experiment_key(experiment_id)
        latest_deletion, clock = _LATEST_DELETION.statement(connection, {"given_key": key}), clock_statement(connection)
        if _require(connection, key, latest_deletion, clock).lifecycle_stage != LifecycleStage.ACTIVE:
            raise ExperimentNotFoundError(f"No active experiment with id={experiment_id}; it is deleted already.")
        # `restore` finds the runs deleted with the experiment by this time, so no other run may have it.
        now = max(monotonic_now_ms(connection, clock), (first_value(latest_deletion) or 0) + 1)
        _update(connection, key, lifecycle_stage=LifecycleStage.DELETED, deleted_time=now)
        _DELETE_RUNS.send(connection, {"given_key": key, "given_time": now})

    @write_transaction
    def restore(self, connection: Connection, experiment_id: str) -> None:
        """Restore an experiment and the runs deleted with it, but no run deleted earlier or purged."""
        key = experiment_key(experiment_id)
        row = _require(connection, key)
        if row.lifecycle_stage != LifecycleStage.DELETED:
            raise ExperimentNotFoundError(f"No deleted experiment with id={experiment_id}; it is active.")
        _update(connection, key, lifecycle_stage=LifecycleStage.ACTIVE, deleted_time=None)
        _RESTORE_RUNS.send(connection, {"given_key": key, "given_time": row.deleted_time})

    @write_transaction
    def relocate(self, connection: Connection, old: str, new: str) -> int:
        """Replace the location prefix `old` (whole path segments) by `new` in all experiments; return how many changed.

        Deleted experiments change too, and so do the places of adopted files.

        Raises:
            ExperimentNotFoundError: no experiment and no adopted file is at `old`; the message lists the locations.
        """
        below = _experiments_below(connection, old, lock=True)
        for key, location in below.items():
            _update(connection, key, artifact_location=new + location.removeprefix(old))
        relocate_ownership(connection, self.database, old, new)
        relocate_adopted(connection, old, new)
        return len(below)

    @read_transaction
    def below(self, connection: Connection, location: str) -> tuple[int, AdoptedPlaces]:
        """Return how many experiments keep their files at a location or below, and what was adopted there.

        Deleted experiments are included.

        Raises:
            ExperimentNotFoundError: nothing is there; the message lists the locations of the experiments.
        """
        return len(_experiments_below(connection, location)), find_adopted(connection, location)

    def set_tags(self, experiment_id: str, tags: Mapping[str, str]) -> None:
        """Set tags of an active experiment."""
        key = experiment_key(experiment_id)
        self.write_or_explain(
            lambda: self._set_tags(key, tags), lambda: self._check_active(experiment_id), f"experiment {key}"
        )

    @write_transaction
    def _set_tags(self, connection: Connection, key: int, tags: Mapping[str, str]) -> None:
        _TOUCH.send(connection, {"experiment_key": key, "now": now_ms()})
        _set_tags(connection, key, tags)

    def delete_tag(self, experiment_id: str, name: str) -> None:
        """Delete a tag of an active experiment; raise NotFoundError if it has no such tag."""
        key = experiment_key(experiment_id)
        self.write_or_explain(
            lambda: self._delete_tag(key, name), lambda: self._check_active(experiment_id, name), f"experiment {key}"
        )

    @write_transaction
    def _delete_tag(self, connection: Connection, key: int, name: str) -> None:
        _TOUCH.send(connection, {"experiment_key": key, "now": now_ms()})
        _DELETE_TAG.send(connection, {"experiment_key": key, "name": name})

    @read_transaction
    def _check_active(self, connection: Connection, experiment_id: str, tag: str | None = None) -> None:
        """Raise the reason why tags of an experiment cannot be changed, or the tag not deleted, if there is one."""
        row = _require_active(connection, experiment_id)
        if tag is not None:
            has_tag = (ExperimentTagRow.experiment_id == row.id) & (ExperimentTagRow.key == tag)
            if connection.execute(select(ExperimentTagRow.key).where(has_tag)).first() is None:
                raise NotFoundError(f"No tag with name: {tag} in experiment with id {experiment_id}.")


def _experiments_below(connection: Connection, location: str, *, lock: bool = False) -> dict[int, str]:
    """Return the key and the location of each experiment at a location (whole path segments) or below."""
    query = select(ExperimentRow.id, ExperimentRow.artifact_location).order_by(ExperimentRow.id)
    rows = connection.execute(query.with_for_update() if lock else query).all()
    below = {row.id: row.artifact_location for row in rows if f"{row.artifact_location}/".startswith(f"{location}/")}
    if not below and not any(find_adopted(connection, location)[:2]):
        locations = sorted({row.artifact_location for row in rows})
        more = "" if len(locations) <= _MAX_LISTED else f" and {len(locations) - _MAX_LISTED} more"
        listed = ", ".join(locations[:_MAX_LISTED])
        raise ExperimentNotFoundError(
            f"No experiment keeps its files at {location!r} or below. They are at: {listed}{more}."
        )
    return below


def read_experiments(connection: Connection, rows: Iterable[AnyRow]) -> list[Experiment]:
    """Build experiments with their tags from rows of `experiments`, in their order; one round trip."""
    experiment_rows = list(rows)
    dialect = connection.dialect.name
    parameter = keys_parameter(dialect, [row.id for row in experiment_rows])
    (tags,) = run_all(connection, _tags_query(dialect).statement(connection, parameter))
    return _build_experiments(experiment_rows, tags)


def _build_experiments(rows: Sequence[AnyRow], tag_rows: Answer) -> list[Experiment]:
    tags: dict[int, dict[str, str]] = {row.id: {} for row in rows}
    for tag in named_rows(tag_rows):
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
        for row in rows
    ]


def active_location(connection: Connection, experiment_id: object) -> tuple[int, str]:
    """Return the key and artifact location of an experiment; raise InvalidParameterError if it is deleted."""
    run_all(connection, found := experiment_statement(connection, experiment_id))
    return check_active(found, experiment_id)


def check_active(found: Statement, experiment_id: object) -> tuple[int, str]:
    """Return the key and artifact location of the experiment that `experiment_statement` found, if it is active.

    Raises:
        ExperimentNotFoundError: There is none.
        InvalidParameterError: It is deleted.
    """
    row = first_row(found)
    if row is None:
        raise _missing(experiment_key(experiment_id))
    if row.lifecycle_stage != LifecycleStage.ACTIVE:
        raise InvalidParameterError(
            f"The experiment {experiment_id} must be in the 'active' state. Current state is deleted; "
            "restore it with restore_experiment."
        )
    return row.id, row.artifact_location


def _insert(connection: Connection, key: int | None, name: str, root: str, location: str | None) -> int | None:
    """Insert an experiment and return its key, or None if its name or key is taken."""
    now = now_ms()
    default_location = "" if key is None else f"{root.rstrip('/')}/{key}"
    values = {
        "name": name,
        "artifact_location": location or default_location,
        "lifecycle_stage": LifecycleStage.ACTIVE,
        "creation_time": now,
        "last_update_time": now,
        **({} if key is None else {"id": key}),
    }
    created: int | None = _insert_statement(connection.dialect.name).value(connection, values)
    if created is not None and not location and not default_location:
        _UPDATE.send(connection, {"experiment_key": created, "artifact_location": f"{root.rstrip('/')}/{created}"})
    return created


@functools.cache
def _insert_statement(dialect: str) -> Compiled:
    return Compiled(insert_into(dialect, ExperimentRow).on_conflict_do_nothing().returning(ExperimentRow.id))


_OF_EXPERIMENT: Final = RunRow.experiment_id == bindparam("given_key", type_=ID)
_LATEST_DELETION: Final = Compiled(select(func.max(RunRow.deleted_time)).where(_OF_EXPERIMENT))
_DELETE_RUNS: Final = Compiled(
    update(RunRow)
    .where(_OF_EXPERIMENT, RunRow.lifecycle_stage == LifecycleStage.ACTIVE)
    .values(lifecycle_stage=LifecycleStage.DELETED, deleted_time=bindparam("given_time", type_=BigInteger))
)
_RESTORE_RUNS: Final = Compiled(
    update(RunRow)
    .where(
        _OF_EXPERIMENT,
        RunRow.deleted_time == bindparam("given_time", type_=BigInteger),
        RunRow.purged_time.is_(None),
    )
    .values(lifecycle_stage=LifecycleStage.ACTIVE, deleted_time=None)
)
_DRAW_KEY: Final = "SELECT nextval(pg_get_serial_sequence('experiments', 'id'))"


_BY_KEY: Final = Compiled(select(ExperimentRow.__table__).where(ExperimentRow.id == bindparam("given_key"), _IS_KEPT))
_BY_NAME: Final = Compiled(
    select(ExperimentRow.__table__).where(ExperimentRow.name == bindparam("given_name"), _IS_KEPT)
)
_TAGS: Final = select(ExperimentTagRow.__table__).order_by(ExperimentTagRow.key)
_TAGS_BY_NAME: Final = Compiled(
    _TAGS.join(ExperimentRow, ExperimentRow.id == ExperimentTagRow.experiment_id).where(
        ExperimentRow.name == bindparam("given_name"), _IS_KEPT
    )
)


@functools.cache
def _tags_query(dialect: str) -> Compiled:
    return Compiled(_TAGS.where(in_keys(dialect, table(ExperimentTagRow).c.experiment_id)))


def experiment_statement(connection: Connection, experiment_id: object) -> Statement:
    """Return the query of an experiment, for `check_active`."""
    return _BY_KEY.statement(connection, {"given_key": experiment_key(experiment_id)})


def _require(connection: Connection, key: int, *others: Statement) -> AnyRow:
    """Return the row of an experiment; other statements travel with its query."""
    run_all(connection, found := _BY_KEY.statement(connection, {"given_key": key}), *others)
    row = first_row(found)
    if row is None:
        raise _missing(key)
    return row


def _missing(key: int) -> ExperimentNotFoundError:
    return ExperimentNotFoundError(f"No Experiment with id={key} exists")


def _require_active(connection: Connection, experiment_id: str, *others: Statement) -> AnyRow:
    row = _require(connection, experiment_key(experiment_id), *others)
    if row.lifecycle_stage != LifecycleStage.ACTIVE:
        raise InvalidStateError(f"The experiment {row.id} is deleted; restore it with restore_experiment.")
    return row


def _update(connection: Connection, key: int, **values: object) -> None:
    _UPDATE.send(connection, {"experiment_key": key, "last_update_time": now_ms(), **values})


_THIS: Final = table(ExperimentRow).c.id == bindparam("experiment_key")
_UPDATE: Final = Compiled(update(table(ExperimentRow)).where(_THIS))
_TOUCH: Final = CheckedWrite(
    update(table(ExperimentRow))
    .where(_THIS, ExperimentRow.lifecycle_stage == LifecycleStage.ACTIVE, _IS_KEPT)
    .values(last_update_time=bindparam("now"))
)
_DELETE_TAG: Final = CheckedWrite(
    delete(ExperimentTagRow).where(
        ExperimentTagRow.experiment_id == bindparam("experiment_key"), ExperimentTagRow.key == bindparam("name")
    )
)


def _set_tags(connection: Connection, key: int, tags: Mapping[str, str]) -> None:
    values = [{"experiment_id": key, "key": name, "value": value} for name, value in tags.items()]
    upsert(connection, ExperimentTagRow, values)


__all__ = ["ExperimentStore", "active_location", "experiment_key", "now_ms", "read_experiments"]
