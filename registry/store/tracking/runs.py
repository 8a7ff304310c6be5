"""Runs in SQL: create, read, change and log to them.

Metric points are written by `metrics`, params and tags by `run_data`, data sets by `run_inputs`. Guarantees:
`log_batch` writes all of its metrics, params and tags, or none.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

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
)
from registry.exceptions import (
    InvalidParameterError,
    InvalidStateError,
    NotFoundError,
    ParamConflictError,
)
from registry.store.clock import clock_statement, monotonic_now_ms
from registry.store.compiled_statements import CheckedWrite, Compiled, first_row
from registry.store.dialects import table
from registry.store.driver_sql import Statement, end_with_next, run_all, send
from registry.store.error_mapping import ConditionFailedError
from registry.store.long_lists import among, keys_parameter
from registry.store.tables import ExperimentRow, ParamRow, RunRow, TagRow
from registry.store.tracking.experiments import active_location, experiment_key
from registry.store.tracking.metrics.bulk_write import append_series
from registry.store.tracking.metrics.read import history_statement, insert_model_points, model_key, points_of
from registry.store.tracking.metrics.write import append_points
from registry.store.tracking.run_data import (
    NewRun,
    delete_tag,
    insert_params,
    insert_run,
    log_params,
    log_tags,
    set_tags,
)
from registry.store.tracking.run_inputs import (
    insert_dataset_inputs,
    insert_run_models,
    models_statement,
)
from registry.store.tracking.run_read import RunFiles, read_files, read_parent, read_which, run_location, run_not_found
from registry.store.transactions import Store, read_transaction, single_query, write_transaction

RUN_NAME_TAG = "mlflow.runName"


class RunStore(Store):
    """The runs of a database."""

    def create(
        self,
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
        inserted = self._insert(NewRun(run_id, experiment, name, user_id, start_time, all_tags))
        if inserted.answer is None:  # it was lost, and the run is there if COMMIT took place
            location = self._find_location(run_id)
        else:
            location = inserted.rows[0][0] if inserted.rows else None
        if location is None:
            self._require_experiment(experiment_id)
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

    @write_transaction
    def _insert(self, connection: Connection, new: NewRun) -> Statement:
        return insert_run(connection, new)

    @single_query
    def _find_location(self, connection: Connection, run_id: str) -> str | None:
        return _LOCATION.value(connection, {"given_id": run_id})

    @read_transaction
    def _require_experiment(self, connection: Connection, experiment_id: str) -> None:
        active_location(connection, experiment_id)

    @read_transaction
    def get(self, connection: Connection, run_id: str) -> Run:
        """Return a run by id, deleted ones included."""
        runs = read_which(connection, "id", {"given_id": run_id})
        if not runs:
            raise run_not_found(run_id)
        return runs[0]

    @single_query
    def files(self, connection: Connection, run_id: str) -> RunFiles:
        """Return where the files of a run are, deleted runs included.

        Raises:
            RunNotFoundError: There is no such run.
        """
        return read_files(connection, run_id)

    @read_transaction
    def find_parent(self, connection: Connection, run_id: str) -> Run | None:
        """Return the run that the tag of a nested run names, deleted ones included; None without the tag.

        Raises:
            RunNotFoundError: There is no such run, or its parent is gone.
        """
        return read_parent(connection, run_id)

    @read_transaction
    def get_all(self, connection: Connection, run_ids: Sequence[str]) -> list[Run]:
        """Return runs by id in the given order, deleted ones included, read in one snapshot.

        Raises:
            RunNotFoundError: One does not exist.
        """
        read = read_which(connection, "ids", keys_parameter(connection.dialect.name, run_ids, "ids"))
        runs = {run.info.run_id: run for run in read}
        for run_id in run_ids:
            if run_id not in runs:
                raise run_not_found(run_id)
        return [runs[run_id] for run_id in run_ids]

    def update(
        self,
        run_id: str,
        *,
        status: str | None = None,
        end_time: int | None = None,
        name: str | None = None,
    ) -> None:
        """Change the status, end time (milliseconds) or name of an active run; None keeps a field."""
        values = {"given_id": run_id, "status": status, "end_time": end_time, "name": name}
        self._log(run_id, lambda: self._update(run_id, values))

    @write_transaction
    def _update(self, connection: Connection, run_id: str, values: Mapping[str, Any]) -> None:
        _UPDATE.send(connection, values)
        if values["name"] is not None:
            _set_tags(connection, run_id, {RUN_NAME_TAG: values["name"]})

    @write_transaction
    def delete(self, connection: Connection, run_id: str) -> None:
        """Mark a run as deleted; its child runs stay. Idempotent."""
        found, clock = _FIND.statement(connection, {"given_id": run_id}), clock_statement(connection)
        run_all(connection, found, clock)
        row = first_row(found)
        if row is None:
            raise run_not_found(run_id)
        if row.lifecycle_stage == LifecycleStage.ACTIVE:
            now = monotonic_now_ms(connection, clock)
            _CHANGE.send(
                connection, {"run_key": row.id, "lifecycle_stage": LifecycleStage.DELETED, "deleted_time": now}
            )

    def restore(self, run_id: str) -> None:
        """Restore a deleted run; raise InvalidStateError if gc removed its files and points."""
        self.write_or_explain(lambda: self._restore(run_id), lambda: self._check_restorable(run_id), f"run {run_id}")

    @write_transaction
    def _restore(self, connection: Connection, run_id: str) -> None:
        _RESTORE.send(connection, {"given_id": run_id})

    @single_query
    def _check_restorable(self, connection: Connection, run_id: str) -> None:
        row = _FIND.first(connection, {"given_id": run_id})
        if row is None:
            raise run_not_found(run_id)
        if row.purged_time is not None:
            raise InvalidStateError(f"The run {run_id} cannot be restored: its files and points were removed by gc.")

    def log_batch(
        self,
        run_id: str,
        *,
        metrics: Sequence[Metric] = (),
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Append metric points, insert params and set tags: all or nothing.

        A point that names a logged model is also added to the metrics of that model.
        """
        if params or metrics or tags:
            self._log(run_id, lambda: self._log_batch(run_id, metrics, params or {}, tags or {}), params, metrics)
        else:
            self._require_writable(run_id)

    @write_transaction
    def _log_batch(
        self,
        connection: Connection,
        run_id: str,
        metrics: Sequence[Metric],
        params: Mapping[str, str],
        tags: Mapping[str, str],
    ) -> None:
        if params:
            _insert_params(connection, run_id, params)
        if metrics:
            require_written(connection, run_id, written=append_points(connection, run_id, metrics))
            if any(metric.model_id is not None for metric in metrics):
                insert_model_points(connection, run_id, metrics)
        if tags:
            _set_tags(connection, run_id, tags)
            if RUN_NAME_TAG in tags:
                _UPDATE.send(connection, {**_UNCHANGED, "given_id": run_id, "name": tags[RUN_NAME_TAG]})

    def _log(
        self,
        run_id: str,
        write: Callable[[], None],
        params: Mapping[str, str] | None = None,
        metrics: Sequence[Metric] = (),
    ) -> None:
        """Write to an active run."""
        self.write_or_explain(write, lambda: self._refuse(run_id, params or {}, metrics), f"run {run_id}")

    @read_transaction
    def _refuse(
        self, connection: Connection, run_id: str, params: Mapping[str, str], metrics: Sequence[Metric]
    ) -> None:
        """Raise the reason why a run cannot be written to, if there is one."""
        _refuse_other_values(connection, writable_run(connection, run_id), run_id, params)
        for model_id in {metric.model_id for metric in metrics if metric.model_id is not None}:
            model_key(connection, model_id)

    @read_transaction
    def _require_writable(self, connection: Connection, run_id: str) -> None:
        writable_run(connection, run_id)

    def log_history(
        self, run_id: str, key: str, *, steps: Sequence[int], timestamps: Sequence[int], values: Sequence[float]
    ) -> None:
        """Append points to one series: all or nothing."""
        if steps:
            self._log(run_id, lambda: self._log_history(run_id, key, steps, timestamps, values))
        else:
            self._require_writable(run_id)

    @write_transaction
    def _log_history(
        self,
        connection: Connection,
        run_id: str,
        key: str,
        steps: Sequence[int],
        timestamps: Sequence[int],
        values: Sequence[float],
    ) -> None:
        written = append_series(connection, run_id, key, steps=steps, timestamps=timestamps, values=values)
        require_written(connection, run_id, written=written)

    def delete_tag(self, run_id: str, name: str) -> None:
        """Delete a tag; raise NotFoundError if the run has no such tag."""
        try:
            self._delete_tag(run_id, name)
        except ConditionFailedError:
            self._require_writable(run_id)
            raise _no_tag(run_id, name) from None

    @write_transaction
    def _delete_tag(self, connection: Connection, run_id: str, name: str) -> None:
        if not self.database.is_sqlite:
            send(connection, delete_tag(name, run_id))
            return
        key = writable_run(connection, run_id)
        deleted = connection.execute(delete(TagRow).where(TagRow.run_id == key, TagRow.key == name))
        if deleted.rowcount == 0:
            raise _no_tag(run_id, name)

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
        found = run_statement(connection, run_id)
        used, made = [(model.model_id, 0) for model in models], [(model.model_id, model.step) for model in outputs]
        known = models_statement(connection, [model_id for model_id, _ in (*used, *made)])
        run_all(connection, found, known)
        key, experiment = check_writable(found, run_id), int(found.rows[0][2])
        insert_dataset_inputs(connection, experiment, key, datasets)
        insert_run_models(connection, key, "input", used, known)
        insert_run_models(connection, key, "output", made, known)

    @read_transaction
    def metric_history(self, connection: Connection, run_id: str, key: str) -> list[Metric]:
        """Return all points of one metric, sorted by (timestamp, step, value); empty if it was never logged."""
        end_with_next(connection)
        statement = history_statement(connection, run_id, key)
        run, points = run_all(connection, _FIND.statement(connection, {"given_id": run_id}), statement)
        if not run.rows:
            raise run_not_found(run_id)
        return points_of(points, key)


def writable_run(connection: Connection, run_id: str) -> int:
    """Return the key of an active run, finished or not; raise InvalidParameterError if it is deleted."""
    run_all(connection, found := run_statement(connection, run_id))
    return check_writable(found, run_id)


_GIVEN: Final = RunRow.run_id == bindparam("given_id")
_LOCATION: Final = Compiled(select(ExperimentRow.artifact_location).join(RunRow).where(_GIVEN))
_FIND: Final = Compiled(
    select(RunRow.id, RunRow.lifecycle_stage, RunRow.experiment_id, RunRow.purged_time).where(_GIVEN)
)
_CHANGE: Final = Compiled(update(table(RunRow)).where(table(RunRow).c.id == bindparam("run_key")))
# NULL keeps a field.
_UNCHANGED: Final = {"status": None, "end_time": None, "name": None}
_CHANGEABLE: Final = tuple(table(RunRow).c[name] for name in _UNCHANGED)
_UPDATE: Final = CheckedWrite(
    update(RunRow)
    .where(_GIVEN, RunRow.lifecycle_stage == LifecycleStage.ACTIVE)
    .values({column: func.coalesce(bindparam(column.name, type_=column.type), column) for column in _CHANGEABLE})
)
_RESTORE: Final = CheckedWrite(
    update(RunRow)
    .where(_GIVEN, RunRow.purged_time.is_(None))
    .values(lifecycle_stage=LifecycleStage.ACTIVE, deleted_time=None)
)


def run_statement(connection: Connection, run_id: str) -> Statement:
    """Return the query of a run's keys and stage, for `check_writable`."""
    return _FIND.statement(connection, {"given_id": run_id})


def check_writable(found: Statement, run_id: str) -> int:
    """Return the key of the run that `run_statement` found; raise InvalidParameterError if it is deleted."""
    if not found.rows:
        raise run_not_found(run_id)
    key, stage = found.rows[0][:2]
    if stage != LifecycleStage.ACTIVE:
        raise InvalidParameterError(
            f"The run {run_id} must be in the 'active' state. Current state is {stage}; restore it with restore_run."
        )
    return int(key)


def _no_tag(run_id: str, name: str) -> NotFoundError:
    return NotFoundError(f"No tag with name: {name} in run with id {run_id}.")


def require_written(connection: Connection, run_id: str, *, written: bool) -> None:
    """Raise the reason why a statement did not find its active run, unless it was written."""
    if not written:
        writable_run(connection, run_id)
        raise InvalidStateError(f"The run {run_id} was deleted and restored during this call. Try again.")


def _insert_params(connection: Connection, run_id: str, params: Mapping[str, str]) -> None:
    if connection.dialect.name != "sqlite":
        send(connection, log_params(params, run_id))
        return
    if len(insert_params(connection, run_id, params)) < len(params):
        _refuse_other_values(connection, writable_run(connection, run_id), run_id, params)


def _refuse_other_values(connection: Connection, key: int, run_id: str, params: Mapping[str, str]) -> None:
    """Raise ParamConflictError if a run has one of these params with another value."""
    if not params:
        return
    existing = select(ParamRow.key, ParamRow.value).where(
        ParamRow.run_id == key, among(ParamRow.key, params, connection.dialect.name)
    )
    changed = [(name, old, params[name]) for name, old in connection.execute(existing) if old != params[name]]
    if changed:
        raise ParamConflictError(_conflict_message(run_id, changed, is_single=len(params) == 1))


def _set_tags(connection: Connection, run_id: str, tags: Mapping[str, str]) -> None:
    if connection.dialect.name != "sqlite":
        send(connection, log_tags(tags, run_id))
    else:
        require_written(connection, run_id, written=set_tags(connection, run_id, tags))


def _conflict_message(run_id: str, changed: list[tuple[str, str, str]], *, is_single: bool) -> str:
    if is_single:
        ((name, old, new),) = changed
        return (
            f"Changing param values is not allowed. Param with key='{name}' was already logged with value='{old}' for "
            f"run ID='{run_id}'. Attempted logging new value '{new}'."
        )
    listed = [{"key": name, "old_value": old, "new_value": new} for name, old, new in changed]
    return f"Changing param values is not allowed. Params were already logged='{listed}' for run ID='{run_id}'."
