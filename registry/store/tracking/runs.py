"""Runs in SQL: create, read, change and log to them.

Metric points are written by `metrics`, params and tags by `run_data`, data sets by `run_inputs`. Guarantees:
`log_batch` writes all of its metrics, params and tags, or none.
"""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, func, literal_column, select, update

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
    RunNotFoundError,
)
from registry.store.clock import clock_statement, monotonic_now_ms
from registry.store.compiled_statements import Compiled, first_row, first_value, named_rows
from registry.store.dialects import AnyRow, AnySelect, table
from registry.store.driver_sql import Answer, Statement, check, end_with_next, run_all, send
from registry.store.error_mapping import ConditionFailedError
from registry.store.long_lists import among, keys_parameter
from registry.store.tables import ExperimentRow, ParamRow, RunRow, TagRow
from registry.store.tracking.experiments import active_location, experiment_key
from registry.store.tracking.metrics.bulk_write import append_series
from registry.store.tracking.metrics.read import history_statement, insert_model_points, model_key, points_of
from registry.store.tracking.metrics.write import append_points
from registry.store.tracking.run_data import (
    PARENT_TAG,
    NewRun,
    Which,
    delete_tag,
    group_run_data,
    insert_params,
    insert_run,
    log_params,
    log_tags,
    of_runs,
    run_data_query,
    set_tags,
)
from registry.store.tracking.run_inputs import (
    group_inputs_and_outputs,
    inputs_and_outputs_queries,
    insert_dataset_inputs,
    insert_run_models,
)
from registry.store.transactions import Store, read_transaction, single_query, write_transaction

RUN_NAME_TAG = "mlflow.runName"
_ATTEMPTS: Final = 3


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
        row = _BY_ID.first(connection, {"given_id": run_id})
        return None if row is None else row.artifact_location

    @read_transaction
    def _require_experiment(self, connection: Connection, experiment_id: str) -> None:
        active_location(connection, experiment_id)

    @read_transaction
    def get(self, connection: Connection, run_id: str) -> Run:
        """Return a run by id, deleted ones included."""
        runs = _read(connection, "id", {"given_id": run_id})
        if not runs:
            raise _not_found(run_id)
        return runs[0]

    @read_transaction
    def find_parent(self, connection: Connection, run_id: str) -> Run | None:
        """Return the run that the tag of a nested run names, deleted ones included; None without the tag.

        Raises:
            RunNotFoundError: There is no such run, or its parent is gone.
        """
        child = _PARENT_ID.send(connection, {"given_id": run_id})
        runs = _read(connection, "parent", {"given_id": run_id})
        if not child.rows:
            raise _not_found(run_id)
        parent_id = first_value(child)
        if parent_id is not None and not runs:
            raise _not_found(parent_id)
        return runs[0] if runs else None

    @read_transaction
    def get_all(self, connection: Connection, run_ids: Sequence[str]) -> list[Run]:
        """Return runs by id in the given order, deleted ones included, read in one snapshot.

        Raises:
            RunNotFoundError: One does not exist.
        """
        read = _read(connection, "ids", keys_parameter(connection.dialect.name, run_ids, "ids"))
        runs = {run.info.run_id: run for run in read}
        for run_id in run_ids:
            if run_id not in runs:
                raise _not_found(run_id)
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
        if self.database.is_sqlite:
            require_written(connection, run_id, written=_UPDATE.write(connection, values) == 1)
        else:
            _CHECKED_UPDATE.send(connection, values)
        if values["name"] is not None:
            _set_tags(connection, run_id, {RUN_NAME_TAG: values["name"]})

    @write_transaction
    def delete(self, connection: Connection, run_id: str) -> None:
        """Mark a run as deleted; its child runs stay. Idempotent."""
        found, clock = _FIND.statement(connection, {"given_id": run_id}), clock_statement(connection)
        run_all(connection, found, clock)
        row = first_row(found)
        if row is None:
            raise _not_found(run_id)
        if row.lifecycle_stage == LifecycleStage.ACTIVE:
            now = monotonic_now_ms(connection, clock)
            _CHANGE.send(
                connection, {"run_key": row.id, "lifecycle_stage": LifecycleStage.DELETED, "deleted_time": now}
            )

    @write_transaction
    def restore(self, connection: Connection, run_id: str) -> None:
        """Restore a deleted run; raise InvalidStateError if gc removed its files and points."""
        key, _, _ = _find(connection, run_id)
        values = {"lifecycle_stage": LifecycleStage.ACTIVE, "deleted_time": None}
        # Check `purged_time` in the UPDATE itself: gc may purge the run between our SELECT and this statement.
        not_purged = (RunRow.id == key) & RunRow.purged_time.is_(None)
        if connection.execute(update(RunRow).where(not_purged).values(values)).rowcount == 0:
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
        """Write to an active run. If a condition of PostgreSQL's statements does not hold, raise the reason.

        The reason may be gone by then: another process logged the same param, or restored the run. Then try again.
        """
        for _ in range(_ATTEMPTS):
            try:
                return write()
            except ConditionFailedError:
                self._refuse(run_id, params or {}, metrics)
        raise InvalidStateError(f"The run {run_id} was deleted and restored during this call. Try again.")

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
        key, experiment = writable_run_and_experiment(connection, run_id)
        insert_dataset_inputs(connection, experiment, key, datasets)
        insert_run_models(connection, key, "input", [(model.model_id, 0) for model in models])
        insert_run_models(connection, key, "output", [(model.model_id, model.step) for model in outputs])

    @read_transaction
    def metric_history(self, connection: Connection, run_id: str, key: str) -> list[Metric]:
        """Return all points of one metric, sorted by (timestamp, step, value); empty if it was never logged."""
        end_with_next(connection)
        statement = history_statement(connection, run_id, key)
        run, points = run_all(connection, _FIND.statement(connection, {"given_id": run_id}), statement)
        if not run.rows:
            raise _not_found(run_id)
        return points_of(points, key)


def run_location(artifact_location: str, run_id: str, adopted_location: str | None = None) -> str:
    """Return the artifact location of a run: below that of its experiment, or where its files were adopted."""
    return adopted_location or f"{artifact_location.rstrip('/')}/{run_id}/artifacts"


def select_runs() -> AnySelect:
    """Return a query with all columns that `read_runs` needs."""
    return select(RunRow.__table__, ExperimentRow.artifact_location).join(ExperimentRow)


def read_runs(connection: Connection, rows: Iterable[AnyRow]) -> list[Run]:
    """Build runs with their data, inputs and outputs from rows of `select_runs`, in their order; one round trip."""
    run_rows = list(rows)
    keys = [row.id for row in run_rows]
    if not keys:
        return []
    dialect = connection.dialect.name
    parameter = keys_parameter(dialect, keys)
    queries = [run_data_query(dialect), *inputs_and_outputs_queries(dialect)]
    data, *uses = run_all(connection, *(query.statement(connection, parameter) for query in queries))
    return _build_runs(run_rows, data, uses)


def _read(connection: Connection, which: Which, given: Mapping[str, Any]) -> list[Run]:
    """Return runs with all that belongs to them; the round trip ends the transaction."""
    dialect = connection.dialect.name
    queries = [_runs_query(dialect, which), run_data_query(dialect, which), *inputs_and_outputs_queries(dialect, which)]
    end_with_next(connection)
    runs, data, *uses = run_all(connection, *(query.statement(connection, given) for query in queries))
    return _build_runs(named_rows(runs), data, uses)


@functools.cache
def _runs_query(dialect: str, which: Which) -> Compiled:
    return _BY_ID if which == "id" else Compiled(select_runs().where(of_runs(dialect, table(RunRow).c.id, which)))


def _build_runs(rows: Sequence[AnyRow], data: Answer, uses: Sequence[Answer]) -> list[Run]:
    keys = [row.id for row in rows]
    run_data = group_run_data(data.rows, keys)
    inputs, outputs = group_inputs_and_outputs(uses, keys)
    return [Run(run_info(row), run_data[row.id], inputs[row.id], outputs[row.id]) for row in rows]


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
        artifact_uri=run_location(row.artifact_location, row.run_id, row.adopted_location),
        run_name=row.name,
    )


def writable_run(connection: Connection, run_id: str) -> int:
    """Return the key of an active run, finished or not; raise InvalidParameterError if it is deleted."""
    run_all(connection, found := run_statement(connection, run_id))
    return check_writable(found, run_id)


_GIVEN: Final = RunRow.run_id == bindparam("given_id")
_BY_ID: Final = Compiled(select_runs().where(_GIVEN))
_FIND: Final = Compiled(select(RunRow.id, RunRow.lifecycle_stage, RunRow.experiment_id).where(_GIVEN))
_PARENT_ID: Final = Compiled(
    select(TagRow.value)
    .select_from(RunRow)
    .outerjoin(TagRow, (TagRow.run_id == RunRow.id) & (TagRow.key == PARENT_TAG))
    .where(_GIVEN)
)
_CHANGE: Final = Compiled(update(table(RunRow)).where(table(RunRow).c.id == bindparam("run_key")))
# NULL keeps a field.
_UNCHANGED: Final = {"status": None, "end_time": None, "name": None}
_CHANGEABLE: Final = tuple(table(RunRow).c[name] for name in _UNCHANGED)
_UPDATE_GIVEN: Final = (
    update(RunRow)
    .where(_GIVEN, RunRow.lifecycle_stage == LifecycleStage.ACTIVE)
    .values({column: func.coalesce(bindparam(column.name, type_=column.type), column) for column in _CHANGEABLE})
)
_UPDATE: Final = Compiled(_UPDATE_GIVEN)
# On PostgreSQL: it fails if there is no such active run.
_CHECKED_UPDATE: Final = Compiled(
    select(literal_column(check("count(*) > 0"))).select_from(_UPDATE_GIVEN.returning(RunRow.id).cte("changed"))
)


def writable_run_and_experiment(connection: Connection, run_id: str) -> tuple[int, int]:
    """Return the keys of an active run and of its experiment."""
    run_all(connection, found := run_statement(connection, run_id))
    return check_writable(found, run_id), int(found.rows[0][2])


def run_statement(connection: Connection, run_id: str) -> Statement:
    """Return the query of a run's keys and stage, for `check_writable`."""
    return _FIND.statement(connection, {"given_id": run_id})


def check_writable(found: Statement, run_id: str) -> int:
    """Return the key of the run that `run_statement` found; raise InvalidParameterError if it is deleted."""
    if not found.rows:
        raise _not_found(run_id)
    key, stage, _ = found.rows[0]
    if stage != LifecycleStage.ACTIVE:
        raise InvalidParameterError(
            f"The run {run_id} must be in the 'active' state. Current state is {stage}; restore it with restore_run."
        )
    return int(key)


def _find(connection: Connection, run_id: str) -> tuple[int, str, int]:
    row = _FIND.first(connection, {"given_id": run_id})
    if row is None:
        raise _not_found(run_id)
    return row.id, row.lifecycle_stage, row.experiment_id


def _no_tag(run_id: str, name: str) -> NotFoundError:
    return NotFoundError(f"No tag with name: {name} in run with id {run_id}.")


def _not_found(run_id: str) -> RunNotFoundError:
    return RunNotFoundError(f"Run with id={run_id} not found")


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
