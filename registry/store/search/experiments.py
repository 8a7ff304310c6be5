"""Searching experiments."""

import functools
from typing import Final

from sqlalchemy import Connection, Text, cast, select

from registry.entities import Experiment, PagedList
from registry.filters import Kind
from registry.store.experiments import read_experiments
from registry.store.scopes import Store, reads
from registry.store.search.places import Column, Keyed, Places, one_of
from registry.store.search.subject import Searched, Wanted, search
from registry.store.search.values import by_code_point
from registry.store.tables import ExperimentRow, ExperimentTagRow

TIES: Final = (("creation_time", False), ("experiment_id", True))


class ExperimentSearch(Store):
    """Finds experiments."""

    @reads
    def experiments(self, connection: Connection, stages: tuple[str, ...], wanted: Wanted) -> PagedList[Experiment]:
        """A page of the experiments in these lifecycle stages, newest first unless ordered otherwise.

        Raises:
            InvalidParameterError: the page token is not of this query.
        """
        return search(connection, _searched(stages, connection.dialect.name), wanted, read_experiments)


@functools.cache
def _searched(stages: tuple[str, ...], dialect: str) -> Searched:
    statement = select(ExperimentRow.__table__).where(one_of(ExperimentRow.lifecycle_stage, stages))
    return Searched(statement, _places(dialect), TIES, ("experiments", stages), dialect)


def _places(dialect: str) -> Places:
    return Places(
        attributes={
            "name": Column(ExperimentRow.name),
            "experiment_id": Column(cast(ExperimentRow.id, Text), order=ExperimentRow.id),
            "lifecycle_stage": Column(ExperimentRow.lifecycle_stage),
            "artifact_location": Column(by_code_point(ExperimentRow.artifact_location, dialect)),
            "creation_time": Column(ExperimentRow.creation_time),
            "last_update_time": Column(ExperimentRow.last_update_time),
        },
        keyed={Kind.TAG: Keyed(ExperimentTagRow, "experiment_id", ExperimentRow.id)},
    )
