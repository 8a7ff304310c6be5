"""Merge runs and logged models of another registry into this one, under their ids.

Guarantees: a merge adds and never removes; what is there already is not added again. So a copy may be interrupted at
any point and repeated, and two copies of the same run may work at once: each transaction locks the run, compares what
is there with what is to come, and adds the difference. A run or model that was deleted here stays deleted.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, delete, func, insert, select, text, update

from registry.entities import LifecycleStage, Metric
from registry.entities.portable_model import PortableRun
from registry.exceptions import ConflictError
from registry.store.dialects import AnyRow, insert_into, table, upsert
from registry.store.logged_models.logged_models import NewModel, Seal, insert_logged_model
from registry.store.logged_models.signatures import insert_signatures
from registry.store.long_lists import among
from registry.store.tables import (
    LatestMetricRow,
    LoggedModelMetricRow,
    LoggedModelParamRow,
    LoggedModelRow,
    LoggedModelTagRow,
    MetricRow,
    ParamRow,
    RunModelRow,
    RunRow,
    TagRow,
    TombstoneRow,
    UploadRow,
)
from registry.store.tracking.experiments import active_location
from registry.store.tracking.metrics.read import value_from_db
from registry.store.tracking.metrics.write import append_points, value_to_db
from registry.store.tracking.run_inputs import insert_dataset_inputs
from registry.store.transactions import Store, write_transaction
from registry.store.transfer.run_export import ExportedLoggedModel, Point
from registry.store.transfer.run_import import ORIGIN_TAG, check_same_run, dataset_inputs, insert_run_row
from registry.store.urls import redacted_url

COPIED_FROM_TAG: Final = "registry.copied_from"
"""The tag with the id of the registry from which a run was copied with its files."""


class Presence(StrEnum):
    """What became of a run or logged model in the registry that it was copied to."""

    PRESENT = "present"
    DELETED = "deleted"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Origin:
    """The registry that runs come from: its id, and its tracking URI without a password."""

    registry_id: str
    uri: str


class RunMergeStore(Store):
    """Writer of runs and logged models that are copied from another registry."""

    @write_transaction
    def merge_run(
        self,
        connection: Connection,
        run_id: str,
        experiment_id: str,
        origin: Origin,
        read: Callable[[], PortableRun | None],
    ) -> Presence:
        """Insert a run, or add to it what it lacks: status, times, name, params, tags and data sets.

        `read` returns the original as it is now. It is called while the run is locked here, so that of two copies the
        later one writes what is newer. An existing run stays in its experiment.

        Raises:
            ConflictError: Another run has this id.
            InvalidParameterError: The experiment is deleted.
        """
        if _has_tombstone(connection, run_id):
            return Presence.REMOVED
        row = _lock_run(connection, run_id)
        if row is None:
            experiment, _ = active_location(connection, experiment_id)
            run = read()
            if run is None:
                return Presence.REMOVED
            insert_run_row(connection, run, experiment)
            row = _lock_run(connection, run_id)
        else:
            run = read()
        if row is None or run is None:
            return Presence.REMOVED
        if row.lifecycle_stage != LifecycleStage.ACTIVE:
            return Presence.DELETED
        check_same_run(connection, run, source=origin.uri, target=redacted_url(self.database.url))
        values = {"name": run.name, "status": run.status, "end_time": run.end_time}
        connection.execute(update(RunRow).where(RunRow.id == row.id).values(values))
        params = [{"run_id": row.id, "key": key, "value": value} for key, value in sorted(run.params.items())]
        if params:
            connection.execute(insert_into(connection.dialect.name, ParamRow).on_conflict_do_nothing(), params)
        connection.execute(delete(TagRow).where(TagRow.run_id == row.id, TagRow.key == ORIGIN_TAG))
        tags = copied_tags(run, origin.registry_id)
        upsert(connection, TagRow, [{"run_id": row.id, "key": key, "value": value} for key, value in tags.items()])
        insert_dataset_inputs(connection, row.experiment_id, row.id, dataset_inputs(run))
        return Presence.PRESENT

    @write_transaction
    def add_points(self, connection: Connection, run_id: str, pages: Mapping[str, Sequence[Point]]) -> int | None:
        """Add those points of a run that it does not have yet; return how many, or None if the run is not active.

        A page holds all points of a series from its first point to its last, by step and time.
        """
        row = _lock_run(connection, run_id)
        if row is None or row.lifecycle_stage != LifecycleStage.ACTIVE:
            return None
        known = _existing_series(connection, row.id, list(pages))
        missing: list[Metric] = []
        for key, page in pages.items():
            series = known.get(key)
            present = Counter[Any]() if series is None else _count_points(connection, series, page[0], page[-1])
            for point in page:
                identity = _identity(*point)
                if present[identity] > 0:
                    present[identity] -= 1
                else:
                    missing.append(Metric(key, point.value, point.time, point.step))
        if missing:
            append_points(connection, run_id, missing)
        return len(missing)

    @write_transaction
    def add_model(
        self, connection: Connection, exported: ExportedLoggedModel, new: NewModel, seal: Seal | None
    ) -> bool:
        """Insert a logged model whose files are stored; return False if another copy was faster, or it was removed."""
        _lock_id(connection, new.model_id)
        if _has_tombstone(connection, new.model_id) or _find_model(connection, new.model_id) is not None:
            return False
        insert_logged_model(connection, new, seal)
        status = (LoggedModelRow.model_id == new.model_id) & (LoggedModelRow.status != exported.status)
        connection.execute(update(LoggedModelRow).where(status).values(status=exported.status))
        return True

    @write_transaction
    def merge_model(self, connection: Connection, exported: ExportedLoggedModel, origin: Origin) -> Presence | None:
        """Add to a logged model what it lacks: params, tags, signatures, points; return None if it is not there.

        Raises:
            ConflictError: It has other files than the original.
        """
        model_id = exported.model.model_id
        if _has_tombstone(connection, model_id):
            return Presence.REMOVED
        row = _find_model(connection, model_id, lock=True)
        if row is None:
            return None
        if row.digest != exported.digest:
            raise ConflictError(
                f"The logged model {model_id} has the digest {exported.digest} in {origin.uri} and {row.digest} in "
                f"{redacted_url(self.database.url)}: two models with one id. Nothing was changed; delete one of them."
            )
        if row.purged_time is not None or row.lifecycle_stage != LifecycleStage.ACTIVE:
            return Presence.DELETED
        for kind, pairs in ((LoggedModelParamRow, exported.model.params), (LoggedModelTagRow, exported.model.tags)):
            rows = [{"logged_model_id": row.id, "key": key, "value": value} for key, value in pairs.items()]
            upsert(connection, kind, rows)
        insert_signatures(connection, row.id, exported.model.signatures)
        _add_model_points(connection, row.id, exported.metrics)
        return Presence.PRESENT

    @write_transaction
    def link_models(
        self, connection: Connection, run_id: str, inputs: Sequence[str], outputs: Sequence[tuple[str, int]]
    ) -> list[str]:
        """Record the logged models that a run used and made; return the ids of those that are not here."""
        row = _lock_run(connection, run_id)
        if row is None:
            return []
        asked = [*inputs, *(model_id for model_id, _ in outputs)]
        is_asked = among(LoggedModelRow.model_id, asked, connection.dialect.name)
        query = select(LoggedModelRow.model_id, LoggedModelRow.id).where(is_asked)
        keys = {row.model_id: row.id for row in connection.execute(query)}
        used = [("input", model_id, 0) for model_id in inputs] + [("output", *output) for output in outputs]
        rows = [
            {"run_id": row.id, "direction": direction, "logged_model_id": keys[model_id], "step": step}
            for direction, model_id, step in used
            if model_id in keys
        ]
        upsert(connection, RunModelRow, rows)
        return [model_id for model_id in dict.fromkeys(asked) if model_id not in keys]

    @write_transaction
    def abandon_upload(self, connection: Connection, upload_id: str) -> None:
        """Forget an upload whose files were removed again."""
        connection.execute(delete(UploadRow).where(UploadRow.model_id == upload_id))


def copied_tags(run: PortableRun, registry_id: str) -> dict[str, str]:
    """Return the tags of a copy: those of the run, and where it comes from."""
    own = {key: value for key, value in run.tags.items() if key != ORIGIN_TAG}
    return {**own, COPIED_FROM_TAG: registry_id}


def _lock_run(connection: Connection, run_id: str) -> AnyRow | None:
    # Whoever logs to the run meanwhile refers to its row, which this lock allows.
    query = select(RunRow.id, RunRow.experiment_id, RunRow.lifecycle_stage).where(RunRow.run_id == run_id)
    return connection.execute(query.with_for_update(key_share=True)).one_or_none()


def _has_tombstone(connection: Connection, public_id: str) -> bool:
    return (
        connection.execute(select(TombstoneRow.public_id).where(TombstoneRow.public_id == public_id)).first()
        is not None
    )


def _lock_id(connection: Connection, public_id: str) -> None:
    """Exclude other copies of a model that has no row to lock yet; on SQLite, the transaction does."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:id, 0))"), {"id": public_id})


def _find_model(connection: Connection, model_id: str, *, lock: bool = False) -> AnyRow | None:
    columns = (LoggedModelRow.id, LoggedModelRow.digest, LoggedModelRow.lifecycle_stage, LoggedModelRow.purged_time)
    query = select(*columns).where(LoggedModelRow.model_id == model_id)
    return connection.execute(query.with_for_update(key_share=True) if lock else query).one_or_none()


def _existing_series(connection: Connection, run_key: int, keys: Sequence[str]) -> dict[str, int]:
    """Return the series among `keys` that a run has, with their surrogate keys."""
    query = select(LatestMetricRow.key, LatestMetricRow.id).where(
        LatestMetricRow.run_id == run_key, among(LatestMetricRow.key, keys, connection.dialect.name)
    )
    return {row.key: row.id for row in connection.execute(query)}


def _count_points(connection: Connection, series: int, first: Point, last: Point) -> Counter[Any]:
    """Count the points of a series between two of them, both included."""
    point = MetricRow
    query = select(point.step, point.timestamp, point.value, func.count()).where(
        point.series_id == series,
        point.step >= first.step,
        point.step <= last.step,
        (point.step > first.step) | (point.timestamp >= first.time),
        (point.step < last.step) | (point.timestamp <= last.time),
    )
    counted: Counter[Any] = Counter()
    for step, time, value, count in connection.execute(query.group_by(point.step, point.timestamp, point.value)):
        counted[_identity(step, time, value_from_db(value))] += count
    return counted


def _identity(step: int, time: int, value: float) -> tuple[int, int, float | None]:
    """Return what makes a point the same as another: NaN equals itself here."""
    return step, time, value_to_db(value)


def _add_model_points(connection: Connection, model_key: int, metrics: Sequence[Metric]) -> None:
    point = LoggedModelMetricRow
    names = ("key", "step", "timestamp", "value", "dataset_name", "dataset_digest")
    query = select(*(getattr(point, name) for name in names)).where(point.logged_model_id == model_key)
    present = Counter(tuple(row) for row in connection.execute(query))
    run_ids = {metric.run_id for metric in metrics if metric.run_id is not None}
    known = select(RunRow.run_id, RunRow.id).where(among(RunRow.run_id, run_ids, connection.dialect.name))
    runs: dict[str | None, int] = {row.run_id: row.id for row in connection.execute(known)}
    rows = []
    for metric in metrics:
        # Without the run that measured it: that may come later.
        values = (metric.key, metric.step, metric.timestamp, value_to_db(metric.value))
        identity = (*values, metric.dataset_name, metric.dataset_digest)
        if present[identity] > 0:
            present[identity] -= 1
            continue
        own = {"logged_model_id": model_key, "run_id": runs.get(metric.run_id)}
        rows.append({**own, **dict(zip(names, identity, strict=True))})
    if rows:
        connection.execute(insert(table(LoggedModelMetricRow)), rows)
