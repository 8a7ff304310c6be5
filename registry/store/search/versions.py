"""Searching model versions, by themselves and by the run that they came from; deleted ones are not found."""

import functools
from typing import Final

from sqlalchemy import Connection, literal

from registry.entities import PagedList
from registry.entities.model_registry import ModelVersion, ModelVersionStatus
from registry.filters import Kind
from registry.store.catalog.reading import read_versions, select_versions
from registry.store.scopes import Store, reads
from registry.store.search.places import Column, Keyed, Places, Rows
from registry.store.search.subject import Searched, Wanted, search
from registry.store.search.values import by_code_point
from registry.store.tables import (
    KEY,
    LatestMetricRow,
    LoggedModelRow,
    ModelAliasRow,
    ModelVersionRow,
    ModelVersionTagRow,
    ParamRow,
    RegisteredModelRow,
    RunRow,
    StagePeriodRow,
)

TIES: Final = (("last_updated_timestamp", False), ("name", True), ("version", False))


class VersionSearch(Store):
    """Finds model versions."""

    @reads
    def versions(self, connection: Connection, wanted: Wanted) -> PagedList[ModelVersion]:
        """A page of the versions of all models, last updated first unless ordered otherwise, with tags and aliases.

        Raises:
            InvalidParameterError: the page token is not of this query.
        """
        return search(connection, _searched(connection.dialect.name), wanted, read_versions)


@functools.cache
def _searched(dialect: str) -> Searched:
    statement = select_versions().outerjoin(RunRow, RunRow.run_id == ModelVersionRow.run_id)
    return Searched(statement, _places(dialect), TIES, ("versions",), dialect)


def _places(dialect: str) -> Places:
    version = ModelVersionRow
    named = (ModelAliasRow.model_id == version.model_id, ModelAliasRow.version == version.version)
    held = (StagePeriodRow.model_id == version.model_id, StagePeriodRow.version == version.version)
    return Places(
        attributes={
            "name": Column(RegisteredModelRow.name),
            "version": Column(version.version),
            "current_stage": Column(version.current_stage),
            "ever_stage": Rows(StagePeriodRow.stage, held),
            "alias": Rows(ModelAliasRow.alias, named),
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
            Kind.METRIC: Keyed(LatestMetricRow, "run_id", RunRow.id, has_nan=True),
            Kind.PARAM: Keyed(ParamRow, "run_id", RunRow.id),
            Kind.TAG: Keyed(ModelVersionTagRow, "version_id", version.id),
        },
    )
