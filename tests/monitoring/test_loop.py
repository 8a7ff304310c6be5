"""The loop with real checks: observations, a monitor, an incident with the figures of the report."""

import threading

import numpy as np
import pandas as pd
import pytest
from governed_models import register

import registry
from registry import CheckedWithin, MlflowClient
from registry.exceptions import UnavailableError
from registry.monitoring.runner import RunnerReport, run_due, watch


def games(count: int, gap: float = 0) -> pd.DataFrame:
    generator = np.random.default_rng(count)
    return pd.DataFrame({"rating_gap": generator.normal(gap, 1, count), "team": ["east", "west"] * (count // 2)})


@pytest.fixture
def client(client: MlflowClient) -> MlflowClient:
    """A model in Production with a reference."""
    register(client, "nba", 2)
    client.transition_model_version_stage("nba", 1, "Production")
    client.transition_model_version_stage("nba", 2, "Production")
    for version in (1, 2):
        registry.monitoring.set_reference(f"models:/nba/{version}", games(2_000), predictions=np.ones(2_000))
    return client


def observe(gap: float = 0, version: int = 2) -> None:
    registry.monitoring.log_inference(f"models:/nba/{version}", games(500, gap), np.ones(500))


def test_what_was_observed_becomes_an_incident_whose_report_is_the_run_of_the_check(client: MlflowClient) -> None:
    monitor = client.add_monitor("nba", window="1d", detectors=["ks", "chi_squared"])
    observe()
    assert [done.status for done in run_due(client).checks] == ["ok"]
    observe(3)

    (done,) = run_due(client, monitor_id=monitor.id).checks

    (incident,) = done.incidents
    assert (incident.cause, incident.version) == ("input/rating_gap:distribution", 2)
    assert (incident.figures["against"], incident.figures["rows"]) == ("reference", 1_000)
    (result,) = incident.figures["results"]
    assert (result["detector"], result["drifted"]) == ("ks", True)
    run = client.get_run(str(incident.run_id))
    assert client.get_experiment(run.info.experiment_id).name == "monitoring/nba"
    assert run.data.tags["registry.monitoring.digest"] == incident.report_digest
    client.verify("nba")


def test_a_monitor_without_enough_rows_says_so(client: MlflowClient) -> None:
    monitor = client.add_monitor("nba", window="1d", minimum_rows=600)
    observe(3)

    (done,) = run_due(client).checks

    assert (done.status, done.incidents, done.message) == ("unavailable", (), "too few rows: 500 of 600")
    assert client.get_monitor_checks(monitor.id)[0].message == done.message


def test_a_guard_rolls_back_what_its_checks_find(client: MlflowClient) -> None:
    monitor = client.guard_stage("nba", duration="2h")
    observe(3)

    report = run_due(client, monitor_id=monitor.id)

    assert [one.message for one in report.deliveries] == ["version 1 holds Production again"]
    assert client.get_model_version_by_stage("nba", "Production").version == 1


def test_a_check_by_hand_counts_for_the_rule(client: MlflowClient) -> None:
    client.set_promotion_rules("nba", "Production", [CheckedWithin("1h")])
    observe(version=1)
    assert not client.check_promotion("nba", 1, "Production")[0].passed

    registry.monitoring.check("nba", version=1, window="1d", log=False)
    assert not client.check_promotion("nba", 1, "Production")[0].passed
    registry.monitoring.check("nba", version=1, window="1d")

    client.transition_model_version_stage("nba", 1, "Production")
    client.verify("nba")


def test_a_runner_that_watches_goes_on_until_it_is_stopped(client: MlflowClient) -> None:
    client.add_monitor("nba", every="1s", window="1d")
    observe()
    stop = threading.Event()
    rounds: list[RunnerReport] = []

    def tell(report: RunnerReport) -> None:
        rounds.append(report)
        if sum(len(one.checks) for one in rounds) == 2:
            stop.set()

    watch(client, tell, waiting=_fail, interval_seconds=0.2, stop=stop)

    assert [check.status for one in rounds for check in one.checks] == ["ok", "ok"]


def test_a_runner_that_watches_waits_for_a_database_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_DATABASE_PATIENCE", "0")
    stop = threading.Event()
    errors: list[str] = []

    def waiting(error: UnavailableError) -> None:
        errors.append(type(error).__name__)
        if len(errors) == 2:
            stop.set()

    away = MlflowClient("postgresql://nobody@127.0.0.1:9/nowhere")
    watch(away, lambda _report: None, waiting=waiting, interval_seconds=0.01, stop=stop)

    assert errors == ["UnavailableError", "UnavailableError"]


def _fail(error: UnavailableError) -> None:
    raise error
