"""A connection breaks at COMMIT: a committed transaction is not repeated, any other is retried."""

import pytest
from lossy_proxy import Loss, LossyProxy
from postgres_server import PostgresServer

from registry import MlflowClient
from registry.exceptions import UnavailableError
from registry.store import commit_markers


@pytest.fixture
def shaky(proxy: LossyProxy, postgres_url: str, postgres_server: PostgresServer) -> MlflowClient:
    """A client whose connections go through the proxy."""
    client = MlflowClient(postgres_url.replace(f":{postgres_server.port}/", f":{proxy.port}/"))
    client.search_experiments()
    return client


def points(client: MlflowClient, run_id: str) -> list[float]:
    return [metric.value for metric in client.get_metric_history(run_id, "loss")]


@pytest.mark.parametrize("loss", [Loss.REQUEST, Loss.ANSWER])
def test_a_point_is_logged_once(loss: Loss, shaky: MlflowClient, proxy: LossyProxy) -> None:
    run_id = shaky.create_run("0").info.run_id
    proxy.losses = [loss]

    shaky.log_metric(run_id, "loss", 0.5)

    assert points(shaky, run_id) == [0.5]
    assert proxy.losses == []


def test_losing_one_commit_after_the_other_still_logs_once(shaky: MlflowClient, proxy: LossyProxy) -> None:
    run_id = shaky.create_run("0").info.run_id
    proxy.losses = [Loss.REQUEST, Loss.REQUEST, Loss.ANSWER]

    shaky.log_metric(run_id, "loss", 0.5)

    assert points(shaky, run_id) == [0.5]


@pytest.mark.parametrize("loss", [Loss.REQUEST, Loss.ANSWER])
def test_a_model_is_created_once_and_returned(loss: Loss, shaky: MlflowClient, proxy: LossyProxy) -> None:
    proxy.losses = [loss]

    made = shaky.create_registered_model("churn")

    assert made.name == "churn"
    assert [model.name for model in shaky.search_registered_models()] == ["churn"]


def test_a_commit_that_cannot_be_looked_up_is_not_repeated(
    shaky: MlflowClient, proxy: LossyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit_markers, "LOOKUP_PAUSES_SECONDS", (0.0, 0.01))
    run_id = shaky.create_run("0").info.run_id
    proxy.losses, proxy.goes_dark = [Loss.ANSWER], True

    with pytest.raises(UnavailableError, match="Check whether it did before you repeat it"):
        shaky.log_metric(run_id, "loss", 0.5)

    proxy.refuses = False
    assert points(shaky, run_id) == [0.5]


def test_connections_that_the_server_ended_are_replaced(
    shaky: MlflowClient, postgres_server: PostgresServer, postgres_url: str
) -> None:
    run_id = shaky.create_run("0").info.run_id
    name = postgres_url.rpartition("/")[2]
    postgres_server.execute(
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}' AND pid <> pg_backend_pid()"
    )

    shaky.log_metric(run_id, "loss", 0.5)

    assert points(shaky, run_id) == [0.5]
