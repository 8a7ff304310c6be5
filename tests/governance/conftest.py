"""What the tests of this directory share: a registry on each database that module-level functions speak to, raw SQL."""

import pytest
from governed_models import RawSql, raw_sql

import registry


@pytest.fixture
def client(database_url: str) -> registry.MlflowClient:
    """A client of a new registry on each database, which is also where module-level functions work."""
    registry.set_tracking_uri(database_url)
    return registry.MlflowClient()


@pytest.fixture
def sql(database_url: str) -> RawSql:
    """Runs one statement behind the library's back."""
    return raw_sql(database_url)
