"""Fixtures of the tests of monitors: a client on each database, and raw SQL."""

import pytest
from governed_models import RawSql, raw_sql

import registry


@pytest.fixture
def client(database_url: str) -> registry.MlflowClient:
    """A client of a new registry on each database, which module-level functions use too."""
    registry.set_tracking_uri(database_url)
    return registry.MlflowClient()


@pytest.fixture
def sql(database_url: str) -> RawSql:
    """A function that runs one SQL statement past the library."""
    return raw_sql(database_url)
