"""The round trips to PostgreSQL that each public operation takes, direct and through pgbouncer; counted by a proxy."""

import contextlib
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import xgboost
from pgbouncer import pooled
from postgres_server import PostgresServer
from round_trips import CountingProxy, counting_proxy

from registry import MlflowClient, disconnect
from registry.entities import Metric, Param, RunTag
from registry.rules import MetricAtLeast, TagEquals
from registry.store.connections import TimeLimits
from registry.store.engine import connect

LOGGING = {
    "create_run": 1,
    "log_metric": 1,
    "log_metric of a step that is not the newest": 1,
    "log_param": 1,
    "log_param again": 1,
    "log_batch of metrics, params and tags": 1,
    "log_batch of 1,000 points": 1,
    "set_tag": 1,
    "delete_tag": 1,
    "set_terminated": 1,
    "update_run": 1,
    "log_model": 4,
}
READING = {
    "get_run": 1,
    "get_metric_history": 1,
    "get_experiment": 1,
    "get_experiment_by_name": 1,
    "get_logged_model": 1,
    "get_registered_model": 1,
    "get_model_version": 1,
    "get_model_version_by_alias": 1,
    "get_latest_versions": 1,
    "resolve": 1,
    "search_runs": 2,
    "search_experiments": 2,
    "search_registered_models": 2,
    "search_model_versions": 2,
    "search_logged_models": 2,
}
CHANGING = {
    "create_experiment": 3,
    "set_experiment_tag": 2,
    "delete_run": 2,
    "create_registered_model": 2,
    "register_model": 2,
    "register_model under a new name": 2,
    "create_model_version": 2,
    "transition": 2,
    "transition with two rules": 3,
    "rollback": 3,
    "set_registered_model_alias": 2,
    "delete_registered_model_alias": 2,
    "set_model_version_tag": 2,
}


@pytest.fixture(params=["direct", "through pgbouncer"])
def proxy(
    request: pytest.FixtureRequest, postgres_url: str, postgres_server: PostgresServer
) -> Iterator[CountingProxy]:
    """A proxy that counts, in front of the server or of a pooler in transaction mode."""
    with contextlib.ExitStack() as stack:
        port = postgres_server.port
        if request.param != "direct":
            url = stack.enter_context(pooled(postgres_url, postgres_server, "transaction"))
            port = int(url.rpartition("/")[0].rpartition(":")[2])
        yield stack.enter_context(counting_proxy(port))


@pytest.fixture
def client(proxy: CountingProxy, postgres_url: str, postgres_server: PostgresServer) -> MlflowClient:
    """A client whose connections go through the proxy."""
    return MlflowClient(postgres_url.replace(f":{postgres_server.port}/", f":{proxy.port}/"))


def count(proxy: CountingProxy, operations: dict[str, Callable[[], Any]], *, calls: int = 1) -> dict[str, int]:
    """Return the round trips of each operation, the fewest of some calls: a statement is prepared in an early one.

    Each is called once before, which may open a connection.
    """
    counts = {}
    for name, operation in operations.items():
        operation()
        trips = []
        for _ in range(calls):
            before = proxy.trips
            operation()
            trips.append(proxy.trips - before)
        counts[name] = min(trips)
    return counts


def trained_model() -> Any:
    """Train a tree on three rows."""
    rows = xgboost.DMatrix(np.arange(6.0).reshape(3, 2), label=np.array([0.0, 1.0, 0.0]))
    return xgboost.train({"max_depth": 1}, rows, 1)


def log_model(client: MlflowClient, run_id: str) -> str:
    """Log a model that a run made; return its id."""
    return str(client.log_model("xgboost", trained_model(), "model", experiment_id="0", run_id=run_id).model_id)


def test_round_trips_of_logging(client: MlflowClient, proxy: CountingProxy) -> None:
    run_id = client.create_run("0").info.run_id
    numbers = itertools.count()
    ten = [Metric(f"m{number}", 0.5, 1, 1) for number in range(10)]
    old_tags = iter(["old1", "old2"])
    client.log_batch(run_id, tags=[RunTag("old1", "x"), RunTag("old2", "x")])

    assert count(proxy, {
        "create_run": lambda: client.create_run("0"),
        "log_metric": lambda: client.log_metric(run_id, "loss", 0.5, step=next(numbers)),
        "log_metric of a step that is not the newest": lambda: client.log_metric(run_id, "loss", 0.5, 1, -5),
        "log_param": lambda: client.log_param(run_id, f"p{next(numbers)}", "x"),
        "log_param again": lambda: client.log_param(run_id, "p", "x"),
        "log_batch of metrics, params and tags": lambda: client.log_batch(
            run_id, ten, [Param(f"p{next(numbers)}", "x")], [RunTag("a", "b")]
        ),
        "log_batch of 1,000 points": lambda: client.log_batch(run_id, [Metric("k", 1.0, n, n) for n in range(1_000)]),
        "set_tag": lambda: client.set_tag(run_id, "tag", str(next(numbers))),
        "delete_tag": lambda: client.delete_tag(run_id, next(old_tags)),
        "set_terminated": lambda: client.set_terminated(run_id),
        "update_run": lambda: client.update_run(run_id, name="renamed"),
        "log_model": lambda: log_model(client, run_id),
    }) == LOGGING  # fmt: skip


def test_round_trips_of_reading(client: MlflowClient, proxy: CountingProxy) -> None:
    run_id = client.create_run("0").info.run_id
    client.log_batch(run_id, [Metric("loss", 0.5, 1, 1)], [Param("p", "x")])
    model_id = log_model(client, run_id)
    client.register_model(f"models:/{model_id}", "churn")
    client.set_registered_model_alias("churn", "champion", 1)

    assert count(proxy, {
        "get_run": lambda: client.get_run(run_id),
        "get_metric_history": lambda: client.get_metric_history(run_id, "loss"),
        "get_experiment": lambda: client.get_experiment("0"),
        "get_experiment_by_name": lambda: client.get_experiment_by_name("Default"),
        "get_logged_model": lambda: client.get_logged_model(model_id),
        "get_registered_model": lambda: client.get_registered_model("churn"),
        "get_model_version": lambda: client.get_model_version("churn", 1),
        "get_model_version_by_alias": lambda: client.get_model_version_by_alias("churn", "champion"),
        "get_latest_versions": lambda: client.get_latest_versions("churn"),
        "resolve": lambda: client.resolve("models:/churn@champion"),
        "search_runs": lambda: client.search_runs(["0"], "metrics.loss < 1", max_results=5),
        "search_experiments": lambda: client.search_experiments(),
        "search_registered_models": lambda: client.search_registered_models(),
        "search_model_versions": lambda: client.search_model_versions("name = 'churn'"),
        "search_logged_models": lambda: client.search_logged_models(["0"]),
    }, calls=2) == READING  # fmt: skip


def test_round_trips_of_changes(client: MlflowClient, proxy: CountingProxy) -> None:
    run_id = client.create_run("0").info.run_id
    client.log_metric(run_id, "auc", 0.8)
    source = f"models:/{log_model(client, run_id)}"
    versions, numbers = itertools.cycle([1, 2]), itertools.count()
    for _ in range(2):
        number = client.register_model(source, "churn").version
        client.set_model_version_tag("churn", number, "reviewed", "yes")
    client.set_promotion_rules("churn", "Staging", [MetricAtLeast("auc", 0.7), TagEquals("reviewed", "yes")])
    stage = client.transition_model_version_stage
    for _ in range(4):
        stage("churn", next(versions), "Production")
    runs = [client.create_run("0").info.run_id for _ in range(2)]
    aliases = iter(["first", "second"])
    for alias in ("first", "second"):
        client.set_registered_model_alias("churn", alias, 1)

    assert count(proxy, {
        "create_experiment": lambda: client.create_experiment(f"e{next(numbers)}"),
        "set_experiment_tag": lambda: client.set_experiment_tag("0", "a", str(next(numbers))),
        "delete_run": lambda: client.delete_run(runs.pop()),
        "create_registered_model": lambda: client.create_registered_model(f"model{next(numbers)}"),
        "register_model": lambda: client.register_model(source, "churn"),
        "register_model under a new name": lambda: client.register_model(source, f"new{next(numbers)}"),
        "create_model_version": lambda: client.create_model_version("churn", source),
        "transition": lambda: stage("churn", next(versions), "Production"),
        "transition with two rules": lambda: stage("churn", next(versions), "Staging"),
        "rollback": lambda: client.rollback("churn", "Production", force=True),
        "set_registered_model_alias": lambda: client.set_registered_model_alias("churn", "champion", next(versions)),
        "delete_registered_model_alias": lambda: client.delete_registered_model_alias("churn", next(aliases)),
        "set_model_version_tag": lambda: client.set_model_version_tag("churn", 1, "a", str(next(numbers))),
    }) == CHANGING  # fmt: skip


def test_the_first_call_of_a_process_takes_three_round_trips_beside_the_connection(
    client: MlflowClient, proxy: CountingProxy
) -> None:
    run_id = client.create_run("0").info.run_id
    disconnect()
    with connect(client.tracking_uri, limits=TimeLimits(patience=1)).engine.connect():  # those of the tests
        connecting = proxy.trips
    fresh = MlflowClient(client.tracking_uri)

    fresh.log_metric(run_id, "loss", 0.5)

    assert proxy.trips - connecting == 3  # schema, default experiment, point
