"""Fixtures of all tests: a place of its own per test, and the servers that some tests need."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest_plugins = ["crashing", "gc_places", "mlflow_environment", "postgres_server", "s3_servers"]

_OURS = ("REGISTRY_", "MLFLOW_", "AWS_")


@pytest.fixture(autouse=True)
def own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Every test works in a directory of its own, without settings from outside, and leaves nothing active or open."""
    outside = _variables()
    for name in outside:
        del os.environ[name]
    os.environ["REGISTRY_CACHE_DIR"] = str(tmp_path / "cache")
    os.environ["REGISTRY_ACTOR"] = "tester"
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    yield work
    _forget()
    for name in _variables():
        del os.environ[name]
    os.environ.update(outside)


def _variables() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if name.startswith(_OURS) and not name.startswith("REGISTRY_TEST_")
    }


def _forget() -> None:
    """Let go of active runs and of open databases; what was never imported has none."""
    if state := sys.modules.get("registry.fluent.state"):
        state._stack.set(())
        state._last_run_id.set(None)
        state._client.cache_clear()
    if models := sys.modules.get("registry.fluent.logged_models"):
        models._last_model_id.set(None)
    if backend := sys.modules.get("registry.client.backend"):
        backend._open.cache_clear()
    if settings := sys.modules.get("registry.settings"):
        settings.forget_bases()
    if engine := sys.modules.get("registry.store.engine"):
        engine.disconnect_all()
