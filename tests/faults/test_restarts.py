"""A PostgreSQL server is stopped in the middle of work and restarted."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from file_trees import write_files
from gc_places import Place
from governed_models import raw_sql
from postgres_server import PostgresServer
from soundness import FILES, check_bytes, check_versions

from registry import MlflowClient
from registry.exceptions import UnavailableError

TROUBLES = 8
HANGS_AFTER = 120.0


@pytest.mark.slow
@pytest.mark.parametrize("trouble", ["sessions end", "the server restarts"])
def test_a_server_that_ends_sessions_or_restarts_loses_nothing(
    trouble: str, postgres_server: PostgresServer, postgres_url: str, own_place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGISTRY_ARTIFACT_LOCATION", str(own_place / "bytes"))
    place = Place(postgres_url, str(own_place / "bytes"), MlflowClient(postgres_url), raw_sql(postgres_url))
    source = str(write_files(own_place / "source", FILES))
    place.client.register_model(source, "churn")
    acknowledged = [1]
    progress = threading.Condition()
    done = threading.Event()

    def register() -> None:
        while not done.is_set():
            try:
                version = place.client.register_model(source, "churn").version
            except UnavailableError:
                continue  # it says so; nothing may have appeared, or all
            with progress:
                acknowledged.append(version)
                progress.notify()

    def make_trouble() -> None:
        if trouble == "the server restarts":
            postgres_server.restart()
        else:
            name = postgres_url.rpartition("/")[2]
            postgres_server.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")

    def wait_for_another_version() -> None:
        with progress:
            before = len(acknowledged)
            assert progress.wait_for(lambda: len(acknowledged) > before, HANGS_AFTER), "nothing was registered any more"

    with ThreadPoolExecutor(1) as pool:
        worker = pool.submit(register)
        try:
            for _ in range(TROUBLES):
                make_trouble()  # whatever the worker is doing now
                wait_for_another_version()
        finally:
            done.set()
            worker.result()

    assert len(acknowledged) > TROUBLES
    numbers = sorted(version.version for version in place.client.search_model_versions("name = 'churn'"))
    assert set(acknowledged) <= set(numbers)
    assert numbers == list(range(1, len(numbers) + 1))
    assert check_versions(place) == len(numbers)
    check_bytes(place)
    assert check_versions(place) == len(numbers)
