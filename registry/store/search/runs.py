"""Searching runs.

Invariant: a page costs what it shows: the runs of other experiments are not read, and an order by a metric follows the
index on its values.
"""

import functools
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, Connection, Text, cast, func, select

from registry.entities import Experiment, PagedList, Run
from registry.filters import Field, Kind
from registry.store.dialects import table
from registry.store.search.columnar import RunTable, TableColumns, read_table
from registry.store.search.field_mapping import Column, FieldMap, KeyValueTable, RelatedRows, one_of
from registry.store.search.query import SearchRequest, SearchSource, search
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
from registry.store.tracking.runs import read_runs
from registry.store.transactions import Store, read_transaction

_EXPERIMENT_TIES: Final = (("creation_time", False), ("experiment_id", True))


class ExperimentSearch(Store):
    """Finds experiments."""

    @read_transaction
    def experiments(
        self, connection: Connection, stages: tuple[str, ...], wanted: SearchRequest
    ) -> PagedList[Experiment]:
        """A page of the experiments in these lifecycle stages, newest first unless ordered otherwise.

        Raises:
            InvalidParameterError: the page token is not of this query.
        """
        return search(connection, _experiment_source(stages, connection.dialect.name), wanted, read_experiments)


@functools.cache
def _experiment_source(stages: tuple[str, ...], dialect: str) -> SearchSource:
    statement = select(ExperimentRow.__table__).where(
        one_of(ExperimentRow.lifecycle_stage, stages, dialect), ExperimentRow.purged_time.is_(None)
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

_MAX_KEYS: Final = 10_000
_KEYED: Final = {Kind.METRIC: LatestMetricRow, Kind.PARAM: ParamRow, Kind.TAG: TagRow}

# Not joined: each table more makes the planning of a statement longer.
_LOCATION: Final = (
    select(ExperimentRow.artifact_location).where(ExperimentRow.id == RunRow.experiment_id).scalar_subquery()
)


@dataclass(frozen=True, slots=True)
class RunScope:
    """The experiments (by key) and lifecycle stages that are looked at."""

    experiments: tuple[int, ...]
    stages: tuple[str, ...]


class RunSearch(Store):
    """Finds runs."""

    @read_transaction
    def runs(self, connection: Connection, scope: RunScope, wanted: SearchRequest) -> PagedList[Run]:
        """A page of the runs of some experiments, newest first unless ordered otherwise.

        Raises:
            InvalidParameterError: the page token is not of this query.
        """
        if not scope.experiments:
            return PagedList()
        return search(connection, _run_source(scope, connection.dialect.name), wanted, read_runs)

    @read_transaction
    def run_table(
        self, connection: Connection, scope: RunScope, wanted: SearchRequest, columns: TableColumns
    ) -> RunTable:
        """The same as columns, all in one snapshot; `wanted.max_results` limits it, there are no pages."""
        if not scope.experiments:
            return read_table(connection, [], columns)
        rows = search(connection, _run_source(scope, connection.dialect.name), wanted, lambda _, found: list(found))
        return read_table(connection, rows, columns)

    @read_transaction
    def known_keys_without(self, connection: Connection, scope: RunScope, field: Field) -> list[str] | None:
        """Return the keys that the runs have of a field's kind, at most 10,000; None if a run has the field itself."""
        keyed = table(_KEYED[field.kind]).c
        query = select(keyed.key).join(RunRow, RunRow.id == keyed.run_id)
        dialect = connection.dialect.name
        query = query.where(
            one_of(RunRow.experiment_id, scope.experiments, dialect),
            one_of(RunRow.lifecycle_stage, scope.stages, dialect),
        )
        if connection.execute(query.where(keyed.key == field.key).limit(1)).first() is not None:
            return None
        return list(connection.execute(query.distinct().limit(_MAX_KEYS)).scalars())


@functools.lru_cache(maxsize=256)
def _run_source(scope: RunScope, dialect: str) -> SearchSource:
    statement = select(RunRow.__table__, _LOCATION.label("artifact_location"))
    statement = statement.where(one_of(RunRow.lifecycle_stage, scope.stages, dialect))
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
            "artifact_uri": Column(location + "/" + run.run_id + "/artifacts"),
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
        scope=one_of(run.experiment_id, scope.experiments, dialect),
    )


def _datasets(run_key: ColumnElement[int]) -> dict[str, RelatedRows]:
    used = DatasetInputRow.run_id == run_key
    known = DatasetInputRow.dataset_id == DatasetRow.id
    return {
        "name": RelatedRows(DatasetRow.name, (used, known)),
        "digest": RelatedRows(DatasetRow.digest, (used, known)),
        # The empty text stands for no context.
        "context": RelatedRows(DatasetInputRow.context, (used, DatasetInputRow.context != "")),
    }


__all__ = ["RunScope", "RunSearch"]
