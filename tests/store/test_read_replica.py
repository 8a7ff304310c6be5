"""A standby with streaming replication is a read replica: `read_only=True` on its URL reads, and nothing writes."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from governed_models import sealed_model
from replication import ReplicatedServers, replicated_servers

import registry
from registry import MlflowClient
from registry.exceptions import ReadOnlyError
from registry.store.engine import Database
from registry.store.schema import upgrade
from registry.store.urls import parse_database_url

pytestmark = pytest.mark.slow


@pytest.fixture
def servers() -> Iterator[ReplicatedServers]:
    """A primary with the schema, and its standby."""
    with replicated_servers(synchronous=False) as made:
        database = Database(parse_database_url(url_at(made.port)))
        upgrade(database)
        database.dispose()
        yield made


def url_at(port: int) -> str:
    return f"postgresql://postgres@127.0.0.1:{port}/postgres"


def test_a_read_only_client_reads_from_a_replica_and_no_client_writes_there(
    servers: ReplicatedServers, own_place: Path
) -> None:
    primary = MlflowClient(url_at(servers.port))
    run_id = primary.create_run("0", run_name="first").info.run_id
    primary.log_metric(run_id, "auc", 0.8)
    model_id = sealed_model(primary)
    primary.register_model(f"models:/{model_id}", "churn")
    primary.transition_model_version_stage("churn", 1, "Production")
    servers.catch_up()
    replica = MlflowClient(url_at(servers.standby_port), read_only=True)

    assert replica.get_run(run_id).data.metrics == {"auc": 0.8}
    assert [run.info.run_name for run in replica.search_runs(["0"], "metrics.auc > 0.7")] == ["first"]
    assert [point.value for point in replica.get_metric_history(run_id, "auc")] == [0.8]
    assert replica.resolve("models:/churn/Production").model_id == model_id
    assert replica.get_registered_model("churn").latest_versions[0].current_stage == "Production"
    assert [event.kind for event in replica.get_history("churn")][-1] == "stage_changed"
    with pytest.raises(ReadOnlyError, match="read_only=True"):
        replica.log_metric(run_id, "auc", 0.9)
    with pytest.raises(ReadOnlyError, match="If it is a standby, connect to the primary"):
        MlflowClient(url_at(servers.standby_port)).log_metric(run_id, "auc", 0.9)

    # Nobody has to say read_only=True to read: functions and commands write nothing on their way.
    registry.set_tracking_uri(url_at(servers.standby_port))
    assert registry.get_run(run_id).data.metrics == {"auc": 0.8}
    assert registry.search_runs(["0"], output_format="list")[0].info.run_id == run_id
    assert registry.resolve("models:/churn/Production").model_id == model_id
    registry.set_tracking_uri(None)
    for words, out in ((["runs", "list", "-q"], f"{run_id}\n"), (["models", "verify", "churn"], "churn\twell\t3\t1\n")):
        command = [sys.executable, "-m", "registry", *words, "--tracking-uri", url_at(servers.standby_port)]
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == out

    primary.log_metric(run_id, "auc", 0.9)
    servers.catch_up()

    assert replica.get_run(run_id).data.metrics == {"auc": 0.9}
    registry.disconnect()
