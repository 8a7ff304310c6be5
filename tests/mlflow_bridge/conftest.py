"""Stores that each version of MLflow really wrote (see scripts/make_mlflow_fixture.py), unpacked for one test."""

import sqlite3
import zipfile
from contextlib import closing
from pathlib import Path

import pytest

from registry.client import MlflowClient

ARCHIVES = Path(__file__).parent / "fixtures"
PLACEHOLDER = b"/mlflow-root"
VERSIONS = ["1.0", "1.30", "2.0", "2.9", "2.22", "3.1", "3.7", "3.17"]
RENAMES = {"models": {"games@nba": "games-nba"}}


class Store:
    """An unpacked archive."""

    def __init__(self, version: str, root: Path) -> None:
        self.version = tuple(map(int, version.split(".")))
        self.root = root
        with zipfile.ZipFile(ARCHIVES / f"{version}.zip") as archive:
            for name in archive.namelist():
                path = root / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(archive.read(name).replace(PLACEHOLDER, str(root).encode()))

    def database(self) -> str:
        """Make the SQLite database, and return its URL."""
        path = self.root / "mlflow.db"
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript((self.root / "database.sql").read_text(encoding="utf-8"))
        return f"sqlite:///{path}"

    @property
    def file_store(self) -> Path:
        """Return the directory ``mlruns``."""
        return self.root / "mlruns"


@pytest.fixture
def unpack(tmp_path: Path):
    """Return a function that unpacks the archive of a version of MLflow."""

    def unpacked(version: str) -> Store:
        return Store(version, tmp_path / f"mlflow-{version}")

    return unpacked


@pytest.fixture
def client(own_place: Path) -> MlflowClient:
    """Return a client of an empty registry."""
    return MlflowClient(f"sqlite:///{own_place / 'registry.db'}")
