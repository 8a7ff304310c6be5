"""Searching logged models; deleted ones are not found.

A model has many points of a metric, from runs, steps and data sets. A filter holds if one of them does; an order goes
by the latest (timestamp, then step).
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Text, and_, cast, or_, select

from registry.entities import LifecycleStage, LoggedModel, PagedList
from registry.filters import Kind
from registry.store.logged_models import read_logged_models, select_logged_models
from registry.store.scopes import Store, reads
from registry.store.search.conditions import there_are
from registry.store.search.places import Column, Joined, Keyed, Places, Rows, one_of
from registry.store.search.subject import Searched, Wanted, search
from registry.store.search.values import by_code_point
from registry.store.statements import table
from registry.store.tables import (
    LoggedModelMetricRow,
    LoggedModelParamRow,
    LoggedModelRow,
    LoggedModelTagRow,
    RunRow,
)

TIES: Final = (("creation_timestamp", False), ("model_id", True))


@dataclass(frozen=True, slots=True)
class MetricDataset:
    """The data set on which a metric was measured, by name and, unless None, digest."""

    name: str
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class LoggedModelScope:
    """The experiments (by key), and the data sets that count for metrics in the filter; none given, all count.

    `ordering` are data sets that count for a metric in the order, by its key.
    """

    experiments: tuple[int, ...]
    datasets: tuple[MetricDataset, ...] = ()
    ordering: tuple[tuple[str, MetricDataset], ...] = ()


class LoggedModelSearch(Store):
    """Finds logged models."""

    @reads
    def logged_models(self, connection: Connection, scope: LoggedModelScope, wanted: Wanted) -> PagedList[LoggedModel]:
        """A page of the logged models of some experiments, newest first unless ordered otherwise.

        Raises:
            InvalidParameterError: the page token is not of this query.
        """
        if not scope.experiments:
            return PagedList()
        return search(connection, _searched(scope, connection.dialect.name), wanted, read_logged_models)


@functools.lru_cache(maxsize=256)
def _searched(scope: LoggedModelScope, dialect: str) -> Searched:
    statement = select_logged_models().where(
        one_of(LoggedModelRow.experiment_id, scope.experiments),
        LoggedModelRow.lifecycle_stage == LifecycleStage.ACTIVE,
    )
    if scope.datasets:
        measured = LoggedModelMetricRow.logged_model_id == LoggedModelRow.id
        points = Rows(LoggedModelMetricRow.value, (measured, _on(scope.datasets)))
        statement = statement.where(there_are(points, dialect=dialect))
    return Searched(statement, _places(scope, dialect), TIES, ("logged models", scope), dialect)


class _Points(Keyed):
    """The points of a metric, of which the latest is joined."""

    def __init__(self, scope: LoggedModelScope) -> None:
        super().__init__(LoggedModelMetricRow, "logged_model_id", LoggedModelRow.id, has_nan=True)
        self.datasets = scope.datasets
        self.ordering = dict(scope.ordering)

    def rows(self, key: str) -> Rows:
        found = super().rows(key)
        return Rows(found.value, (*found.where, _on(self.datasets)), has_nan=True) if self.datasets else found

    def joined(self, key: str) -> Joined:
        """The latest point of a key, on the data set that the order names."""
        point, latest = self.table.alias(), self.table.alias()
        of_key = [latest.c.logged_model_id == self.of, latest.c.key == key]
        if key in self.ordering:
            wanted = self.ordering[key]
            of_key.append(_is(wanted, latest.c))
        newest = (
            select(latest.c.id)
            .where(*of_key)
            .order_by(latest.c.timestamp.desc(), latest.c.step.desc(), latest.c.id.desc())
            .limit(1)
            .correlate(LoggedModelRow)
            .scalar_subquery()
        )
        return Joined(point, point.c.id == newest)


def _on(datasets: Sequence[MetricDataset]) -> ColumnElement[bool]:
    return or_(*(_is(dataset, table(LoggedModelMetricRow).c) for dataset in datasets))


def _is(dataset: MetricDataset, columns: Any) -> ColumnElement[bool]:
    named = columns.dataset_name == dataset.name
    return named if dataset.digest is None else and_(named, columns.dataset_digest == dataset.digest)


def _places(scope: LoggedModelScope, dialect: str) -> Places:
    model = LoggedModelRow
    return Places(
        attributes={
            "name": Column(model.name),
            "model_id": Column(model.model_id),
            "model_type": Column(by_code_point(model.model_type, dialect), nullable=True),
            "status": Column(model.status),
            "experiment_id": Column(cast(model.experiment_id, Text), order=model.experiment_id),
            "source_run_id": Column(RunRow.run_id, nullable=True),
            "digest": Column(model.digest, nullable=True),
            "creation_timestamp": Column(model.creation_time),
            "last_updated_timestamp": Column(model.last_update_time),
        },
        keyed={
            Kind.METRIC: _Points(scope),
            Kind.PARAM: Keyed(LoggedModelParamRow, "logged_model_id", model.id),
            Kind.TAG: Keyed(LoggedModelTagRow, "logged_model_id", model.id),
        },
    )
