"""Searches for runs and experiments.

Guarantees: the cost of a page grows with the page: runs of other experiments are not read, and an order by a metric
follows the index on its values.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import ColumnElement, Connection, Text, cast, func, select

from registry.entities import Experiment, PagedList, Run
from registry.filters import Field, Kind, OrderBy
from registry.store.compiled_statements import Compiled
from registry.store.dialects import table
from registry.store.driver_sql import run_all
from registry.store.long_lists import bind_value, in_keys, keys_parameter
from registry.store.search.field_mapping import Column, FieldMap, KeyValueTable, RelatedRows, is_one_of
from registry.store.search.paging import Cursor
from registry.store.search.query import SearchRequest, SearchSource, search, search_rows
from registry.store.search.run_columns import RunTable, TableColumns, read_table
from registry.store.search.values import by_code_point
from registry.store.tables import (
    DatasetInputRow,
    DatasetRow,
    ExperimentRow,
    ExperimentTagRow,
    LatestMetricRow,
    ParamRow,
    RunRow,
    TagRow,
)
from registry.store.tracking.experiments import read_experiments
from registry.store.tracking.run_read import read_runs
from registry.store.transactions import Store, read_transaction

_EXPERIMENT_TIES: Final = (("creation_time", False), ("experiment_id", True))


class ExperimentSearch(Store):
    """Search for experiments."""

    @read_transaction
    def experiments(
        self, connection: Connection, stages: tuple[str, ...], request: SearchRequest
    ) -> PagedList[Experiment]:
        """Return a page of the experiments in these lifecycle stages; by default newest first."""
        return search(connection, _experiment_source(stages, connection.dialect.name), request, read_experiments)


@functools.cache
def _experiment_source(stages: tuple[str, ...], dialect: str) -> SearchSource:
    statement = select(ExperimentRow.__table__).where(
        is_one_of(ExperimentRow.lifecycle_stage, stages, dialect), ExperimentRow.purged_time.is_(None)
    )
    return SearchSource(statement, _experiment_fields(dialect), _EXPERIMENT_TIES, ("experiments", stages), dialect)


def _experiment_fields(dialect: str) -> FieldMap:
    return FieldMap(
        attributes={
            "name": Column(ExperimentRow.name),
            "experiment_id": Column(cast(ExperimentRow.id, Text), order=ExperimentRow.id),
            "lifecycle_stage": Column(ExperimentRow.lifecycle_stage),
            "artifact_location": Column(by_code_point(ExperimentRow.artifact_location, dialect)),
            "creation_time": Column(ExperimentRow.creation_time),
            "last_update_time": Column(ExperimentRow.last_update_time),
        },
        keyed={Kind.TAG: KeyValueTable(ExperimentTagRow, "experiment_id", ExperimentRow.id)},
    )


_RUN_TIES: Final = (("start_time", False), ("run_id", True))
_NEWEST_FIRST: Final = OrderBy(Field(Kind.ATTRIBUTE, "start_time"), ascending=False)

_MAX_KEYS: Final = 10_000
_PROBED_RUNS: Final = 20
_PROBED_KEYS: Final = 200
_RECENT_RUNS: Final = 2_000
_KEYED: Final = {Kind.METRIC: LatestMetricRow, Kind.PARAM: ParamRow, Kind.TAG: TagRow}

# A subquery, not a join: each joined table makes planning slower.
_LOCATION: Final = (
    select(ExperimentRow.artifact_location).where(ExperimentRow.id == RunRow.experiment_id).scalar_subquery()
)


@dataclass(frozen=True, slots=True)
class RunScope:
    """The experiments (by key) and lifecycle stages to search."""

    experiments: tuple[int, ...]
    stages: tuple[str, ...]


class RunSearch(Store):
    """Search for runs."""

    @read_transaction
    def runs(self, connection: Connection, scope: RunScope, request: SearchRequest) -> PagedList[Run]:
        """Return a page of the runs of some experiments; by default newest first."""
        if not scope.experiments:
            return PagedList()
        return search(connection, _run_source(scope, connection.dialect.name), request, read_runs)

    @read_transaction
    def run_table(
        self, connection: Connection, scope: RunScope, request: SearchRequest, columns: TableColumns
    ) -> RunTable:
        """Return runs as columns, read in one snapshot; `request.max_results` limits them, there are no pages."""
        if not scope.experiments:
            return read_table(connection, [], columns)
        rows, _ = search_rows(connection, _run_source(scope, connection.dialect.name), request)
        return read_table(connection, rows, columns)

    @read_transaction
    def run_page(
        self,
        connection: Connection,
        scope: RunScope,
        request: SearchRequest,
        choose: Callable[[Mapping[Kind, Sequence[str]]], TableColumns],
    ) -> RunTable:
        """Return a page of runs as columns; `RunTable.token` is the next page's.

        `choose` gets the keys that the first runs of the page have, the most frequent first, and names the columns.
        """
        if not scope.experiments:
            return read_table(connection, [], choose({}))
        find_bound = functools.partial(_oldest_start, connection, scope, request)
        rows, token = search_rows(connection, _run_source(scope, connection.dialect.name), request, find_bound)
        shown = [row.id for row in rows[:_PROBED_RUNS]]
        dialect = connection.dialect.name
        parameter = keys_parameter(dialect, shown)
        queries = [_frequent_keys(dialect, kind).statement(connection, parameter) for kind in _KEYED]
        run_all(connection, *queries)
        keys = {kind: [key for (key,) in query.rows] for kind, query in zip(_KEYED, queries, strict=True)}
        return replace(read_table(connection, rows, choose(keys)), token=token)

    @read_transaction
    def recent_keys(
        self, connection: Connection, scope: RunScope, kind: Kind, containing: str, limit: int
    ) -> list[str]:
        """Return the keys, sorted, that contain a text and that one of the newest 2,000 runs has."""
        if not scope.experiments:
            return []
        dialect = connection.dialect.name
        newest = (
            select(RunRow.id)
            .where(is_one_of(RunRow.experiment_id, scope.experiments, dialect))
            .where(is_one_of(RunRow.lifecycle_stage, scope.stages, dialect))
            .order_by(RunRow.start_time.desc(), RunRow.run_id)
            .limit(_RECENT_RUNS)
        )
        keyed = table(_KEYED[kind]).c
        query = select(keyed.key).where(keyed.run_id.in_(newest)).distinct()
        if containing:
            query = query.where(func.lower(keyed.key).contains(containing.lower(), autoescape=True))
        return sorted(connection.execute(query.order_by(keyed.key).limit(limit)).scalars())

    @read_transaction
    def known_keys_without(self, connection: Connection, scope: RunScope, field: Field) -> list[str] | None:
        """Return the keys that the runs have of a field's kind, at most 10,000; None if a run has the field itself."""
        keyed = table(_KEYED[field.kind]).c
        query = select(keyed.key).join(RunRow, RunRow.id == keyed.run_id)
        dialect = connection.dialect.name
        query = query.where(
            is_one_of(RunRow.experiment_id, scope.experiments, dialect),
            is_one_of(RunRow.lifecycle_stage, scope.stages, dialect),
        )
        if connection.execute(query.where(keyed.key == field.key).limit(1)).first() is not None:
            return None
        return list(connection.execute(query.distinct().limit(_MAX_KEYS)).scalars())


def _oldest_start(
    connection: Connection, scope: RunScope, request: SearchRequest, cursor: Cursor | None
) -> ColumnElement[bool] | None:
    """Return a bound of the start times of a page of the newest runs of several experiments, or None.

    Without it, all runs of the experiments would be sorted. The index has those of each experiment by start time, and
    an experiment that fills the page by itself bounds it.
    """
    newest_first = request.order_by[0] if request.order_by else _NEWEST_FIRST
    is_wide = len(scope.experiments) > 1 and len(scope.stages) == 1
    if request.filter is not None or newest_first != _NEWEST_FIRST or not is_wide:
        return None
    of_experiment = [RunRow.experiment_id == ExperimentRow.id, RunRow.lifecycle_stage == scope.stages[0]]
    if cursor is not None:
        of_experiment.append(RunRow.start_time < bind_value(cursor.values[0] or 0))
    last_of_page = (
        select(RunRow.start_time)
        .where(*of_experiment)
        .order_by(RunRow.start_time.desc())
        .limit(1)
        .offset(request.max_results)
        .correlate(ExperimentRow)
        .scalar_subquery()
    )
    experiments = is_one_of(ExperimentRow.id, scope.experiments, connection.dialect.name)
    oldest = connection.execute(select(func.max(last_of_page)).where(experiments)).scalar_one()
    return None if oldest is None else RunRow.start_time >= oldest


@functools.cache
def _frequent_keys(dialect: str, kind: Kind) -> Compiled:
    keyed = table(_KEYED[kind]).c
    query = select(keyed.key).where(in_keys(dialect, keyed.run_id)).group_by(keyed.key)
    return Compiled(query.order_by(func.count().desc(), keyed.key).limit(_PROBED_KEYS))


@functools.lru_cache(maxsize=256)
def _run_source(scope: RunScope, dialect: str) -> SearchSource:
    statement = select(RunRow.__table__, _LOCATION.label("artifact_location")).select_from(RunRow)
    statement = statement.where(is_one_of(RunRow.lifecycle_stage, scope.stages, dialect))
    return SearchSource(statement, _run_fields(scope, dialect), _RUN_TIES, ("runs", scope), dialect)


def _run_fields(scope: RunScope, dialect: str) -> FieldMap:
    run = table(RunRow).c
    location = by_code_point(func.rtrim(_LOCATION, "/"), dialect)
    return FieldMap(
        attributes={
            "run_id": Column(run.run_id),
            "run_name": Column(run.name),
            "experiment_id": Column(cast(run.experiment_id, Text), order=run.experiment_id),
            "user_id": Column(run.user_id),
            "status": Column(run.status),
            "lifecycle_stage": Column(run.lifecycle_stage),
            "artifact_uri": Column(func.coalesce(run.adopted_location, location + "/" + run.run_id + "/artifacts")),
            "start_time": Column(run.start_time),
            "end_time": Column(run.end_time, nullable=True),
        },
        keyed={
            Kind.METRIC: KeyValueTable(
                LatestMetricRow,
                "run_id",
                run.id,
                has_nan=True,
                scope={"experiment_id": scope.experiments},
                dialect=dialect,
            ),
            Kind.PARAM: KeyValueTable(ParamRow, "run_id", run.id),
            Kind.TAG: KeyValueTable(TagRow, "run_id", run.id),
        },
        datasets=_datasets(run.id),
        scope=is_one_of(run.experiment_id, scope.experiments, dialect),
    )


def _datasets(run_key: ColumnElement[int]) -> dict[str, RelatedRows]:
    of_run = DatasetInputRow.run_id == run_key
    of_input = DatasetInputRow.dataset_id == DatasetRow.id
    return {
        "name": RelatedRows(DatasetRow.name, (of_run, of_input)),
        "digest": RelatedRows(DatasetRow.digest, (of_run, of_input)),
        # The empty text means no context.
        "context": RelatedRows(DatasetInputRow.context, (of_run, DatasetInputRow.context != "")),
    }


__all__ = ["RunScope", "RunSearch"]
