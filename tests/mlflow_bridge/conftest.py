"""Fixtures: the archives of MLflow's versions, and an empty registry."""

from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow_stores import MlflowStore

Unpack = Callable[[str], MlflowStore]


@pytest.fixture
def unpack(tmp_path: Path) -> Unpack:
    """Return a function that unpacks the archive of a version of MLflow."""
    return lambda version: MlflowStore(version, tmp_path / f"mlflow-{version}")


@pytest.fixture
def registry_url(own_place: Path) -> str:
    """Return the URL of an empty registry on SQLite."""
    return f"sqlite:///{own_place / 'registry.db'}"
