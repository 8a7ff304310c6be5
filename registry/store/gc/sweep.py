"""The transactions of gc: each judges one thing again under its lock, and takes it out of the tables.

Locks are taken in one order, runs before logged models, each by key; the row of a registered model is never locked.
The statement that judges runs after the one that locks: on PostgreSQL it sees what others committed in the meantime.
"""

from sqlalchemy import ColumnElement, Connection, delete, exists, insert, or_, select, update

from registry.entities import LifecycleStage
from registry.store.clock import monotonic_now_ms, read_clock_us
from registry.store.dialects import table
from registry.store.gc.plan import Candidate, Removal, find_candidates, read_removals, relative_run_location
from registry.store.gc.reachability import (
    Windows,
    came_from_elsewhere,
    is_abandoned,
    is_collectable_run,
    is_emptied_experiment,
    is_empty_experiment,
    is_nameless_run,
    is_unreached,
)
from registry.store.tables import (
    ExperimentRow,
    LatestMetricRow,
    LoggedModelRow,
    MetricRow,
    ModelVersionRow,
    RemovalRow,
    RunModelRow,
    RunRow,
    UploadRow,
)
from registry.store.tracking.run_data import in_keys, keys_parameter
from registry.store.transactions import Store, read_transaction, write_transaction


class GcStore(Store):
    """Finds and collects what nothing reaches. Every method may be repeated, and run in several processes at once."""

    @read_transaction
    def now_ms(self, connection: Connection) -> int:
        """Milliseconds since the epoch, by the clock that counts for this database."""
        return read_clock_us(connection) // 1_000

    @read_transaction
    def find(self, connection: Connection, windows: Windows) -> list[Candidate]:
        """All that may go now, in the order in which it is to be collected."""
        return find_candidates(connection, windows)

    @write_transaction
    def condemn_run(self, connection: Connection, key: int, windows: Windows) -> list[int] | None:
        """Purge a run with those of its logged models that nothing else reaches; their keys, None if it was kept.

        One transaction: a run that is restored at the same moment comes back with all of its models, or not at all.
        """
        locked = select(RunRow.run_id, RunRow.experiment_id, came_from_elsewhere().label("is_foreign")).where(
            RunRow.id == key, is_collectable_run(windows)
        )
        run = connection.execute(locked.with_for_update()).one_or_none()
        if run is None:
            return None
        models = _lock_models(connection, LoggedModelRow.run_id == key)
        now = monotonic_now_ms(connection)
        connection.execute(update(RunRow).where(RunRow.id == key).values(purged_time=now))
        if not run.is_foreign:
            _note_removal(connection, run.experiment_id, relative_run_location(run.run_id), now)
        return [model for model in models if _purge_model(connection, model, windows, now)]

    @write_transaction
    def condemn_logged_model(self, connection: Connection, key: int, windows: Windows) -> bool:
        """Purge a logged model. One that a deleted version names keeps its row, as a record; False if it was kept."""
        linked = select(RunModelRow.run_id).where(RunModelRow.logged_model_id == key)
        made_by = select(LoggedModelRow.run_id).where(LoggedModelRow.id == key)
        runs = select(RunRow.id).where(or_(RunRow.id.in_(linked), RunRow.id.in_(made_by)))
        connection.execute(runs.order_by(RunRow.id).with_for_update()).all()
        _lock_models(connection, LoggedModelRow.id == key)
        return _purge_model(connection, key, windows, monotonic_now_ms(connection))

    @write_transaction
    def condemn_upload(self, connection: Connection, key: int, windows: Windows) -> bool:
        """Give up an upload that never became a model; False if it became one, or is not old enough."""
        gone = delete(UploadRow).where(UploadRow.id == key, is_abandoned(windows))
        row = connection.execute(gone.returning(UploadRow.experiment_id, UploadRow.location)).one_or_none()
        if row is None:
            return False
        _note_removal(connection, row.experiment_id, row.location, monotonic_now_ms(connection))
        return True

    @read_transaction
    def removals(self, connection: Connection) -> list[Removal]:
        """Bytes that await removal, the oldest first."""
        return read_removals(connection)

    @write_transaction
    def forget_removal(self, connection: Connection, key: int) -> None:
        """Note that bytes are gone."""
        connection.execute(delete(RemovalRow).where(RemovalRow.id == key))

    @read_transaction
    def purged_runs(self, connection: Connection) -> list[int]:
        """The keys of purged runs that have points or a row which may go."""
        has_points = exists().where(LatestMetricRow.run_id == RunRow.id, MetricRow.series_id == LatestMetricRow.id)
        query = select(RunRow.id).where(RunRow.purged_time.is_not(None), or_(has_points, is_nameless_run()))
        return list(connection.execute(query.order_by(RunRow.id)).scalars())

    def settle_run(self, key: int) -> None:
        """Remove the points of a purged run, a series at a time, and the run itself unless a version or model names it.

        Of a run that is named, the row, params, tags and latest values stay.
        """
        for series in self._series_with_points(key):
            self._remove_points(series)
        self._remove_run(key)

    @write_transaction
    def remove_experiment(self, connection: Connection, key: int, windows: Windows) -> bool:
        """Remove an expired experiment; False if something is in it still, or it was restored.

        If all that is in it are records of what deleted versions name, its row stays as a record too, without its name.
        """
        this = ExperimentRow.id == key
        connection.execute(select(ExperimentRow.id).where(this).with_for_update()).one_or_none()
        if connection.execute(delete(ExperimentRow).where(this, is_empty_experiment(windows))).rowcount == 1:
            return True
        emptied = update(ExperimentRow).where(this, is_emptied_experiment(windows))
        return connection.execute(emptied.values(purged_time=monotonic_now_ms(connection))).rowcount == 1

    @read_transaction
    def _series_with_points(self, connection: Connection, key: int) -> list[int]:
        has_points = exists().where(MetricRow.series_id == LatestMetricRow.id)
        query = select(LatestMetricRow.id).where(LatestMetricRow.run_id == key, has_points)
        return list(connection.execute(query.order_by(LatestMetricRow.id)).scalars())

    @write_transaction
    def _remove_points(self, connection: Connection, series: int) -> None:
        connection.execute(delete(MetricRow).where(MetricRow.series_id == series))

    @write_transaction
    def _remove_run(self, connection: Connection, key: int) -> None:
        connection.execute(select(RunRow.id).where(RunRow.id == key).with_for_update()).one_or_none()
        if connection.execute(select(RunRow.id).where(RunRow.id == key, is_nameless_run())).first() is None:
            return
        # The series first: a call that still logs to one holds its row, and by the next statement its points are there.
        gone = delete(LatestMetricRow).where(LatestMetricRow.run_id == key).returning(LatestMetricRow.id)
        series = connection.execute(gone).scalars().all()
        dialect = connection.dialect.name
        points = delete(MetricRow).where(in_keys(dialect, table(MetricRow).c.series_id))
        connection.execute(points, keys_parameter(dialect, series))
        connection.execute(delete(RunRow).where(RunRow.id == key))


def _lock_models(connection: Connection, condition: ColumnElement[bool]) -> list[int]:
    query = select(LoggedModelRow.id).where(condition, LoggedModelRow.purged_time.is_(None))
    return list(connection.execute(query.order_by(LoggedModelRow.id).with_for_update()).scalars())


def _purge_model(connection: Connection, key: int, windows: Windows, now: int) -> bool:
    """Take a locked logged model away, if nothing reaches it."""
    this = LoggedModelRow.id == key
    query = select(LoggedModelRow.experiment_id, LoggedModelRow.location, LoggedModelRow.deleted_time)
    row = connection.execute(query.where(this, is_unreached(windows))).one_or_none()
    if row is None:
        return False
    _note_removal(connection, row.experiment_id, row.location, now)
    if connection.execute(select(exists().where(ModelVersionRow.logged_model_id == key))).scalar_one():
        values = {
            "purged_time": now,
            "lifecycle_stage": LifecycleStage.DELETED,
            "deleted_time": row.deleted_time or now,
        }
        connection.execute(update(LoggedModelRow).where(this).values(values))
    else:
        connection.execute(delete(LoggedModelRow).where(this))
    return True


def _note_removal(connection: Connection, experiment_key: int, location: str, now: int) -> None:
    row = {"experiment_id": experiment_key, "location": location, "since": now}
    connection.execute(insert(table(RemovalRow)), row)
