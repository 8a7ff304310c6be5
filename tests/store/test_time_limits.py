"""A PostgreSQL server falls silent: the caller gets an error within the configured time."""

import socket

import pytest
from lossy_proxy import Loss, LossyProxy
from postgres_server import PostgresServer

from registry import MlflowClient
from registry.exceptions import UnavailableError
from registry.store import commit_markers, engine


@pytest.fixture
def client(
    proxy: LossyProxy, postgres_url: str, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> MlflowClient:
    """A client with short limits, whose connections go through the proxy."""
    monkeypatch.setenv("REGISTRY_CONNECT_TIMEOUT_SECONDS", "2")
    monkeypatch.setenv("REGISTRY_STATEMENT_TIMEOUT_SECONDS", "1")
    monkeypatch.setattr(engine, "GIVE_UP_SECONDS", 1.0)
    made = MlflowClient(postgres_url.replace(f":{postgres_server.port}/", f":{proxy.port}/"))
    made.search_experiments()
    return made


def test_a_server_that_accepts_and_says_nothing_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_CONNECT_TIMEOUT_SECONDS", "2")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        with pytest.raises(UnavailableError, match="timeout"):
            MlflowClient(f"postgresql://me@127.0.0.1:{silent.getsockname()[1]}/db").search_experiments()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("get_run", "did not answer within 1 seconds"),
        ("search_runs", "did not answer within 1 seconds"),
        # COMMIT travels with the point, so the point may be there.
        ("log_metric", "did not answer whether the change took place"),
    ],
)
def test_a_server_that_falls_silent_is_unavailable_and_works_again(
    call: str, message: str, client: MlflowClient, proxy: LossyProxy
) -> None:
    run_id = client.create_run("0").info.run_id
    calls = {
        "get_run": lambda: client.get_run(run_id),
        "search_runs": lambda: client.search_runs(["0"]),
        "log_metric": lambda: client.log_metric(run_id, "loss", 0.5),
    }
    proxy.stalls = True

    with pytest.raises(UnavailableError, match=message):
        calls[call]()

    proxy.stalls = False
    client.log_metric(run_id, "loss", 1.0)
    assert client.get_run(run_id).data.metrics == {"loss": 1.0}


def test_a_commit_that_gets_no_answer_is_looked_up(
    client: MlflowClient, proxy: LossyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit_markers, "LOOKUP_PAUSES_SECONDS", (0.0, *[0.1] * 50))
    run_id = client.create_run("0").info.run_id
    proxy.losses = [Loss.SILENCE]

    client.log_metric(run_id, "loss", 0.5)

    assert [metric.value for metric in client.get_metric_history(run_id, "loss")] == [0.5]
    assert proxy.losses == []
