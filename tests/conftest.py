"""Fixtures of all tests: a place of its own per test, and the servers that some tests need."""

from pathlib import Path

import pytest

pytest_plugins = ["s3_servers"]

_OURS = ("REGISTRY_", "MLFLOW_", "AWS_")


@pytest.fixture(autouse=True)
def own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test works in a directory of its own, without settings from outside and without an active run."""
    import os

    for name in [name for name in os.environ if name.startswith(_OURS) and not name.startswith("REGISTRY_TEST_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("REGISTRY_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("REGISTRY_ACTOR", "tester")
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work
