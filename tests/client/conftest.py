"""Where a test's artifacts go: a local directory, or a fresh prefix of moto's S3; runs are in SQLite either way."""

from pathlib import Path

import pytest

import registry
from registry.tracking import MlflowClient


@pytest.fixture(params=["local", "moto_s3"])
def artifact_root(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, own_place: Path) -> str:
    """The root that this test's artifacts are kept below."""
    registry.set_tracking_uri("sqlite:///registry.db")
    root = str(own_place / "artifacts")
    if request.param != "local":
        root = request.getfixturevalue("s3_environment")(request.getfixturevalue(request.param)).fresh_root()
    monkeypatch.setenv("REGISTRY_ARTIFACT_LOCATION", root)
    return root


@pytest.fixture
def client(artifact_root: str) -> MlflowClient:
    """A client of that place."""
    return MlflowClient()


@pytest.fixture
def run_id(client: MlflowClient) -> str:
    """A run in that place."""
    return client.create_run("0").info.run_id
