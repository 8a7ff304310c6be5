"""A real pgbouncer before PostgreSQL: which of its modes work, and what the one that does not is told."""

import multiprocessing
from concurrent.futures import ThreadPoolExecutor

import pytest
from governed_models import register, sealed_model
from pgbouncer import pooled
from postgres_server import PostgresServer

import registry
from registry import MlflowClient
from registry.entities import Metric
from registry.exceptions import UnsupportedStoreError


def _log_in_a_child(run: str) -> None:
    MlflowClient().log_metric(run, "child", 1.0)
    registry.disconnect()


@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_a_registry_works_through_a_pooler(mode: str, postgres_url: str, postgres_server: PostgresServer) -> None:
    with pooled(postgres_url, postgres_server, mode) as url:
        registry.set_tracking_uri(url)
        client = MlflowClient()
        run = client.create_run("0").info.run_id
        client.log_batch(run, [Metric("auc", n / 10, n, n) for n in range(10)])
        register(client, "churn", 3, model_id=sealed_model(client, source_run_id=run))
        client.transition_model_version_stage("churn", 1, "Production")
        client.transition_model_version_stage("churn", 2, "Production")
        assert client.rollback("churn").version == 1
        # More threads than the pooler has connections: sessions change hands between their transactions.
        if mode == "transaction":
            with ThreadPoolExecutor(6) as pool:
                list(pool.map(lambda n: client.set_tag(run, f"t{n}", n), range(30)))
        registry.disconnect()
        child = multiprocessing.get_context("fork").Process(target=_log_in_a_child, args=(run,))
        child.start()
        child.join(60)
        assert child.exitcode == 0
        found = client.search_runs(["0"], "metrics.auc > 0.5 AND metrics.child = 1")
        assert [row.info.run_id for row in found] == [run]
        assert len(found[0].data.tags) >= (30 if mode == "transaction" else 0)
        assert client.verify("churn", read_bytes=True).versions == 3
        registry.disconnect()


def test_a_pooler_in_statement_mode_is_one_error_that_names_the_modes(
    postgres_url: str, postgres_server: PostgresServer
) -> None:
    with pooled(postgres_url, postgres_server, "statement") as url:
        with pytest.raises(UnsupportedStoreError, match=r"statement mode.*pool_mode = transaction \(or session\)"):
            MlflowClient(url).create_experiment("nba")
        registry.disconnect()
    assert MlflowClient(postgres_url).get_experiment_by_name("nba") is None
