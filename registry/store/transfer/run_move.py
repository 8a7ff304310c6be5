"""Move runs to another experiment of the same registry; the caller copies their files.

Guarantees: a run is in one experiment at every moment, with all of its files. Files that a crash leaves at the new
place are named by an upload, so gc finds them after its grace period; those at the old place are removed by gc.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select, update

from registry.entities import LifecycleStage, RunStatus
from registry.exceptions import InvalidStateError, RunNotFoundError, UploadExpiredError
from registry.store.clock import monotonic_now_ms
from registry.store.dialects import AnyRow, table
from registry.store.driver_sql import run_all
from registry.store.long_lists import keys_parameter
from registry.store.tables import DatasetInputRow, ExperimentRow, LatestMetricRow, RemovalRow, RunRow, TagRow, UploadRow
from registry.store.tracking.experiments import active_location
from registry.store.tracking.run_inputs import (
    group_inputs_and_outputs,
    inputs_and_outputs_queries,
    insert_dataset_inputs,
)
from registry.store.tracking.run_read import run_location
from registry.store.transactions import Store, write_transaction
from registry.store.transfer.run_import import ORIGIN_TAG


@dataclass(frozen=True, slots=True)
class Move:
    """A move that has begun: where the files are, and where they must be before it is finished."""

    run_id: str
    old: str
    new: str

    @property
    def is_needed(self) -> bool:
        """Tell whether the files must be copied at all."""
        return self.old != self.new


class RunMoveStore(Store):
    """Moves runs between experiments."""

    @write_transaction
    def begin(self, connection: Connection, run_id: str, experiment_id: str, upload_id: str) -> Move | None:
        """Note where the files of a run go; return None if it is in the experiment already.

        Raises:
            InvalidStateError: The run is not finished, or deleted: who logs to it would not know its new place.
            RunNotFoundError: There is no such run.
        """
        row = _lock(connection, run_id)
        experiment, root = active_location(connection, experiment_id)
        if row.experiment_id == experiment:
            return None
        if row.lifecycle_stage != LifecycleStage.ACTIVE or not RunStatus.is_terminated(row.status):
            state = "deleted" if row.lifecycle_stage != LifecycleStage.ACTIVE else row.status
            raise InvalidStateError(f"The run {run_id} is {state}; only a run that has ended is moved. End it first.")
        move = Move(
            run_id,
            run_location(row.artifact_location, run_id, row.adopted_location),
            run_location(root, run_id, row.adopted_location),
        )
        if move.is_needed:
            location = run_location("", run_id).lstrip("/")
            waits = (RemovalRow.experiment_id == experiment) & (RemovalRow.location == location)
            if connection.execute(select(RemovalRow.id).where(waits)).first() is not None:
                raise InvalidStateError(
                    f"Older files of the run {run_id} wait at {move.new} for gc. Run 'registry gc --apply' first."
                )
            values = {
                "model_id": upload_id,
                "experiment_id": experiment,
                "location": location,
                "started": monotonic_now_ms(connection),
            }
            connection.execute(insert(table(UploadRow)), values)
        return move

    @write_transaction
    def finish(self, connection: Connection, move: Move, experiment_id: str) -> None:
        """Make the run one of the experiment, whose place has its files by now.

        Raises:
            UploadExpiredError: gc removed the files, as copying them took longer than its grace period.
        """
        row = _lock(connection, move.run_id)
        experiment, _ = active_location(connection, experiment_id)
        if row.experiment_id == experiment:
            return  # another process has moved it
        location = run_location("", move.run_id).lstrip("/")
        ours = (UploadRow.experiment_id == experiment) & (UploadRow.location == location)
        if connection.execute(delete(UploadRow).where(ours)).rowcount == 0 and move.is_needed:
            raise UploadExpiredError(
                f"Moving the run {move.run_id} took longer than gc's grace period, and gc removed the copied files. "
                "Move it again, and give gc a longer grace period (--grace)."
            )
        queries = inputs_and_outputs_queries(connection.dialect.name)
        keys = keys_parameter(connection.dialect.name, [row.id])
        answers = run_all(connection, *(query.statement(connection, keys) for query in queries))
        inputs, _ = group_inputs_and_outputs(answers, [row.id])
        connection.execute(delete(DatasetInputRow).where(DatasetInputRow.run_id == row.id))
        insert_dataset_inputs(connection, experiment, row.id, inputs[row.id].dataset_inputs)
        connection.execute(update(RunRow).where(RunRow.id == row.id).values(experiment_id=experiment))
        series = update(LatestMetricRow).where(LatestMetricRow.run_id == row.id)
        connection.execute(series.values(experiment_id=experiment))
        imported = select(TagRow.run_id).where(TagRow.run_id == row.id, TagRow.key == ORIGIN_TAG)
        if move.is_needed and connection.execute(imported).first() is None:  # else they may be another registry's files
            removal = {
                "experiment_id": row.experiment_id,
                "location": location,
                "since": monotonic_now_ms(connection),
            }
            connection.execute(insert(table(RemovalRow)), removal)


def _lock(connection: Connection, run_id: str) -> AnyRow:
    query = (
        select(
            RunRow.id,
            RunRow.experiment_id,
            RunRow.status,
            RunRow.lifecycle_stage,
            RunRow.adopted_location,
            ExperimentRow.artifact_location,
        )
        .join(ExperimentRow, ExperimentRow.id == RunRow.experiment_id)
        .where(RunRow.run_id == run_id)
    )
    row = connection.execute(query.with_for_update(of=RunRow)).one_or_none()
    if row is None:
        raise RunNotFoundError(f"Run with id={run_id} not found")
    return row
