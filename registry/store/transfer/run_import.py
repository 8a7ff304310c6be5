"""Runs that come from another registry, under the ids that they have there.

A run's id is random and nobody's name: the same id means the same run. Invariant: a run that is here already is never
changed by one that arrives; that it is the same is judged by what never changes of a run.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, insert, select

from registry.entities import Dataset, DatasetInput, InputTag, LifecycleStage, Metric
from registry.entities.portable import PortableRun
from registry.exceptions import ConflictError
from registry.store.dialects import insert_into, table, upsert
from registry.store.tables import ParamRow, RunRow, TagRow
from registry.store.tracking.experiments import active_location
from registry.store.tracking.metrics.write import append_points
from registry.store.tracking.run_inputs import insert_dataset_inputs
from registry.store.transactions import Store, read_transaction, write_transaction

ORIGIN_TAG: Final = "registry.origin"
"""The tag that says which registry a run was made in."""

Points = Callable[[], Iterable[list[Metric]]]
"""The points of a run in pieces; called once per attempt to write them."""


@dataclass(frozen=True, slots=True)
class ImportedRun:
    """A run with the experiment that it is to be in here, and its points."""

    run: PortableRun
    experiment_id: str
    registry_id: str
    points: Points


class RunImportStore(Store):
    """Takes runs in."""

    @write_transaction
    def take(self, connection: Connection, arriving: ImportedRun) -> None:
        """Make the run, or find that it is here.

        Raises:
            ConflictError: another run has its id.
        """
        insert_run(connection, arriving)

    @read_transaction
    def is_deleted(self, connection: Connection, run_id: str) -> bool:
        """Whether the run is here, but deleted: then nothing can become its output."""
        query = select(RunRow.lifecycle_stage).where(RunRow.run_id == run_id)
        return connection.execute(query).scalar_one_or_none() == LifecycleStage.DELETED

    @read_transaction
    def check(self, connection: Connection, run: PortableRun) -> None:
        """Pass if the run is here, or its id is free.

        Raises:
            ConflictError: another run has its id.
        """
        check_same_run(connection, run)


def insert_run(connection: Connection, arriving: ImportedRun) -> None:
    """Make a run that arrives, unless it is here.

    Raises:
        ConflictError: another run has its id.
        InvalidParameterError: its experiment is deleted.
    """
    run = arriving.run
    experiment, _ = active_location(connection, arriving.experiment_id)
    values = {
        "run_id": run.run_id,
        "experiment_id": experiment,
        "name": run.name,
        "user_id": run.user_id,
        "status": run.status,
        "start_time": run.start_time,
        "end_time": run.end_time,
        "lifecycle_stage": LifecycleStage.ACTIVE,
    }
    statement = insert_into(connection.dialect.name, RunRow).on_conflict_do_nothing().returning(RunRow.id)
    key = connection.execute(statement, values).scalar_one_or_none()
    if key is None:
        check_same_run(connection, run)
        return
    if run.params:
        rows = [{"run_id": key, "key": name, "value": value} for name, value in run.params.items()]
        connection.execute(insert(table(ParamRow)), rows)
    tags = {ORIGIN_TAG: arriving.registry_id, **run.tags}
    upsert(connection, TagRow, [{"run_id": key, "key": name, "value": value} for name, value in tags.items()])
    insert_dataset_inputs(connection, experiment, key, _inputs(run))
    for batch in arriving.points():
        append_points(connection, run.run_id, batch)


def check_same_run(connection: Connection, run: PortableRun) -> None:
    """Stop if the run that has this id here is another one.

    Raises:
        ConflictError: user, start time or params differ.
    """
    row = connection.execute(select(RunRow.__table__).where(RunRow.run_id == run.run_id)).one_or_none()
    if row is None:
        return
    found = connection.execute(select(ParamRow.key, ParamRow.value).where(ParamRow.run_id == row.id))
    here = (row.user_id, row.start_time, {param.key: param.value for param in found})
    if here != (run.user_id, run.start_time, run.params):
        raise ConflictError(
            f"The run {run.run_id} that is to come in is not the run of that id that is here: user, start time or "
            "params differ. Look at both; one registry cannot hold two runs of one id."
        )


def _inputs(run: PortableRun) -> list[DatasetInput]:
    return [
        DatasetInput(
            Dataset(used.name, used.digest, used.source_type, used.source, used.schema, used.profile),
            [InputTag(key, value) for key, value in used.tags.items()],
        )
        for used in run.inputs
    ]
