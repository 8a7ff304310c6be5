"""Insert runs of another registry under their original ids.

Run ids are random, so the same id means the same run. Guarantees: an import never changes an existing run. Whether an
existing run is the same is decided by what never changes: user, start time, and the params that both have.
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
    def check(
        self, connection: Connection, run: PortableRun, *, source: str = "the other registry", target: str = "this one"
    ) -> None:
        """Raise ConflictError if a different run has the id of this one; the error names source and target."""
        check_same_run(connection, run, source=source, target=target)


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
    insert_dataset_inputs(connection, experiment, key, dataset_inputs(run))


def check_same_run(
    connection: Connection, run: PortableRun, *, source: str = "the other registry", target: str = "this one"
) -> None:
    """Raise ConflictError if an existing run with this id differs in user, start time or a param that both have."""
    row = connection.execute(select(RunRow.__table__).where(RunRow.run_id == run.run_id)).one_or_none()
    if row is None:
        return
    params = connection.execute(select(ParamRow.key, ParamRow.value).where(ParamRow.run_id == row.id))
    pairs = [("the user", run.user_id, row.user_id), ("the start time", run.start_time, row.start_time)]
    pairs += [(f"the param {key!r}", run.params.get(key, value), value) for key, value in params]
    for what, given, existing in pairs:
        if given != existing:
            raise ConflictError(
                f"Two different runs have the id {run.run_id}: {what} is {given!r} in {source} and {existing!r} in "
                f"{target}. One registry cannot hold both: compare them, and leave one out."
            )


def dataset_inputs(run: PortableRun) -> list[DatasetInput]:
    """Return the data sets that a run used."""
    return [
        DatasetInput(
            Dataset(use.name, use.digest, use.source_type, use.source, use.schema, use.profile),
            [InputTag(key, value) for key, value in use.tags.items()],
        )
        for use in run.inputs
    ]
