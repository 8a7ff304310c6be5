"""Fixtures of all tests: a place of its own per test, and the servers that some tests need."""

import contextvars
import functools
import itertools
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["crashing", "gc_places", "mlflow_environment", "postgres_server", "s3_servers"]

SERVERS = {"postgres": {"postgres_server", "postgresql"}, "s3": {"moto_s3", "seaweedfs"}}
_OURS = ("REGISTRY_", "MLFLOW_", "AWS_")

# A busy machine makes no test fail: hypothesis judges what it finds, not how long that takes.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture(autouse=True)
def own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Every test works in a directory of its own, without settings from outside, and leaves nothing active or open."""
    outside = _variables()
    for name in outside:
        del os.environ[name]
    os.environ["REGISTRY_CACHE_DIR"] = str(tmp_path / "cache")
    os.environ["REGISTRY_ACTOR"] = "tester"
    os.environ["REGISTRY_DATABASE_PATIENCE"] = "1"
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    yield work
    if "registry.client.backend" in sys.modules:  # what was never imported has nothing open
        sys.modules["registry"].disconnect(timeout=30)
    if settings := sys.modules.get("registry.settings"):
        settings.forget_bases()
    if state := sys.modules.get("registry.fluent.state"):
        state.forget_runs()
    if integrations := sys.modules.get("registry.autologging.integrations"):
        integrations.forget()
    for name in _variables():
        del os.environ[name]
    os.environ.update(outside)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need a server, by the fixtures and the parameters that they ask for."""
    for item in items:
        if isinstance(item, pytest.Function):
            parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
            words = (value.split("-") for value in parameters if isinstance(value, str))
            asked = {*item.fixturenames, *itertools.chain.from_iterable(words)}
            for marker, names in SERVERS.items():
                if asked & names:
                    item.add_marker(marker)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[None]:
    """Run each test in a context of its own, so that the runs it leaves active end with it."""
    test = pyfuncitem.obj
    pyfuncitem.obj = functools.partial(contextvars.copy_context().run, test)
    try:
        return (yield)
    finally:
        pyfuncitem.obj = test


def _variables() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if name.startswith(_OURS) and not name.startswith("REGISTRY_TEST_")
    }
