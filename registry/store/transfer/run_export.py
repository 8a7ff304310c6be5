"""Read runs and logged models for a copy to another registry.

Guarantees: nothing is changed, and every method is one short transaction: a process that is logging to the same SQLite
file is never kept waiting while the other registry answers. Points are read in pages, so memory stays bounded.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, Connection, ScalarSelect, func, literal_column, select

from registry.entities import LifecycleStage, LoggedModelStatus, Metric, Run
from registry.entities.portable_model import PortableLoggedModel, PortableRun
from registry.store.dialects import AnySelect
from registry.store.logged_models.read import VERSIONS_TAG, read_logged_models, select_logged_models
from registry.store.long_lists import among
from registry.store.tables import (
    ExperimentRow,
    LatestMetricRow,
    LoggedModelRow,
    MetricRow,
    ParamRow,
    RunRow,
    TombstoneRow,
)
from registry.store.tracking.metrics.read import value_from_db
from registry.store.tracking.run_read import read_runs, select_runs
from registry.store.transactions import Store, read_transaction
from registry.store.transfer.model_export import experiment_names, logged_model_to_portable, run_to_portable

_BATCH: Final = 500
# Sums of the low bits: they tell two series apart, and no sum of them overflows.
_LOW_BITS: Final = 0xFFFFF


class SeriesSummary(NamedTuple):
    """What tells a series from its copy without reading their points.

    Points are only added, and a copy has none of its own: with equal summaries it has them all.
    """

    points: int
    numbers: int
    steps: int
    times: int
    least: float | None
    greatest: float | None


class Point(NamedTuple):
    """A point of a series; `time` is in milliseconds."""

    step: int
    time: int
    value: float


@dataclass(frozen=True, slots=True)
class ExportedRun:
    """A run without its points; `outputs` maps the ids of the logged models that it made to the steps."""

    run: PortableRun
    experiment_id: str
    lifecycle_stage: str
    artifact_uri: str
    inputs: tuple[str, ...] = ()
    outputs: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class ExportedLoggedModel:
    """A logged model with the location of its files; `digest` is that of its manifest, None if it has no files."""

    model: PortableLoggedModel
    lifecycle_stage: str
    status: str
    creation_time: int
    location: str
    digest: str | None
    metrics: tuple[Metric, ...]


@dataclass(frozen=True, slots=True)
class NewPoints:
    """Points that an SQLite file got since a mark: the least step of each series, by run and key, and the next mark.

    `removed` counts what gc ever removed: SQLite gives the numbers of its rows to others, so an earlier mark is void.
    """

    mark: int
    removed: int
    steps: dict[str, dict[str, int]]


@dataclass(frozen=True, slots=True)
class RunCounts:
    """How many runs, params, points and logged models there are."""

    runs: int
    params: int
    points: int
    models: int


class RunExportStore(Store):
    """Reader of runs and of logged models for a copy."""

    @read_transaction
    def run_ids(self, connection: Connection, experiment: str | None = None) -> list[str]:
        """Return the ids of the active runs of an experiment by name, or of all, in the order of their creation."""
        query = (
            select(RunRow.run_id)
            .join(ExperimentRow)
            .where(RunRow.lifecycle_stage == LifecycleStage.ACTIVE)
            .order_by(RunRow.id)
        )
        return list(connection.scalars(_in_experiment(query, experiment)))

    @read_transaction
    def lone_models(self, connection: Connection, experiment: str | None = None) -> list[str]:
        """Return the ids of the active logged models without a run, in the order of their creation."""
        query = (
            select(LoggedModelRow.model_id)
            .join(ExperimentRow)
            .where(LoggedModelRow.lifecycle_stage == LifecycleStage.ACTIVE, LoggedModelRow.run_id.is_(None))
            .order_by(LoggedModelRow.id)
        )
        return list(connection.scalars(_in_experiment(query, experiment)))

    @read_transaction
    def runs(self, connection: Connection, run_ids: Sequence[str]) -> dict[str, ExportedRun]:
        """Return those of the runs that exist, deleted ones included, by id."""
        names = experiment_names(connection)
        is_asked = among(RunRow.run_id, run_ids, connection.dialect.name)
        rows = connection.execute(select_runs().where(is_asked).order_by(RunRow.id)).all()
        return {run.info.run_id: _exported(run, names[run.info.experiment_id]) for run in read_runs(connection, rows)}

    @read_transaction
    def models_of_run(self, connection: Connection, run_id: str) -> list[str]:
        """Return the ids of the active logged models that a run made, in the order of their creation."""
        query = select(LoggedModelRow.model_id).join(RunRow, RunRow.id == LoggedModelRow.run_id)
        active = LoggedModelRow.lifecycle_stage == LifecycleStage.ACTIVE
        return list(connection.scalars(query.where(RunRow.run_id == run_id, active).order_by(LoggedModelRow.id)))

    @read_transaction
    def logged_model(self, connection: Connection, model_id: str) -> ExportedLoggedModel | None:
        """Return a logged model, also a deleted one; None if there is none or its files were removed by gc."""
        query = select_logged_models().where(LoggedModelRow.model_id == model_id)
        row = connection.execute(query).one_or_none()
        if row is None or row.purged_time is not None:
            return None
        (entity,) = read_logged_models(connection, [row])
        portable = logged_model_to_portable(connection, row, entity, experiment_names(connection))
        portable.tags.pop(VERSIONS_TAG, None)
        return ExportedLoggedModel(
            portable,
            row.lifecycle_stage,
            row.status,
            row.creation_time,
            entity.artifact_location,
            row.digest,
            tuple(entity.metrics),
        )

    @read_transaction
    def series(self, connection: Connection, run_id: str) -> dict[str, SeriesSummary]:
        """Summarize the series of a run, by key."""
        point, low = MetricRow, _LOW_BITS
        query = (
            select(
                LatestMetricRow.key,
                func.count(),
                func.count(point.value),
                func.sum(point.step.bitwise_and(low)),
                func.sum(point.timestamp.bitwise_and(low)),
                func.min(point.value),
                func.max(point.value),
            )
            .join(point, point.series_id == LatestMetricRow.id)
            .where(LatestMetricRow.run_id == _key_of(run_id))
            .group_by(LatestMetricRow.key)
            .order_by(LatestMetricRow.key)
        )
        return {
            key: SeriesSummary(points, numbers, int(steps), int(times), least, greatest)
            for key, points, numbers, steps, times, least, greatest in connection.execute(query)
        }

    @read_transaction
    def points(
        self, connection: Connection, run_id: str, key: str, *, after: tuple[int, int] | None, limit: int
    ) -> list[Point]:
        """Return the next points of a series by step and time, about `limit` of them.

        `after` is the step and time of the last point before. Points of equal step and time are returned together,
        however many there are.
        """
        series = select(LatestMetricRow.id).where(LatestMetricRow.run_id == _key_of(run_id), LatestMetricRow.key == key)
        of_series = MetricRow.series_id == series.scalar_subquery()
        query = select(MetricRow.step, MetricRow.timestamp, MetricRow.value).where(of_series)
        ordered = query.order_by(MetricRow.step, MetricRow.timestamp)
        if after is not None:
            step, time = after
            ordered = ordered.where(MetricRow.step >= step, (MetricRow.step > step) | (MetricRow.timestamp > time))
        rows = connection.execute(ordered.limit(limit)).all()
        page = [Point(step, time, value_from_db(value)) for step, time, value in rows]
        if len(page) < limit:
            return page
        end = page[-1][:2]
        whole = [point for point in page if point[:2] != end]
        tied = query.where(MetricRow.step == end[0], MetricRow.timestamp == end[1])
        return whole or [Point(step, time, value_from_db(value)) for step, time, value in connection.execute(tied)]

    @read_transaction
    def new_points(self, connection: Connection, mark: int) -> NewPoints:
        """Return where points were added since a mark, 0 at first, to an SQLite file: its rows are numbered."""
        row: ColumnElement[int] = literal_column("metrics.rowid", BigInteger)
        newest = connection.execute(select(func.max(row)).select_from(MetricRow)).scalar() or 0
        query = (
            select(RunRow.run_id, LatestMetricRow.key, func.min(MetricRow.step))
            .join(LatestMetricRow, LatestMetricRow.id == MetricRow.series_id)
            .join(RunRow, RunRow.id == LatestMetricRow.run_id)
            .where(row > mark)
            .group_by(RunRow.run_id, LatestMetricRow.key)
        )
        steps: dict[str, dict[str, int]] = {}
        if newest > mark:
            for run_id, key, step in connection.execute(query.select_from(MetricRow)):
                steps.setdefault(run_id, {})[key] = step
        removed = connection.execute(select(func.count()).select_from(TombstoneRow)).scalar_one()
        return NewPoints(newest, removed, steps)

    @read_transaction
    def tombstones(self, connection: Connection, public_ids: Sequence[str]) -> set[str]:
        """Return those of the ids whose run or logged model gc removed here."""
        query = select(TombstoneRow.public_id)
        return set(connection.scalars(query.where(among(TombstoneRow.public_id, public_ids, connection.dialect.name))))

    @read_transaction
    def counts(self, connection: Connection, run_ids: Sequence[str], models: Sequence[str]) -> RunCounts:
        """Count what these runs have, and those of the logged models that are sealed."""
        totals = [0, 0, 0, 0]
        dialect = connection.dialect.name
        for start in range(0, len(run_ids), _BATCH):
            asked = among(RunRow.run_id, run_ids[start : start + _BATCH], dialect)
            keys = select(RunRow.id).where(asked, RunRow.lifecycle_stage == LifecycleStage.ACTIVE)
            points = select(func.count()).join(LatestMetricRow, LatestMetricRow.id == MetricRow.series_id)
            queries = (
                select(func.count()).select_from(keys.subquery()),
                select(func.count()).select_from(ParamRow).where(ParamRow.run_id.in_(keys)),
                points.select_from(MetricRow).where(LatestMetricRow.run_id.in_(keys)),
            )
            for position, query in enumerate(queries):
                totals[position] += connection.execute(query).scalar_one()
        for start in range(0, len(models), _BATCH):
            asked = among(LoggedModelRow.model_id, models[start : start + _BATCH], dialect)
            ready = LoggedModelRow.status == LoggedModelStatus.READY
            totals[3] += connection.execute(
                select(func.count()).select_from(LoggedModelRow).where(asked, ready)
            ).scalar_one()
        return RunCounts(*totals)


def _exported(run: Run, experiment: str) -> ExportedRun:
    info = run.info
    return ExportedRun(
        run_to_portable(run, {info.experiment_id: experiment}),
        info.experiment_id,
        info.lifecycle_stage,
        info.artifact_uri,
        tuple(model.model_id for model in run.inputs.model_inputs),
        tuple((model.model_id, model.step) for model in run.outputs.model_outputs),
    )


def _key_of(run_id: str) -> ScalarSelect[int]:
    return select(RunRow.id).where(RunRow.run_id == run_id).scalar_subquery()


def _in_experiment(query: AnySelect, experiment: str | None) -> AnySelect:
    active = ExperimentRow.lifecycle_stage == LifecycleStage.ACTIVE
    query = query.where(active, ExperimentRow.purged_time.is_(None))
    return query if experiment is None else query.where(ExperimentRow.name == experiment)
