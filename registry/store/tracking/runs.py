"""Runs in SQL: create, read, change and log to them.

Metric points are written by `metrics`, params and tags by `run_data`, data sets by `run_inputs`. Guarantees:
`log_batch` writes all of its metrics, params and tags, or none.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from sqlalchemy import Connection, bindparam, delete, func, select, update

from registry.entities import (
    DatasetInput,
    LifecycleStage,
    LoggedModelInput,
    LoggedModelOutput,
    Metric,
    Run,
    RunData,
    RunInfo,
    RunInputs,
    RunOutputs,
)
from registry.exceptions import (
    InvalidParameterError,
    InvalidStateError,
    NotFoundError,
    ParamConflictError,
    RunNotFoundError,
)
from registry.store.clock import monotonic_now_ms
from registry.store.compiled_statements import Compiled
from registry.store.dialects import AnyRow, AnySelect, table
from registry.store.long_lists import among
from registry.store.tables import ExperimentRow, ParamRow, RunRow, TagRow
from registry.store.tracking.experiments import active_location, experiment_key
from registry.store.tracking.metrics.bulk_write import append_series
from registry.store.tracking.metrics.read import insert_model_points, read_history
from registry.store.tracking.metrics.write import append_points
from registry.store.tracking.run_data import insert_params, insert_run, read_run_data, set_tags
from registry.store.tracking.run_inputs import insert_dataset_inputs, insert_run_models, read_inputs_and_outputs
from registry.store.transactions import Store, read_transaction, write_transaction

RUN_NAME_TAG = "mlflow.runName"


class RunStore(Store):
    """The runs of a database."""

    @write_transaction
    def create(
        self,
        connection: Connection,
        *,
        run_id: str,
        experiment_id: str,
        name: str,
        user_id: str,
        start_time: int,
        tags: Mapping[str, str],
    ) -> Run:
        """Create a run with status RUNNING in an active experiment."""
        experiment = experiment_key(experiment_id)
        all_tags = {**tags, RUN_NAME_TAG: name}
        location = insert_run(
            connection, run_id, experiment, name=name, user_id=user_id, start_time=start_time, tags=all_tags
        )
        if location is None:
            _, location = active_location(connection, experiment_id)
            raise InvalidStateError(f"The experiment {experiment_id} was restored during this call. Try again.")
        info = RunInfo(
            run_id=run_id,
            experiment_id=str(experiment),
            user_id=user_id,
            status="RUNNING",
            start_time=start_time,
            end_time=None,
            lifecycle_stage=LifecycleStage.ACTIVE,
            artifact_uri=run_location(location, run_id),
            run_name=name,
        )
        return Run(info, RunData(tags=dict(sorted(all_tags.items()))))

    @read_transaction
    def get(self, connection: Connection, run_id: str) -> Run:
        """Return a run by id, deleted ones included."""
        row = _BY_ID.first(connection, {"given_id": run_id})
        if row is None:
            raise _not_found(run_id)
        return read_runs(connection, [row])[0]

    @write_transaction
    def update(
        self,
        connection: Connection,
        run_id: str,
        *,
        status: str | None = None,
        end_time: int | None = None,
        name: str | None = None,
    ) -> None:
        """Change the status, end time (milliseconds) or name of an active run; None keeps a field."""
        values = {"given_id": run_id, "status": status, "end_time": end_time, "name": name}
        require_written(connection, run_id, written=_UPDATE.write(connection, values) == 1)
        if name is not None:
            set_tags(connection, run_id, {RUN_NAME_TAG: name})

    @write_transaction
    def delete(self, connection: Connection, run_id: str) -> None:
        """Mark a run as deleted; its child runs stay. Idempotent."""
        key, stage, _ = _find(connection, run_id)
        if stage == LifecycleStage.ACTIVE:
            values = {"lifecycle_stage": LifecycleStage.DELETED, "deleted_time": monotonic_now_ms(connection)}
            connection.execute(update(RunRow).where(RunRow.id == key).values(values))

    @write_transaction
    def restore(self, connection: Connection, run_id: str) -> None:
        """Restore a deleted run; raise InvalidStateError if gc removed its files and points."""
        key, _, _ = _find(connection, run_id)
        values = {"lifecycle_stage": LifecycleStage.ACTIVE, "deleted_time": None}
        # Check `purged_time` in the UPDATE itself: gc may purge the run between our SELECT and this statement.
        not_purged = (RunRow.id == key) & RunRow.purged_time.is_(None)
        if connection.execute(update(RunRow).where(not_purged).values(values)).rowcount == 0:
            raise InvalidStateError(f"The run {run_id} cannot be restored: its files and points were removed by gc.")

    @write_transaction
    def log_batch(
        self,
        connection: Connection,
        run_id: str,
        *,
        metrics: Sequence[Metric] = (),
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Append metric points, insert params and set tags: all or nothing.

        A point that names a logged model is also added to the metrics of that model.
        """
        if params:
            _insert_params(connection, run_id, params)
        if metrics:
            require_written(connection, run_id, written=append_points(connection, run_id, metrics))
            if any(metric.model_id is not None for metric in metrics):
                insert_model_points(connection, writable_run(connection, run_id), metrics)
        if tags:
            require_written(connection, run_id, written=set_tags(connection, run_id, tags))
            if RUN_NAME_TAG in tags:
                _UPDATE.write(connection, {**_UNCHANGED, "given_id": run_id, "name": tags[RUN_NAME_TAG]})
        if not (params or metrics or tags):
            writable_run(connection, run_id)

    @write_transaction
    def log_history(
        self,
        connection: Connection,
        run_id: str,
        key: str,
        *,
        steps: Sequence[int],
        timestamps: Sequence[int],
        values: Sequence[float],
    ) -> None:
        """Append points to one series: all or nothing."""
        if not steps:
            writable_run(connection, run_id)
            return
        written = append_series(connection, run_id, key, steps=steps, timestamps=timestamps, values=values)
        require_written(connection, run_id, written=written)

    @write_transaction
    def delete_tag(self, connection: Connection, run_id: str, name: str) -> None:
        """Delete a tag; raise NotFoundError if the run has no such tag."""
        key = writable_run(connection, run_id)
        deleted = connection.execute(delete(TagRow).where(TagRow.run_id == key, TagRow.key == name))
        if deleted.rowcount == 0:
            raise NotFoundError(f"No tag with name: {name} in run with id {run_id}.")

    @write_transaction
    def log_inputs(
        self,
        connection: Connection,
        run_id: str,
        *,
        datasets: Sequence[DatasetInput] = (),
        models: Sequence[LoggedModelInput] = (),
        outputs: Sequence[LoggedModelOutput] = (),
    ) -> None:
        """Record data sets and models that a run used, and models that it made."""
        key, experiment = writable_run_and_experiment(connection, run_id)
        insert_dataset_inputs(connection, experiment, key, datasets)
        insert_run_models(connection, key, "input", [(model.model_id, 0) for model in models])
        insert_run_models(connection, key, "output", [(model.model_id, model.step) for model in outputs])

    @read_transaction
    def metric_history(self, connection: Connection, run_id: str, key: str) -> list[Metric]:
        """Return all points of one metric, sorted by (timestamp, step, value); empty if it was never logged."""
        run_key, _, _ = _find(connection, run_id)
        return read_history(connection, run_key, key)


def run_location(artifact_location: str, run_id: str) -> str:
    """Return the artifact location of a run, below that of its experiment."""
    return f"{artifact_location.rstrip('/')}/{run_id}/artifacts"


def select_runs() -> AnySelect:
    """Return a query with all columns that `read_runs` needs."""
    return select(RunRow.__table__, ExperimentRow.artifact_location).join(ExperimentRow)


def read_runs(connection: Connection, rows: Iterable[AnyRow]) -> list[Run]:
    """Build runs with their data, inputs and outputs from rows of `select_runs`, in their order."""
    run_rows = list(rows)
    keys = [row.id for row in run_rows]
    if not keys:
        return []
    data, with_uses = read_run_data(connection, keys)
    inputs, outputs = read_inputs_and_outputs(connection, with_uses) if with_uses else ({}, {})
    return [
        Run(run_info(row), data[row.id], inputs.get(row.id, RunInputs()), outputs.get(row.id, RunOutputs()))
        for row in run_rows
    ]


def run_info(row: AnyRow) -> RunInfo:
    """Build the RunInfo of one row of `select_runs`."""
    return RunInfo(
        run_id=row.run_id,
        experiment_id=str(row.experiment_id),
        user_id=row.user_id,
        status=row.status,
        start_time=row.start_time,
        end_time=row.end_time,
        lifecycle_stage=row.lifecycle_stage,
        artifact_uri=run_location(row.artifact_location, row.run_id),
        run_name=row.name,
    )


def writable_run(connection: Connection, run_id: str) -> int:
    """Return the key of an active run, finished or not; raise InvalidParameterError if it is deleted."""
    key, _ = writable_run_and_experiment(connection, run_id)
    return key


_GIVEN: Final = RunRow.run_id == bindparam("given_id")
_BY_ID: Final = Compiled(select_runs().where(_GIVEN))
_FIND: Final = Compiled(select(RunRow.id, RunRow.lifecycle_stage, RunRow.experiment_id).where(_GIVEN))
# NULL keeps a field.
_UNCHANGED: Final = {"status": None, "end_time": None, "name": None}
_CHANGEABLE: Final = tuple(table(RunRow).c[name] for name in _UNCHANGED)
_UPDATE: Final = Compiled(
    update(RunRow)
    .where(_GIVEN, RunRow.lifecycle_stage == LifecycleStage.ACTIVE)
    .values({column: func.coalesce(bindparam(column.name, type_=column.type), column) for column in _CHANGEABLE})
)


def writable_run_and_experiment(connection: Connection, run_id: str) -> tuple[int, int]:
    """Return the keys of an active run and of its experiment."""
    key, stage, experiment = _find(connection, run_id)
    if stage != LifecycleStage.ACTIVE:
        raise InvalidParameterError(
            f"The run {run_id} must be in the 'active' state. Current state is {stage}; restore it with restore_run."
        )
    return key, experiment


def _find(connection: Connection, run_id: str) -> tuple[int, str, int]:
    row = _FIND.first(connection, {"given_id": run_id})
    if row is None:
        raise _not_found(run_id)
    return row.id, row.lifecycle_stage, row.experiment_id


def _not_found(run_id: str) -> RunNotFoundError:
    return RunNotFoundError(f"Run with id={run_id} not found")


def require_written(connection: Connection, run_id: str, *, written: bool) -> None:
    """Raise the reason why a statement did not find its active run, unless it was written."""
    if not written:
        writable_run(connection, run_id)
        raise InvalidStateError(f"The run {run_id} was deleted and restored during this call. Try again.")


def _insert_params(connection: Connection, run_id: str, params: Mapping[str, str]) -> None:
    written = insert_params(connection, run_id, params)
    if len(written) == len(params):
        return
    key = writable_run(connection, run_id)
    existing = select(ParamRow.key, ParamRow.value).where(
        ParamRow.run_id == key, among(ParamRow.key, set(params) - written, connection.dialect.name)
    )
    changed = [(name, old, params[name]) for name, old in connection.execute(existing) if old != params[name]]
    if changed:
        raise ParamConflictError(_conflict_message(run_id, changed, is_single=len(params) == 1))


def _conflict_message(run_id: str, changed: list[tuple[str, str, str]], *, is_single: bool) -> str:
    if is_single:
        ((name, old, new),) = changed
        return (
            f"Changing param values is not allowed. Param with key='{name}' was already logged with value='{old}' for "
            f"run ID='{run_id}'. Attempted logging new value '{new}'."
        )
    listed = [{"key": name, "old_value": old, "new_value": new} for name, old, new in changed]
    return f"Changing param values is not allowed. Params were already logged='{listed}' for run ID='{run_id}'."
