"""Searches for registered models, model versions and logged models; deleted ones are never found."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Text, and_, cast, literal, or_, select

from registry.entities import LifecycleStage, LoggedModel, PagedList
from registry.entities.model_registry import ModelVersion, ModelVersionStatus, RegisteredModel
from registry.filters import Kind
from registry.store.dialects import table
from registry.store.logged_models.read import read_logged_models, select_logged_models
from registry.store.registry.queries import read_models, read_versions, select_versions
from registry.store.search.conditions import exists_row
from registry.store.search.field_mapping import Column, FieldMap, JoinedRow, KeyValueTable, RelatedRows, is_one_of
from registry.store.search.query import SearchRequest, SearchSource, search
from registry.store.search.values import by_code_point
from registry.store.tables import (
    KEY,
    LatestMetricRow,
    LoggedModelMetricRow,
    LoggedModelParamRow,
    LoggedModelRow,
    LoggedModelTagRow,
    ModelAliasRow,
    ModelVersionRow,
    ModelVersionTagRow,
    ParamRow,
    RegisteredModelRow,
    RegisteredModelTagRow,
    RunRow,
    StagePeriodRow,
)
from registry.store.transactions import Store, read_transaction

_MODEL_TIES: Final = (("name", True),)


class ModelSearch(Store):
    """Search for registered models."""

    @read_transaction
    def models(self, connection: Connection, request: SearchRequest) -> PagedList[RegisteredModel]:
        """Return a page of registered models with tags and aliases; the default order is by name."""
        return search(connection, _model_source(connection.dialect.name), request, read_models)


@functools.cache
def _model_source(dialect: str) -> SearchSource:
    statement = select(RegisteredModelRow.__table__).where(RegisteredModelRow.deleted_time.is_(None))
    return SearchSource(statement, _model_fields(dialect), _MODEL_TIES, ("models",), dialect)


def _model_fields(dialect: str) -> FieldMap:
    return FieldMap(
        attributes={
            "name": Column(RegisteredModelRow.name),
            "description": Column(by_code_point(RegisteredModelRow.description, dialect), nullable=True),
            "alias": RelatedRows(ModelAliasRow.alias, (ModelAliasRow.model_id == RegisteredModelRow.id,)),
            "creation_timestamp": Column(RegisteredModelRow.creation_time),
            "last_updated_timestamp": Column(RegisteredModelRow.last_update_time),
        },
        keyed={Kind.TAG: KeyValueTable(RegisteredModelTagRow, "model_id", RegisteredModelRow.id)},
    )


_VERSION_TIES: Final = (("last_updated_timestamp", False), ("name", True), ("version", False))


class VersionSearch(Store):
    """Search for model versions."""

    @read_transaction
    def versions(self, connection: Connection, request: SearchRequest) -> PagedList[ModelVersion]:
        """Return a page of the versions of all models with tags and aliases; by default last updated first."""
        return search(connection, _version_source(connection.dialect.name), request, read_versions)


@functools.cache
def _version_source(dialect: str) -> SearchSource:
    statement = select_versions().outerjoin(RunRow, RunRow.run_id == ModelVersionRow.run_id)
    return SearchSource(statement, _version_fields(dialect), _VERSION_TIES, ("versions",), dialect)


def _version_fields(dialect: str) -> FieldMap:
    version = ModelVersionRow
    has_alias = (ModelAliasRow.model_id == version.model_id, ModelAliasRow.version == version.version)
    held_stage = (StagePeriodRow.model_id == version.model_id, StagePeriodRow.version == version.version)
    return FieldMap(
        attributes={
            "name": Column(RegisteredModelRow.name),
            "version": Column(version.version),
            "current_stage": Column(version.current_stage),
            "ever_stage": RelatedRows(StagePeriodRow.stage, held_stage),
            "alias": RelatedRows(ModelAliasRow.alias, has_alias),
            "status": Column(literal(ModelVersionStatus.READY.value, KEY)),
            "description": Column(by_code_point(version.description, dialect), nullable=True),
            "user_id": Column(version.user_id, nullable=True),
            "run_id": Column(version.run_id, nullable=True),
            "run_link": Column(by_code_point(version.run_link, dialect), nullable=True),
            "source": Column(by_code_point(version.source, dialect)),
            "model_id": Column(LoggedModelRow.model_id),
            "digest": Column(LoggedModelRow.digest, nullable=True),
            "creation_timestamp": Column(version.creation_time),
            "last_updated_timestamp": Column(version.last_update_time),
        },
        keyed={
            Kind.METRIC: KeyValueTable(LatestMetricRow, "run_id", RunRow.id, has_nan=True),
            Kind.PARAM: KeyValueTable(ParamRow, "run_id", RunRow.id),
            Kind.TAG: KeyValueTable(ModelVersionTagRow, "version_id", version.id),
        },
    )


_LOGGED_MODEL_TIES: Final = (("creation_timestamp", False), ("model_id", True))


@dataclass(frozen=True, slots=True)
class MetricDataset:
    """The data set on which a metric was measured: its name and, unless None, its digest."""

    name: str
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class LoggedModelScope:
    """The experiments to search (by key), and the data sets whose metrics the filter uses; empty means all.

    `ordering` maps the key of a metric in order_by to the data set whose values it uses.
    """

    experiments: tuple[int, ...]
    datasets: tuple[MetricDataset, ...] = ()
    ordering: tuple[tuple[str, MetricDataset], ...] = ()


class LoggedModelSearch(Store):
    """Search for logged models."""

    @read_transaction
    def logged_models(
        self, connection: Connection, scope: LoggedModelScope, request: SearchRequest
    ) -> PagedList[LoggedModel]:
        """Return a page of the logged models of some experiments; by default newest first."""
        if not scope.experiments:
            return PagedList()
        return search(connection, _logged_model_source(scope, connection.dialect.name), request, read_logged_models)


@functools.lru_cache(maxsize=256)
def _logged_model_source(scope: LoggedModelScope, dialect: str) -> SearchSource:
    statement = select_logged_models().where(
        is_one_of(LoggedModelRow.experiment_id, scope.experiments, dialect),
        LoggedModelRow.lifecycle_stage == LifecycleStage.ACTIVE,
    )
    if scope.datasets:
        of_model = LoggedModelMetricRow.logged_model_id == LoggedModelRow.id
        points = RelatedRows(LoggedModelMetricRow.value, (of_model, _on_any_dataset(scope.datasets)))
        statement = statement.where(exists_row(points, dialect=dialect))
    return SearchSource(
        statement, _logged_model_fields(scope, dialect), _LOGGED_MODEL_TIES, ("logged models", scope), dialect
    )


class _ModelMetricTable(KeyValueTable):
    """The metric points of logged models; an ordering uses the latest point."""

    def __init__(self, scope: LoggedModelScope) -> None:
        super().__init__(LoggedModelMetricRow, "logged_model_id", LoggedModelRow.id, has_nan=True)
        self.datasets = scope.datasets
        self.ordering = dict(scope.ordering)

    def rows(self, key: str) -> RelatedRows:
        rows = super().rows(key)
        if not self.datasets:
            return rows
        return RelatedRows(rows.value, (*rows.where, _on_any_dataset(self.datasets)), has_nan=True)

    def join(self, key: str) -> JoinedRow:
        """Return the latest point of a key on the data set that the ordering names."""
        point, latest = self.table.alias(), self.table.alias()
        of_key = [latest.c.logged_model_id == self.subject_key, latest.c.key == key]
        if key in self.ordering:
            dataset = self.ordering[key]
            of_key.append(_is_dataset(dataset, latest.c))
        newest = (
            select(latest.c.id)
            .where(*of_key)
            .order_by(latest.c.timestamp.desc(), latest.c.step.desc(), latest.c.id.desc())
            .limit(1)
            .correlate(LoggedModelRow)
            .scalar_subquery()
        )
        return JoinedRow(point, point.c.id == newest)


def _on_any_dataset(datasets: Sequence[MetricDataset]) -> ColumnElement[bool]:
    return or_(*(_is_dataset(dataset, table(LoggedModelMetricRow).c) for dataset in datasets))


def _is_dataset(dataset: MetricDataset, columns: Any) -> ColumnElement[bool]:
    has_name = columns.dataset_name == dataset.name
    return has_name if dataset.digest is None else and_(has_name, columns.dataset_digest == dataset.digest)


def _logged_model_fields(scope: LoggedModelScope, dialect: str) -> FieldMap:
    model = LoggedModelRow
    return FieldMap(
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
            Kind.METRIC: _ModelMetricTable(scope),
            Kind.PARAM: KeyValueTable(LoggedModelParamRow, "logged_model_id", model.id),
            Kind.TAG: KeyValueTable(LoggedModelTagRow, "logged_model_id", model.id),
        },
    )
