"""Transactions of gc: each locks one item, checks it again, and removes it from the tables.

Locks are taken in one order: registered models, runs, logged models, each by key. The check is a statement after the
lock, so that on PostgreSQL it sees what was committed in the meantime.
"""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, delete, exists, insert, or_, select, update

from registry.entities import LifecycleStage
from registry.store.clock import monotonic_now_ms, read_clock_us
from registry.store.dialects import table, upsert
from registry.store.gc.candidates import Candidate, Removal, find_candidates, read_removals, relative_run_location
from registry.store.gc.old_checks import UnjudgedChecks, find_unjudged_checks, remove_checks
from registry.store.gc.removal_conditions import (
    Windows,
    is_abandoned,
    is_collectable_run,
    is_emptied_experiment,
    is_empty_experiment,
    is_imported_run,
    is_unreached,
    is_unreferenced_run,
)
from registry.store.logged_models.read import is_adopted
from registry.store.long_lists import in_keys, keys_parameter
from registry.store.tables import (
    ExperimentRow,
    LatestMetricRow,
    LoggedModelRow,
    MetricRow,
    ModelVersionRow,
    RemovalRow,
    RunModelRow,
    RunRow,
    TombstoneRow,
    UploadRow,
)
from registry.store.transactions import Store, read_transaction, write_transaction


class GcStore(Store):
    """Finds and removes unreferenced rows. Every method may be repeated, and run by several processes at once."""

    @read_transaction
    def now_ms(self, connection: Connection) -> int:
        """Return milliseconds since the epoch, by the database's clock."""
        return read_clock_us(connection) // 1_000

    @read_transaction
    def find(self, connection: Connection, windows: Windows) -> list[Candidate]:
        """List what may be removed now, in the order of removal."""
        return find_candidates(connection, windows)

    @write_transaction
    def purge_run(self, connection: Connection, key: int, windows: Windows) -> list[int] | None:
        """Purge a run and those of its logged models that nothing else needs; return their keys, None if it was kept.

        One transaction: a run that is restored at the same time keeps all of its models, or is gone with them.
        """
        locked = select(RunRow.run_id, RunRow.experiment_id, is_imported_run().label("is_foreign")).where(
            RunRow.id == key, is_collectable_run(windows)
        )
        run = connection.execute(locked.with_for_update()).one_or_none()
        if run is None:
            return None
        models = _lock_models(connection, LoggedModelRow.run_id == key)
        now = monotonic_now_ms(connection)
        connection.execute(update(RunRow).where(RunRow.id == key).values(purged_time=now))
        if not run.is_foreign:
            _record_removal(connection, run.experiment_id, relative_run_location(run.run_id), now)
        return [model for model in models if _purge_model(connection, model, windows, now)]

    @write_transaction
    def purge_logged_model(self, connection: Connection, key: int, windows: Windows) -> bool:
        """Purge a logged model; return False if it was kept.

        If a deleted version names the model, its row stays as a record.
        """
        linked = select(RunModelRow.run_id).where(RunModelRow.logged_model_id == key)
        made_by = select(LoggedModelRow.run_id).where(LoggedModelRow.id == key)
        runs = select(RunRow.id).where(or_(RunRow.id.in_(linked), RunRow.id.in_(made_by)))
        connection.execute(runs.order_by(RunRow.id).with_for_update()).all()
        _lock_models(connection, LoggedModelRow.id == key)
        return _purge_model(connection, key, windows, monotonic_now_ms(connection))

    @write_transaction
    def remove_upload(self, connection: Connection, key: int, windows: Windows) -> bool:
        """Remove an upload that never became a model; return False if it became one, or is too young."""
        statement = delete(UploadRow).where(UploadRow.id == key, is_abandoned(windows))
        row = connection.execute(statement.returning(UploadRow.experiment_id, UploadRow.location)).one_or_none()
        if row is None:
            return False
        _record_removal(connection, row.experiment_id, row.location, monotonic_now_ms(connection))
        return True

    @read_transaction
    def find_unjudged_checks(self, connection: Connection, keys: Sequence[int]) -> list[UnjudgedChecks]:
        """Return those of some checks of monitors that no promotion was judged on, in batches for `remove_checks`.

        This reads the histories of their models, without a lock.
        """
        return list(find_unjudged_checks(connection, keys))

    @write_transaction
    def remove_checks(self, connection: Connection, checks: UnjudgedChecks, windows: Windows) -> list[int]:
        """Remove checks that nothing needs by now, and delete the runs with their reports; return their keys."""
        return remove_checks(connection, checks, windows)

    @read_transaction
    def removals(self, connection: Connection) -> list[Removal]:
        """Return the files that wait for removal, oldest first."""
        return read_removals(connection)

    @write_transaction
    def forget_removal(self, connection: Connection, key: int) -> None:
        """Record that files were removed."""
        connection.execute(delete(RemovalRow).where(RemovalRow.id == key))

    @read_transaction
    def purged_runs(self, connection: Connection) -> list[int]:
        """Return the keys of purged runs whose points or rows may be removed."""
        has_points = exists().where(LatestMetricRow.run_id == RunRow.id, MetricRow.series_id == LatestMetricRow.id)
        query = select(RunRow.id).where(RunRow.purged_time.is_not(None), or_(has_points, is_unreferenced_run()))
        return list(connection.execute(query.order_by(RunRow.id)).scalars())

    def remove_run(self, key: int) -> None:
        """Remove the points of a purged run, one series at a time, and the run itself if nothing refers to it.

        Of a run that a version or model refers to, the row, params, tags and latest values stay.
        """
        for series in self._series_with_points(key):
            self._remove_points(series)
        self._remove_unreferenced_run(key)

    @write_transaction
    def remove_experiment(self, connection: Connection, key: int, windows: Windows) -> bool:
        """Remove an expired experiment; return False if it is not empty, or was restored.

        If only purged records of deleted versions are in it, its row is purged instead, and its name becomes free.
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
    def _remove_unreferenced_run(self, connection: Connection, key: int) -> None:
        connection.execute(select(RunRow.id).where(RunRow.id == key).with_for_update()).one_or_none()
        if connection.execute(select(RunRow.id).where(RunRow.id == key, is_unreferenced_run())).first() is None:
            return
        # Series first: a call that is still logging holds the row, so the next statement sees its points.
        statement = delete(LatestMetricRow).where(LatestMetricRow.run_id == key).returning(LatestMetricRow.id)
        series = connection.execute(statement).scalars().all()
        dialect = connection.dialect.name
        points = delete(MetricRow).where(in_keys(dialect, table(MetricRow).c.series_id))
        connection.execute(points, keys_parameter(dialect, series))
        removed = delete(RunRow).where(RunRow.id == key).returning(RunRow.run_id)
        _record_tombstone(connection, connection.execute(removed).scalar_one(), monotonic_now_ms(connection))


def _lock_models(connection: Connection, condition: ColumnElement[bool]) -> list[int]:
    query = select(LoggedModelRow.id).where(condition, LoggedModelRow.purged_time.is_(None))
    return list(connection.execute(query.order_by(LoggedModelRow.id).with_for_update()).scalars())


def _purge_model(connection: Connection, key: int, windows: Windows, now: int) -> bool:
    """Purge a locked logged model if nothing needs it."""
    this = LoggedModelRow.id == key
    query = select(LoggedModelRow.experiment_id, LoggedModelRow.location, LoggedModelRow.deleted_time)
    row = connection.execute(query.where(this, is_unreached(windows))).one_or_none()
    if row is None:
        return False
    if not is_adopted(row.location):
        _record_removal(connection, row.experiment_id, row.location, now)
    if connection.execute(select(exists().where(ModelVersionRow.logged_model_id == key))).scalar_one():
        values = {
            "purged_time": now,
            "lifecycle_stage": LifecycleStage.DELETED,
            "deleted_time": row.deleted_time or now,
        }
        connection.execute(update(LoggedModelRow).where(this).values(values))
    else:
        removed = delete(LoggedModelRow).where(this).returning(LoggedModelRow.model_id)
        _record_tombstone(connection, connection.execute(removed).scalar_one(), now)
    return True


def _record_tombstone(connection: Connection, public_id: str, now: int) -> None:
    upsert(connection, TombstoneRow, [{"public_id": public_id, "removed_time": now}])


def _record_removal(connection: Connection, experiment_key: int, location: str, now: int) -> None:
    row = {"experiment_id": experiment_key, "location": location, "since": now}
    connection.execute(insert(table(RemovalRow)), row)
