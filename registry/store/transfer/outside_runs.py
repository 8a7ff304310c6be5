"""Insert runs that another system wrote (MLflow, W&B, trackio), with their whole metric histories.

Run ids are kept. Guarantees: an import changes only runs that an import wrote. A run is complete once its tag
`STATE_TAG` is anything but `INCOMPLETE`; until then the next import writes it again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, delete, func, insert, select, update

from registry.entities import LifecycleStage, Manifest
from registry.entities.portable_model import PortableRun
from registry.exceptions import RunNotFoundError
from registry.store.clock import monotonic_now_ms
from registry.store.dialects import table, upsert
from registry.store.driver_sql import run_all
from registry.store.long_lists import among
from registry.store.tables import (
    AdoptedFileRow,
    DatasetInputRow,
    LatestMetricRow,
    MetricRow,
    ParamRow,
    RunRow,
    TagRow,
)
from registry.store.tracking.experiments import active_location
from registry.store.tracking.metrics.bulk_write import append_series
from registry.store.tracking.run_inputs import insert_run_models, models_statement
from registry.store.transactions import Store, read_transaction, write_transaction
from registry.store.transfer.run_import import insert_run_details, insert_run_row, run_columns

SOURCE_TAG: Final = "registry.imported_from"
"""The tag that names the source of an imported run."""
STATE_TAG: Final = "registry.import_state"
"""The tag with the digest of what was imported, by which a later import knows a run that has changed since."""
INCOMPLETE: Final = "incomplete"

_BATCH: Final = 500


@dataclass(frozen=True, slots=True)
class Series:
    """All points of one metric of a run, as columns; timestamps are milliseconds since the epoch."""

    key: str
    steps: Sequence[int]
    timestamps: Sequence[int]
    values: Sequence[float]


@dataclass(frozen=True, slots=True)
class AdoptedFiles:
    """Files of a run that stay where they are: the absolute location, and their digests."""

    location: str
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class OutsideRun:
    """A run to insert; `source` names the system and place that it comes from."""

    run: PortableRun
    experiment_id: str
    series: Sequence[Series]
    source: str
    adopted: AdoptedFiles | None = None


@dataclass(frozen=True, slots=True)
class RunCounts:
    """How much the runs of a list have here."""

    runs: int = 0
    params: int = 0
    tags: int = 0
    points: int = 0
    inputs: int = 0


class OutsideRunStore(Store):
    """Writer of runs of other systems."""

    @read_transaction
    def states(self, connection: Connection, run_ids: Sequence[str]) -> dict[str, str | None]:
        """Return the import states of those runs that exist, by id; None for a run that no import wrote."""
        state = (TagRow.run_id == RunRow.id) & (TagRow.key == STATE_TAG)
        query = select(RunRow.run_id, TagRow.value).outerjoin(TagRow, state)
        rows = connection.execute(query.where(among(RunRow.run_id, run_ids, connection.dialect.name)))
        return {run_id: value for run_id, value in rows}  # noqa: C416 - rows are no pairs to mypy

    @write_transaction
    def write(self, connection: Connection, outside: OutsideRun) -> None:
        """Insert a run, active and incomplete, or replace what an earlier import wrote."""
        run = outside.run
        experiment, _ = active_location(connection, outside.experiment_id)
        key = insert_run_row(connection, run, experiment)
        if key is None:
            key = _empty(connection, run, experiment)
        tags = {**run.tags, SOURCE_TAG: outside.source, STATE_TAG: INCOMPLETE}
        insert_run_details(connection, run, experiment, key, tags)
        for series in outside.series:
            append_series(
                connection,
                run.run_id,
                series.key,
                steps=series.steps,
                timestamps=series.timestamps,
                values=series.values,
            )
        if outside.adopted is not None:
            _insert_adopted(connection, key, outside.adopted)

    @write_transaction
    def link_models(
        self,
        connection: Connection,
        run_id: str,
        *,
        inputs: Sequence[tuple[str, int]],
        outputs: Sequence[tuple[str, int]],
    ) -> None:
        """Record the logged models that a run used and made, as (model id, step)."""
        key = _key(connection, run_id)
        run_all(connection, known := models_statement(connection, [model_id for model_id, _ in (*inputs, *outputs)]))
        insert_run_models(connection, key, "input", inputs, known)
        insert_run_models(connection, key, "output", outputs, known)

    @write_transaction
    def finish(self, connection: Connection, states: Mapping[str, str], deleted: Sequence[str] = ()) -> None:
        """Set the states of runs whose files are stored, by id, and mark those as deleted that the source deleted."""
        query = select(RunRow.run_id, RunRow.id).where(among(RunRow.run_id, states, connection.dialect.name))
        keys = {run_id: key for run_id, key in connection.execute(query)}  # noqa: C416 - rows are no pairs to mypy
        rows = [{"run_id": key, "key": STATE_TAG, "value": states[run_id]} for run_id, key in keys.items()]
        upsert(connection, TagRow, rows)
        if deleted:
            active = RunRow.lifecycle_stage == LifecycleStage.ACTIVE
            values = {"lifecycle_stage": LifecycleStage.DELETED, "deleted_time": monotonic_now_ms(connection)}
            these = RunRow.id.in_([keys[run_id] for run_id in deleted])
            connection.execute(update(RunRow).where(these, active).values(values))

    @read_transaction
    def counts(self, connection: Connection, run_ids: Sequence[str]) -> RunCounts:
        """Count what these runs have here, without the tags that an import adds."""
        totals = [0, 0, 0, 0, 0]
        for start in range(0, len(run_ids), _BATCH):
            batch = run_ids[start : start + _BATCH]
            these = select(RunRow.id).where(among(RunRow.run_id, batch, connection.dialect.name))
            series = select(LatestMetricRow.id).where(LatestMetricRow.run_id.in_(these))
            own = TagRow.key.not_in([SOURCE_TAG, STATE_TAG])
            queries = (
                select(func.count()).select_from(these.subquery()),
                select(func.count()).select_from(ParamRow).where(ParamRow.run_id.in_(these)),
                select(func.count()).select_from(TagRow).where(TagRow.run_id.in_(these), own),
                select(func.count()).select_from(MetricRow).where(MetricRow.series_id.in_(series)),
                select(func.count()).select_from(DatasetInputRow).where(DatasetInputRow.run_id.in_(these)),
            )
            for number, query in enumerate(queries):
                totals[number] += connection.execute(query).scalar_one()
        return RunCounts(*totals)


def _empty(connection: Connection, run: PortableRun, experiment: int) -> int:
    """Remove the details of an imported run, set its columns anew, and return its key."""
    key = _key(connection, run.run_id)
    series = select(LatestMetricRow.id).where(LatestMetricRow.run_id == key)
    connection.execute(delete(MetricRow).where(MetricRow.series_id.in_(series)))
    for row in (LatestMetricRow, ParamRow, TagRow, DatasetInputRow, AdoptedFileRow):
        connection.execute(delete(row).where(row.run_id == key))
    values = {**run_columns(run, experiment), "deleted_time": None, "adopted_location": None}
    connection.execute(update(RunRow).where(RunRow.id == key).values(values))
    return key


def _insert_adopted(connection: Connection, key: int, adopted: AdoptedFiles) -> None:
    connection.execute(update(RunRow).where(RunRow.id == key).values(adopted_location=adopted.location))
    rows = [
        {"run_id": key, "path": entry.path, "size": entry.size, "sha256": entry.sha256}
        for entry in adopted.manifest.entries
    ]
    if rows:
        connection.execute(insert(table(AdoptedFileRow)), rows)


def _key(connection: Connection, run_id: str) -> int:
    key = connection.execute(select(RunRow.id).where(RunRow.run_id == run_id)).scalar_one_or_none()
    if key is None:
        raise RunNotFoundError(f"Run with id={run_id} not found")
    return key
