"""Artifact paths as people write them for MLflow."""

from pathlib import Path

import pytest

from registry import MlflowClient, artifacts
from registry.exceptions import InvalidPathError


@pytest.fixture
def client(sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    monkeypatch.setenv("REGISTRY_ARTIFACT_LOCATION", str(tmp_path / "artifacts"))
    monkeypatch.setenv("REGISTRY_TRACKING_URI", sqlite_url)
    return MlflowClient(sqlite_url)


@pytest.fixture
def run_id(client: MlflowClient) -> str:
    return client.create_run("0").info.run_id


def listed(client: MlflowClient, run_id: str, path: str | None = None) -> list[str]:
    return [info.path for info in client.list_artifacts(run_id, path)]


def test_a_leading_dot_and_a_slash_at_the_end_are_taken_off(client: MlflowClient, run_id: str, tmp_path: Path) -> None:
    client.log_text(run_id, "x", "./a.txt")
    client.log_dict(run_id, {}, "./images/b.json")
    (tmp_path / "c.txt").write_text("x")
    client.log_artifact(run_id, tmp_path / "c.txt", "images/")
    assert listed(client, run_id) == listed(client, run_id, "./") == ["a.txt", "images"]
    assert listed(client, run_id, "images/") == listed(client, run_id, "./images") == ["images/b.json", "images/c.txt"]
    assert Path(client.download_artifacts(run_id, "./images/", tmp_path / "to")).name == "images"


def test_a_colon_is_a_character_of_a_name(client: MlflowClient, run_id: str, tmp_path: Path) -> None:
    client.log_text(run_id, "x", "x:y.csv")
    assert listed(client, run_id) == ["x:y.csv"]
    assert Path(client.download_artifacts(run_id, "x:y.csv", tmp_path)).read_text() == "x"
    assert artifacts.load_text(f"runs:/{run_id}/x:y.csv") == "x"


@pytest.mark.parametrize(
    "path", ["../a", "./../a", "a/../../b", "/a", ".//a", "a//", "././a", "C:/a", "C:\\a", ".", ".."]
)
def test_what_leaves_the_root_stays_refused(client: MlflowClient, run_id: str, path: str) -> None:
    with pytest.raises(InvalidPathError):
        client.log_text(run_id, "x", path)
    with pytest.raises(InvalidPathError):
        client.list_artifacts(run_id, path)


def test_paths_of_a_uri_are_relative_to_it(client: MlflowClient, run_id: str) -> None:
    client.log_text(run_id, "x", "a/b/c.txt")
    root = client.get_run(run_id).info.artifact_uri
    for uri in (f"runs:/{run_id}/a", f"{root}/a"):
        assert [info.path for info in artifacts.list_artifacts(uri)] == ["b"]
        assert [info.path for info in artifacts.list_artifacts(f"{uri}/b")] == ["c.txt"]
    assert [info.path for info in artifacts.list_artifacts(run_id=run_id, artifact_path="a/b")] == ["a/b/c.txt"]
