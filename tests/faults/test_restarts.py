"""A PostgreSQL server that is stopped in the middle and comes back."""

import threading
from pathlib import Path

import pytest
from file_trees import planted
from gc_places import Place
from governed_models import raw_sql
from postgres_server import PostgresServer
from soundness import FILES, check_bytes, check_versions

from registry import MlflowClient
from registry.exceptions import UnavailableError


@pytest.mark.parametrize("trouble", ["sessions end", "the server restarts"])
def test_a_server_that_ends_sessions_or_restarts_loses_nothing(
    trouble: str, postgres_server: PostgresServer, postgres_url: str, own_place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGISTRY_ARTIFACT_LOCATION", str(own_place / "bytes"))
    place = Place(postgres_url, str(own_place / "bytes"), MlflowClient(postgres_url), raw_sql(postgres_url))
    source = str(planted(own_place / "source", FILES))
    place.client.register_model(source, "churn")
    done = threading.Event()

    def make_trouble() -> None:
        name = postgres_url.rpartition("/")[2]
        while not done.wait(0.15):
            if trouble == "sessions end":
                postgres_server.execute(
                    f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
                )
            else:
                postgres_server.restart()

    ender = threading.Thread(target=make_trouble)
    ender.start()
    acknowledged = [1]
    try:
        for _ in range(20):
            try:
                acknowledged.append(place.client.register_model(source, "churn").version)
            except UnavailableError:
                continue  # it says so; nothing may have appeared, or all
    finally:
        done.set()
        ender.join()

    assert len(acknowledged) > 3
    numbers = sorted(version.version for version in place.client.search_model_versions("name = 'churn'"))
    assert set(acknowledged) <= set(numbers)
    assert numbers == list(range(1, len(numbers) + 1))
    assert check_versions(place) == len(numbers)
    check_bytes(place)
    assert check_versions(place) == len(numbers)
