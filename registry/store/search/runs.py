"""Searching runs.

Invariant: a page costs what it shows: the runs of other experiments are not read, and an order by a metric follows the
index on its values.
"""

import functools
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, Connection, Text, cast, func, select

from registry.entities import PagedList, Run
from registry.filters import Kind
from registry.store.runs import read_runs
from registry.store.scopes import Store, reads
from registry.store.search.frames import RunTable, TableColumns, read_table
from registry.store.search.places import Column, Keyed, Places, Rows, one_of
from registry.store.search.subject import Searched, Wanted, search
from registry.store.search.values import by_code_point
from registry.store.statements import table
from registry.store.tables import DatasetInputRow, DatasetRow, ExperimentRow, LatestMetricRow, ParamRow, RunRow, TagRow

TIES: Final = (("start_time", False), ("run_id", True))

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

    @reads
    def runs(self, connection: Connection, scope: RunScope, wanted: Wanted) -> PagedList[Run]:
        """A page of the runs of some experiments, newest first unless ordered otherwise.

        Raises:
            InvalidParameterError: the page token is not of this query.
        """
        if not scope.experiments:
            return PagedList()
        return search(connection, _searched(scope, connection.dialect.name), wanted, read_runs)

    @reads
    def run_table(self, connection: Connection, scope: RunScope, wanted: Wanted, columns: TableColumns) -> RunTable:
        """The same as columns, all in one snapshot; `wanted.max_results` limits it, there are no pages."""
        if not scope.experiments:
            return read_table(connection, [], columns)
        rows = search(connection, _searched(scope, connection.dialect.name), wanted, lambda _, found: list(found))
        return read_table(connection, rows, columns)


@functools.lru_cache(maxsize=256)
def _searched(scope: RunScope, dialect: str) -> Searched:
    statement = select(RunRow.__table__, _LOCATION.label("artifact_location"))
    statement = statement.where(one_of(RunRow.lifecycle_stage, scope.stages))
    return Searched(statement, _places(scope, dialect), TIES, ("runs", scope), dialect)


def _places(scope: RunScope, dialect: str) -> Places:
    run = table(RunRow).c
    location = by_code_point(func.rtrim(_LOCATION, "/"), dialect)
    return Places(
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
            Kind.METRIC: Keyed(
                LatestMetricRow, "run_id", run.id, has_nan=True, scope={"experiment_id": scope.experiments}
            ),
            Kind.PARAM: Keyed(ParamRow, "run_id", run.id),
            Kind.TAG: Keyed(TagRow, "run_id", run.id),
        },
        datasets=_datasets(run.id),
        scope=one_of(run.experiment_id, scope.experiments),
    )


def _datasets(run_key: ColumnElement[int]) -> dict[str, Rows]:
    used = DatasetInputRow.run_id == run_key
    known = DatasetInputRow.dataset_id == DatasetRow.id
    return {
        "name": Rows(DatasetRow.name, (used, known)),
        "digest": Rows(DatasetRow.digest, (used, known)),
        # The empty text stands for no context.
        "context": Rows(DatasetInputRow.context, (used, DatasetInputRow.context != "")),
    }


__all__ = ["RunScope", "RunSearch"]
