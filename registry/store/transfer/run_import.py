"""Insert runs of another registry under their original ids.

Run ids are random, so the same id means the same run. Guarantees: an import never changes an existing run. Whether an
existing run is the same is decided by its immutable fields: user, start time and params.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, insert, select

from registry.entities import Dataset, DatasetInput, InputTag, LifecycleStage, Metric
from registry.entities.portable_model import PortableRun
from registry.exceptions import ConflictError
from registry.store.dialects import insert_into, table, upsert
from registry.store.tables import ParamRow, RunRow, TagRow
from registry.store.tracking.experiments import active_location
from registry.store.tracking.metrics.write import append_points
from registry.store.tracking.run_inputs import insert_dataset_inputs
from registry.store.transactions import Store, read_transaction, write_transaction

ORIGIN_TAG: Final = "registry.origin"
"""The tag with the id of the registry in which a run was created."""

Points = Callable[[], Iterable[list[Metric]]]
"""A function that yields the points of a run in batches; called once per attempt to write them."""


@dataclass(frozen=True, slots=True)
class ImportedRun:
    """A run to insert, with its target experiment and its points."""

    run: PortableRun
    experiment_id: str
    registry_id: str
    points: Points


class RunImportStore(Store):
    """Writer of imported runs."""

    @write_transaction
    def insert(self, connection: Connection, imported: ImportedRun) -> None:
        """Insert the run unless it exists; raise ConflictError if a different run has its id."""
        insert_run(connection, imported)

    @read_transaction
    def is_deleted(self, connection: Connection, run_id: str) -> bool:
        """Tell whether the run exists and is deleted; a deleted run cannot get outputs."""
        query = select(RunRow.lifecycle_stage).where(RunRow.run_id == run_id)
        return connection.execute(query).scalar_one_or_none() == LifecycleStage.DELETED

    @read_transaction
    def check(self, connection: Connection, run: PortableRun) -> None:
        """Raise ConflictError if a different run has the id of this one."""
        check_same_run(connection, run)


def insert_run(connection: Connection, imported: ImportedRun) -> None:
    """Insert a run unless it exists.

    Raises:
        ConflictError: a different run has its id.
        InvalidParameterError: the target experiment is deleted.
    """
    run = imported.run
    experiment, _ = active_location(connection, imported.experiment_id)
    key = insert_run_row(connection, run, experiment)
    if key is None:
        check_same_run(connection, run)
        return
    insert_run_details(connection, run, experiment, key, {ORIGIN_TAG: imported.registry_id, **run.tags})
    for batch in imported.points():
        append_points(connection, run.run_id, batch)


def insert_run_row(connection: Connection, run: PortableRun, experiment: int) -> int | None:
    """Insert the row of an active run and return its key; return None if a run has its id."""
    values = {"run_id": run.run_id, **run_columns(run, experiment)}
    statement = insert_into(connection.dialect.name, RunRow).on_conflict_do_nothing().returning(RunRow.id)
    return connection.execute(statement, values).scalar_one_or_none()


def run_columns(run: PortableRun, experiment: int) -> dict[str, object]:
    """Return the columns of an imported run, except its id."""
    return {
        "experiment_id": experiment,
        "name": run.name,
        "user_id": run.user_id,
        "status": run.status,
        "start_time": run.start_time,
        "end_time": run.end_time,
        "lifecycle_stage": LifecycleStage.ACTIVE,
    }


def insert_run_details(
    connection: Connection, run: PortableRun, experiment: int, key: int, tags: Mapping[str, str]
) -> None:
    """Insert the params, tags and data sets of a run that has none yet."""
    if run.params:
        rows = [{"run_id": key, "key": name, "value": value} for name, value in run.params.items()]
        connection.execute(insert(table(ParamRow)), rows)
    upsert(connection, TagRow, [{"run_id": key, "key": name, "value": value} for name, value in tags.items()])
    insert_dataset_inputs(connection, experiment, key, _inputs(run))


def check_same_run(connection: Connection, run: PortableRun) -> None:
    """Raise ConflictError if an existing run with this id differs in user, start time or params."""
    row = connection.execute(select(RunRow.__table__).where(RunRow.run_id == run.run_id)).one_or_none()
    if row is None:
        return
    params = connection.execute(select(ParamRow.key, ParamRow.value).where(ParamRow.run_id == row.id))
    existing = (row.user_id, row.start_time, {param.key: param.value for param in params})
    if existing != (run.user_id, run.start_time, run.params):
        raise ConflictError(
            f"Another run with id {run.run_id} exists here: its user, start time or params differ. Compare the two "
            "runs; one registry cannot hold both."
        )


def _inputs(run: PortableRun) -> list[DatasetInput]:
    return [
        DatasetInput(
            Dataset(use.name, use.digest, use.source_type, use.source, use.schema, use.profile),
            [InputTag(key, value) for key, value in use.tags.items()],
        )
        for use in run.inputs
    ]
