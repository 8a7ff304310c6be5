"""The round trips to PostgreSQL that each public operation takes, direct and through pgbouncer; counted by a proxy."""

import contextlib
import io
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xgboost
from monitored_models import find, model_in_production
from pgbouncer import pooled
from postgres_server import PostgresServer
from round_trips import CountingProxy, counting_proxy

from registry import MlflowClient, disconnect
from registry.data import from_pandas
from registry.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    LoggedModelInput,
    LoggedModelOutput,
    Metric,
    Param,
    RunTag,
)
from registry.rules import MetricAtLeast, TagEquals
from registry.store import waiting_for_servers
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
    "set_experiment_tag": 1,
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

RUNS = {
    "delete_run": 2,
    "restore_run": 1,
    "delete_experiment": 2,
    "restore_experiment": 2,
    "rename_experiment": 2,
    "set_experiment_tags": 1,
    "delete_experiment_tag": 1,
    "get_parent_run": 1,
    "log_inputs of ten data sets and a model": 2,
    "log_outputs": 2,
    "log_metric_history": 1,
    "log_metric_history of 2,000 points": 4,
    "get_metric_history_frame": 1,
    "get_metric_history_frame of a sample": 2,
    "search_runs_frame": 2,
    "compare": 1,
    "log_text": 1,
    "log_dict": 1,
    "log_stream": 1,
    "log_image": 1,
    "log_artifact": 1,
    "log_artifacts": 1,
    "list_artifacts": 1,
    "download_artifacts": 2,
    "log_table": 2,
    "load_table": 3,
    "flush_async_logging": 0,
}
LOGGED_MODELS = {
    "create_logged_model": 2,
    "log_model_params": 1,
    "log_model_artifact": 1,
    "log_model_artifacts": 1,
    "list_logged_model_artifacts": 2,
    "finalize_logged_model": 3,
    "delete_logged_model": 2,
    "set_logged_model_tags": 1,
    "delete_logged_model_tag": 1,
    "log_evidence": 3,
    "log_evaluation": 2,
    "get_evidence": 1,
    "get_model_signatures": 2,
}
REGISTERED_MODELS = {
    "rename_registered_model": 3,
    "update_registered_model": 2,
    "set_registered_model_tag": 2,
    "delete_registered_model_tag": 2,
    "delete_registered_model": 3,
    "update_model_version": 2,
    "set_model_version_tag of a stage": 3,
    "delete_model_version_tag": 2,
    "delete_model_version": 3,
    "restore_model_version": 2,
    "copy_model_version within the registry": 3,
    "set_registered_model_alias in another spelling": 2,
    "set_promotion_rules": 2,
    "get_promotion_rules": 1,
    "check_promotion": 2,
    "approve": 3,
    "delete_promotion_rules": 2,
    "get_history": 1,
    "get_holdings": 1,
    "get_foreign_history": 1,
    "get_model_version_stages": 0,
    "get_model_version_download_uri": 1,
    "get_model_version_by_stage": 1,
    "find_model_version_by_stage": 1,
    "find_model_version_by_stage in the past": 1,
    "find_model_version_by_alias": 1,
    "poll_events": 1,
}
MONITORS = {
    "add_monitor": 3,
    "guard_stage": 3,
    "get_monitor": 1,
    "get_monitors": 1,
    "get_monitor_checks": 1,
    "remove_monitor": 2,
    "acknowledge_incident": 2,
    "close_incident": 2,
    "get_incident": 1,
    "get_incidents": 1,
    "get_trigger_deliveries": 2,
}
TABLES = (LOGGING, READING, CHANGING, RUNS, LOGGED_MODELS, REGISTERED_MODELS, MONITORS)
# What copies, verifies, collects or moves takes as many round trips as there are runs, files and models; the rest are
# a table's or a figure's file, and signing, which reads the model's files.
GROWING = {
    *("adopt", "collect_garbage", "copy_experiment", "copy_registered_model", "copy_runs", "correct_clock"),
    *("export_model", "import_model", "move_runs", "plan_relocation", "relocate", "verify", "verify_all"),
    *("log_figure", "sign_model", "watch_events"),
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
def client(
    proxy: CountingProxy, postgres_url: str, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> MlflowClient:
    """A client whose connections go through the proxy; it does not ask every few seconds whether they are scarce."""
    monkeypatch.setattr(waiting_for_servers, "_ASK_EACH_SECONDS", 3_600.0)
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


def test_round_trips_of_rarer_calls_on_runs_and_experiments(
    client: MlflowClient, proxy: CountingProxy, tmp_path: Path
) -> None:
    run_id = client.create_run("0").info.run_id
    client.log_metric(run_id, "auc", 0.8)
    model_id = log_model(client, run_id)
    numbers = itertools.count()
    experiments = [client.create_experiment(f"e{number}") for number in range(2)]
    runs = [client.create_run("0").info.run_id for _ in range(2)]
    child = client.create_run("0", tags={"mlflow.parentRunId": run_id}).info.run_id
    client.set_experiment_tags("0", {"x": "1", "y": "1"})
    for _ in range(3):
        client.log_text(run_id, "x", "a.txt")
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a.txt").write_text("a")
    deleted, restored, removed, back, tags = map(iter, (runs, runs, experiments, experiments, ["x", "y"]))

    def log_inputs(count: int) -> None:
        used = [DatasetInput(Dataset(f"d{next(numbers)}", "1", "t", "s"), [InputTag("a", "b")]) for _ in range(count)]
        client.log_inputs(run_id, used, [LoggedModelInput(model_id)])

    assert count(proxy, {
        "delete_run": lambda: client.delete_run(next(deleted)),
        "restore_run": lambda: client.restore_run(next(restored)),
        "delete_experiment": lambda: client.delete_experiment(next(removed)),
        "restore_experiment": lambda: client.restore_experiment(next(back)),
        "rename_experiment": lambda: client.rename_experiment(experiments[0], f"n{next(numbers)}"),
        "set_experiment_tags": lambda: client.set_experiment_tags("0", {"a": str(next(numbers)), "b": "x"}),
        "delete_experiment_tag": lambda: client.delete_experiment_tag("0", next(tags)),
        "get_parent_run": lambda: client.get_parent_run(child),
        "log_inputs of ten data sets and a model": lambda: log_inputs(10),
        "log_outputs": lambda: client.log_outputs(run_id, [LoggedModelOutput(model_id, next(numbers))]),
        "log_metric_history": lambda: client.log_metric_history(run_id, f"h{next(numbers)}", [1, 2], [1.0, 2.0]),
        "log_metric_history of 2,000 points": lambda: client.log_metric_history(
            run_id, f"h{next(numbers)}", range(2_000), [0.5] * 2_000
        ),
        "get_metric_history_frame": lambda: client.get_metric_history_frame(run_id),
        "get_metric_history_frame of a sample": lambda: client.get_metric_history_frame(run_id, "auc", max_points=100),
        "search_runs_frame": lambda: client.search_runs_frame(["0"]),
        "compare": lambda: client.compare([run_id, runs[0]]),
        "log_text": lambda: client.log_text(run_id, "x", "b.txt"),
        "log_dict": lambda: client.log_dict(run_id, {}, "b.json"),
        "log_stream": lambda: client.log_stream(run_id, io.BytesIO(b"x"), "b.bin"),
        "log_image": lambda: client.log_image(run_id, np.zeros((2, 2, 3), np.uint8), "b.png"),
        "log_artifact": lambda: client.log_artifact(run_id, tmp_path / "files" / "a.txt"),
        "log_artifacts": lambda: client.log_artifacts(run_id, tmp_path / "files"),
        "list_artifacts": lambda: client.list_artifacts(run_id),
        "download_artifacts": lambda: client.download_artifacts(run_id, "a.txt"),
        "log_table": lambda: client.log_table(run_id, {"a": [1]}, "t.json"),
        "load_table": lambda: client.load_table("0", "t.json"),
        "flush_async_logging": client.flush_async_logging,
    }) == RUNS  # fmt: skip


def test_round_trips_of_calls_on_logged_models(client: MlflowClient, proxy: CountingProxy, tmp_path: Path) -> None:
    run_id = client.create_run("0").info.run_id
    model_id = log_model(client, run_id)
    numbers = itertools.count()
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a.txt").write_text("a")
    pending = [client.create_logged_model("0", f"m{number}").model_id for number in range(4)]
    for one in pending:
        client.log_model_artifacts(one, tmp_path / "files")
    client.set_logged_model_tags(model_id, {"x": "1", "y": "1"})
    finished, deleted, tags = iter(pending[:2]), iter(pending[2:]), iter(["x", "y"])
    data = from_pandas(pd.DataFrame({"a": [1.0]}), name="games")

    assert count(proxy, {
        "create_logged_model": lambda: client.create_logged_model("0", f"n{next(numbers)}", run_id),
        "log_model_params": lambda: client.log_model_params(pending[0], {f"p{next(numbers)}": "1"}),
        "log_model_artifact": lambda: client.log_model_artifact(pending[0], tmp_path / "files" / "a.txt"),
        "log_model_artifacts": lambda: client.log_model_artifacts(pending[0], tmp_path / "files", f"x{next(numbers)}"),
        "list_logged_model_artifacts": lambda: client.list_logged_model_artifacts(model_id),
        "finalize_logged_model": lambda: client.finalize_logged_model(next(finished), "READY"),
        "delete_logged_model": lambda: client.delete_logged_model(next(deleted)),
        "set_logged_model_tags": lambda: client.set_logged_model_tags(model_id, {"a": str(next(numbers))}),
        "delete_logged_model_tag": lambda: client.delete_logged_model_tag(model_id, next(tags)),
        "log_evidence": lambda: client.log_evidence(model_id, "fairness", {"gap": next(numbers)}),
        "log_evaluation": lambda: client.log_evaluation(run_id, {"f1": next(numbers)}, data, model_id),
        "get_evidence": lambda: client.get_evidence(model_id),
        "get_model_signatures": lambda: client.get_model_signatures(f"models:/{model_id}"),
    }) == LOGGED_MODELS  # fmt: skip


def test_round_trips_of_rarer_calls_on_registered_models(client: MlflowClient, proxy: CountingProxy) -> None:
    run_id = client.create_run("0").info.run_id
    client.log_metric(run_id, "auc", 0.8)
    source = f"models:/{log_model(client, run_id)}"
    numbers, versions = itertools.count(), itertools.cycle([1, 2])
    for number in range(6):
        version = client.register_model(source, "churn").version
        if number < 2:
            client.transition_model_version_stage("churn", version, "Production")
    client.set_registered_model_alias("churn", "champion", 1)
    for tag in ("x", "y"):
        client.set_registered_model_tag("churn", tag, "1")
        client.set_model_version_tag("churn", 1, tag, "1")
    for number in range(4):
        client.create_registered_model(f"model {number}")
    client.set_promotion_rules("churn", "Staging", [MetricAtLeast("auc", 0.7)])
    deleted, restored, approved = iter([5, 6]), iter([5, 6]), iter([3, 4])
    names, models = itertools.pairwise(["model 0", *"abc"]), iter(["model 1", "model 2"])
    spellings, tags, other_tags, stages = map(iter, (["Champion", "CHAMPION"], "xy", "xy", ["Staging", "Production"]))
    past = "2020-01-01T00:00:00Z"

    assert count(proxy, {
        "rename_registered_model": lambda: client.rename_registered_model(*next(names)),
        "update_registered_model": lambda: client.update_registered_model("churn", str(next(numbers))),
        "set_registered_model_tag": lambda: client.set_registered_model_tag("churn", "a", str(next(numbers))),
        "delete_registered_model_tag": lambda: client.delete_registered_model_tag("churn", next(tags)),
        "delete_registered_model": lambda: client.delete_registered_model(next(models)),
        "update_model_version": lambda: client.update_model_version("churn", 1, str(next(numbers))),
        "set_model_version_tag of a stage": lambda: client.set_model_version_tag(
            "churn", key="a", value=str(next(numbers)), stage="Production"
        ),
        "delete_model_version_tag": lambda: client.delete_model_version_tag("churn", 1, next(other_tags)),
        "delete_model_version": lambda: client.delete_model_version("churn", next(deleted)),
        "restore_model_version": lambda: client.restore_model_version("churn", next(restored)),
        "copy_model_version within the registry": lambda: client.copy_model_version("models:/churn/1", "other"),
        "set_registered_model_alias in another spelling": lambda: client.set_registered_model_alias(
            "churn", next(spellings), next(versions)
        ),
        "set_promotion_rules": lambda: client.set_promotion_rules(
            "churn", "Production", [MetricAtLeast("auc", 0.1 + next(numbers) / 1_000)]
        ),
        "get_promotion_rules": lambda: client.get_promotion_rules("churn", "Production"),
        "check_promotion": lambda: client.check_promotion("churn", 1, "Production"),
        "approve": lambda: client.approve("churn", next(approved), "Production"),
        "delete_promotion_rules": lambda: client.delete_promotion_rules("churn", next(stages)),
        "get_history": lambda: client.get_history("churn"),
        "get_holdings": lambda: client.get_holdings("churn"),
        "get_foreign_history": lambda: client.get_foreign_history("churn"),
        "get_model_version_stages": lambda: client.get_model_version_stages("churn", 1),
        "get_model_version_download_uri": lambda: client.get_model_version_download_uri("churn", 1),
        "get_model_version_by_stage": lambda: client.get_model_version_by_stage("churn", "Production"),
        "find_model_version_by_stage": lambda: client.find_model_version_by_stage("churn", "Production"),
        "find_model_version_by_stage in the past": lambda: client.find_model_version_by_stage(
            "churn", "Production", past
        ),
        "find_model_version_by_alias": lambda: client.find_model_version_by_alias("churn", "champion"),
        "poll_events": client.poll_events,
    }) == REGISTERED_MODELS  # fmt: skip


def test_round_trips_of_calls_on_monitors(client: MlflowClient, proxy: CountingProxy) -> None:
    model_in_production(client)
    incidents = [incident.id for incident in find(client, "a", "b", "c", "d", triggers=["page", "mail"])]
    acknowledged, closed, monitors = iter(incidents), iter(incidents), []

    assert count(proxy, {
        "add_monitor": lambda: monitors.append(client.add_monitor("nba").id),
        "guard_stage": lambda: monitors.append(client.guard_stage("nba").id),
        "get_monitor": lambda: client.get_monitor(monitors[0]),
        "get_monitors": client.get_monitors,
        "get_monitor_checks": lambda: client.get_monitor_checks(monitors[0]),
        "remove_monitor": lambda: client.remove_monitor(monitors.pop()),
        "acknowledge_incident": lambda: client.acknowledge_incident(next(acknowledged)),
        "close_incident": lambda: client.close_incident(next(closed)),
        "get_incident": lambda: client.get_incident(incidents[0]),
        "get_incidents": lambda: client.get_incidents("nba"),
        "get_trigger_deliveries": client.get_trigger_deliveries,
    }) == MONITORS  # fmt: skip


def test_verifying_takes_round_trips_for_each_model_not_for_each_version(
    client: MlflowClient, proxy: CountingProxy
) -> None:
    source = f"models:/{log_model(client, client.create_run('0').info.run_id)}"
    client.register_model(source, "churn")
    few = count(proxy, {"verify": lambda: client.verify("churn")})
    for _ in range(10):
        client.register_model(source, "churn")

    assert count(proxy, {"verify": lambda: client.verify("churn")}) == few


def test_every_operation_is_counted_or_grows_with_what_it_is_given() -> None:
    counted = {name.split()[0].rstrip(",") for table in TABLES for name in table}
    renamed = {"transition": "transition_model_version_stage"}
    operations = {name for name in dir(MlflowClient) if not name.startswith("_") and name != "backend"}

    missing = operations - {renamed.get(name, name) for name in counted} - GROWING - {"tracking_uri"}
    assert missing == set()


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
