"""The loop with its files in S3: an incident retrains and promotes, a guard rolls back, and a kill halves nothing."""

import pytest
from crashing import Crasher
from governed_models import stages
from retrained_models import (
    champion,
    games,
    incident,
    kill_at_random_moments,
    kill_at_steps,
    log_classifier,
    retraining,
)

import registry
from registry import MlflowClient
from registry.monitoring import log_ground_truth, log_inference, make_profile
from registry.monitoring.runner import run_due
from registry.monitoring.triggers import TriggerFile


@pytest.fixture
def client(sqlite_url: str, artifacts_on_s3: str) -> MlflowClient:
    """Return a client of a registry whose files are in S3, with a champion."""
    registry.set_tracking_uri(sqlite_url)
    return champion()


def test_an_incident_retrains_and_promotes_and_the_history_says_why(client: MlflowClient) -> None:
    known = TriggerFile({}, {"season": retraining("learn_new_rules")})

    found = incident(client, "season", known=known)

    assert [(one.trigger, str(one.state), one.message) for one in client.get_trigger_deliveries()] == [
        ("season", "delivered", "version 2 is in Production")
    ]
    assert stages(client, "nba") == {1: "Archived", 2: "Production"}
    assert client.resolve("models:/nba/Production").location.startswith("s3://")
    last = client.get_history("nba")[-1]
    assert last.reason == f"retraining 'season' for incident {found.id} (performance/accuracy:metric), after version 1"
    client.verify("nba", read_bytes=True)


def test_a_guard_rolls_back_a_version_whose_inputs_drift(client: MlflowClient) -> None:
    known, new = games(300, 5, "rest"), games(300, 6, "rest")
    inputs = known[["rest", "rating"]]
    with registry.start_run():
        uri = log_classifier(known)
    client.register_model(uri, "nba")
    client.transition_model_version_stage("nba", 2, "Production", override=True, reason="by hand")
    served = registry.sklearn.load_model("models:/nba/2")
    profile = make_profile(inputs, served.predict(inputs), known["won"])
    registry.monitoring.set_reference("models:/nba/2", profile)
    guard = client.guard_stage("nba", duration="24h")

    ids = [f"game-{number}" for number in range(300)]
    log_inference("models:/nba/2", inputs, served.predict(inputs), ids=ids)
    log_ground_truth("models:/nba/2", ids, known["won"])
    quiet = run_due(client, monitor_id=guard.id, triggers=TriggerFile({}, {}))
    assert [check.status for check in quiet.checks] == ["ok"]
    assert stages(client, "nba") == {1: "Archived", 2: "Production"}

    shifted = new[["rest", "rating"]] + 3
    log_inference("models:/nba/2", shifted, served.predict(shifted))
    bad = run_due(client, monitor_id=guard.id, triggers=TriggerFile({}, {}))
    assert [check.status for check in bad.checks] == ["drift"]
    assert [delivery.message for delivery in bad.deliveries] == ["version 1 holds Production again"]
    assert stages(client, "nba") == {1: "Production", 2: "Archived"}
    assert (client.get_history("nba")[-1].reason or "").startswith(f"guard {guard.id}: check ")
    client.verify("nba", read_bytes=True)


@pytest.mark.slow
@pytest.mark.parametrize("stride", [13, pytest.param(3, marks=pytest.mark.storm)])
def test_killed_at_any_step_it_goes_on_and_nothing_is_half_promoted(
    client: MlflowClient, crasher: Crasher, stride: int
) -> None:
    kill_at_steps(client, crasher, stride)
    assert crasher.kills >= 2


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.storm)])
def test_killed_at_random_moments_nothing_is_half_promoted(client: MlflowClient, crasher: Crasher, seed: int) -> None:
    kill_at_random_moments(client, crasher, seed, longest=4)
