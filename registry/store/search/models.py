"""Searching registered models; deleted ones are not found."""

import functools
from typing import Final

from sqlalchemy import Connection, select

from registry.entities import PagedList
from registry.entities.model_registry import RegisteredModel
from registry.filters import Kind
from registry.store.catalog.reading import read_models
from registry.store.scopes import Store, reads
from registry.store.search.places import Column, Keyed, Places, Rows
from registry.store.search.subject import Searched, Wanted, search
from registry.store.search.values import by_code_point
from registry.store.tables import ModelAliasRow, RegisteredModelRow, RegisteredModelTagRow

TIES: Final = (("name", True),)


class ModelSearch(Store):
    """Finds registered models."""

    @reads
    def models(self, connection: Connection, wanted: Wanted) -> PagedList[RegisteredModel]:
        """A page of the registered models, by name unless ordered otherwise, with tags and aliases.

        Raises:
            InvalidParameterError: the page token is not of this query.
        """
        return search(connection, _searched(connection.dialect.name), wanted, read_models)


@functools.cache
def _searched(dialect: str) -> Searched:
    statement = select(RegisteredModelRow.__table__).where(RegisteredModelRow.deleted_time.is_(None))
    return Searched(statement, _places(dialect), TIES, ("models",), dialect)


def _places(dialect: str) -> Places:
    return Places(
        attributes={
            "name": Column(RegisteredModelRow.name),
            "description": Column(by_code_point(RegisteredModelRow.description, dialect), nullable=True),
            "alias": Rows(ModelAliasRow.alias, (ModelAliasRow.model_id == RegisteredModelRow.id,)),
            "creation_timestamp": Column(RegisteredModelRow.creation_time),
            "last_updated_timestamp": Column(RegisteredModelRow.last_update_time),
        },
        keyed={Kind.TAG: Keyed(RegisteredModelTagRow, "model_id", RegisteredModelRow.id)},
    )
