"""Where a test's artifacts go: a local directory, or a fresh prefix of moto's S3; runs are in SQLite either way."""

from pathlib import Path

import pytest
from travelling_models import open_registry, train_version

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


@pytest.fixture(scope="session")
def export_bytes() -> list[bytes]:
    """The export that hostile tests change, once one of them has made it."""
    return []


@pytest.fixture
def exported(own_place: Path, export_bytes: list[bytes]) -> Path:
    """An export of a model with two versions, one of them in Production, that a test may change."""
    path = own_place / "churn.zip"
    if not export_bytes:
        client = open_registry("sqlite:///dev.db", f"{own_place}/dev")
        train_version(client)
        train_version(client)
        client.transition_model_version_stage("churn", 1, "Production")
        client.set_registered_model_alias("churn", "champion", 1)
        client.set_promotion_rules("churn", "Production", [registry.MetricAtLeast("auc", 0.8)])
        export_bytes.append(client.export_model("churn", path).read_bytes())
    path.write_bytes(export_bytes[0])
    return path


@pytest.fixture
def target(sqlite_url: str, own_place: Path) -> MlflowClient:
    """An empty registry that an export is to come into."""
    return open_registry(sqlite_url, f"{own_place}/target")
