"""Retraining: what it registers and promotes, what the history says of it, and what a kill leaves."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from crashing import Crasher
from governed_models import stages
from monitored_models import NOTHING, finding
from retrained_models import (
    champion,
    incident,
    kill_at_random_moments,
    kill_at_steps,
    learn_new_rules,
    retraining,
)

import registry
from registry import MlflowClient
from registry.exceptions import (
    InvalidParameterError,
    InvalidStateError,
    InvalidTypeError,
    ModelNotFoundError,
    NotFoundError,
    UnavailableError,
)
from registry.monitoring.retraining import retrain
from registry.monitoring.runner import run_due
from registry.monitoring.triggers import Retraining, TriggerFile, read_triggers


@pytest.fixture
def client(database_url: str) -> MlflowClient:
    registry.set_tracking_uri(database_url)
    return champion()


def test_a_retraining_that_is_better_reaches_production_and_the_history_says_why(client: MlflowClient) -> None:
    found = incident(client)

    result = retrain("nba", retraining("learn_new_rules"), incidents=[found], client=client)

    assert (result.version, result.stage, result.message) == (2, "Production", "version 2 is in Production")
    assert stages(client, "nba") == {1: "Archived", 2: "Production"}
    version = client.get_model_version("nba", 2)
    tags = {
        "registry.retraining": "season",
        "registry.incidents": str(found.id),
        "registry.parent_version": "1",
    }
    assert version.tags == tags
    assert version.run_id is not None
    run = client.get_run(version.run_id)
    assert {key: run.data.tags[key] for key in tags} == tags
    assert (run.info.status, run.data.metrics["games"]) == ("FINISHED", 300)
    assert client.get_experiment(run.info.experiment_id).name == "retraining/nba"
    reason = f"retraining 'season' for incident {found.id} (performance/accuracy:metric), after version 1"
    events = [event for event in client.get_history("nba") if event.version == 2]
    assert [(event.kind, event.to_value, event.reason) for event in events if event.kind != "tag_set"] == [
        ("version_created", None, reason),
        ("stage_changed", "Staging", reason),
        ("stage_changed", "Production", reason),
    ]
    assert [rule["passed"] for rule in events[-1].details["rules"]] == [True, True]
    client.verify("nba", read_bytes=True)


def test_a_retraining_that_is_no_better_waits_in_staging(client: MlflowClient) -> None:
    result = retrain("nba", retraining("learn_old_rules"), client=client)

    assert (result.version, result.stage) == (2, "Staging")
    assert result.message.startswith("version 2 waits in Staging: Version 2 of 'nba' may not enter Production: Better")
    assert stages(client, "nba") == {1: "Production", 2: "Staging"}
    assert client.get_history("nba")[-1].kind == "promotion_refused"


def test_without_promotion_rules_nothing_is_promoted(client: MlflowClient) -> None:
    client.delete_promotion_rules("nba", "Production")

    result = retrain("nba", retraining("learn_new_rules"), client=client)

    assert result.message == (
        "version 2 waits in Staging: Production has no promotion rules, so nothing would justify it"
    )
    assert stages(client, "nba") == {1: "Production", 2: "Staging"}


def test_rules_of_staging_are_heeded_too(client: MlflowClient) -> None:
    client.set_promotion_rules("nba", "Staging", [registry.Approvals(1)])

    result = retrain("nba", retraining("learn_new_rules"), client=client)

    assert (result.stage, stages(client, "nba")) == ("None", {1: "Production", 2: "None"})


def test_the_first_version_of_a_model_needs_no_champion(client: MlflowClient) -> None:
    client.transition_model_version_stage("nba", 1, "Archived")

    assert retrain("nba", retraining("learn_new_rules"), client=client).stage == "Production"


def test_whoever_was_promoted_during_the_training_stays(client: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> None:
    client.register_model("models:/nba/1", "nba")

    def slow(task: object) -> object:
        client.transition_model_version_stage("nba", 2, "Production", override=True, reason="by hand")
        return learn_new_rules(task)  # type: ignore[arg-type]

    monkeypatch.setattr("retrained_models.learn_new_rules", slow)
    result = retrain("nba", retraining("learn_new_rules"), client=client)

    assert "Production of 'nba' is held by version 2; expected_current=1 requires version 1." in result.message
    assert stages(client, "nba") == {1: "Archived", 2: "Production", 3: "Staging"}


def test_repeated_for_the_same_incident_it_goes_on_with_its_version(client: MlflowClient) -> None:
    found = incident(client)
    first = retrain("nba", retraining("learn_new_rules"), incidents=[found], client=client)

    again = retrain("nba", retraining("fail"), incidents=[found], client=client)

    assert (again.version, again.stage, again.run_id) == (2, "Production", first.run_id)
    client.rollback("nba")
    assert retrain("nba", retraining("fail"), incidents=[found], client=client).message == "version 2 is in Archived"


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        ("fail", ZeroDivisionError, "no games"),
        ("return_nothing", InvalidTypeError, r"The retraining 'season' must return Retrained\(…\), got None."),
    ],
)
def test_a_training_that_fails_registers_nothing_and_its_run_has_failed(
    client: MlflowClient, function: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        retrain("nba", retraining(function), client=client)

    assert stages(client, "nba") == {1: "Production"}
    experiment = client.get_experiment_by_name("retraining/nba")
    assert experiment is not None
    assert [run.info.status for run in client.search_runs([experiment.experiment_id])] == ["FAILED"]
    assert registry.active_run() is None


def test_an_incident_starts_a_retraining_once_within_its_cool_down(client: MlflowClient) -> None:
    defined = retraining("learn_new_rules")
    known = TriggerFile({}, {"season": defined})

    first = incident(client, "season", known=known)
    client.close_incident(first.id)
    monitor = client.add_monitor("nba", triggers=["season"])
    run_due(client, monitor_id=monitor.id, triggers=known, check=finding("other", version=2))

    assert [(one.trigger, str(one.state), one.message) for one in client.get_trigger_deliveries()] == [
        ("season", "delivered", "version 2 is in Production"),
        ("season", "skipped", "delivery 1 started this retraining within its cool-down"),
    ]
    assert stages(client, "nba") == {1: "Archived", 2: "Production"}


def command(tmp_path: Path, *words: str) -> Retraining:
    """Return a retraining that runs a program, from a file of triggers."""
    path = tmp_path / "triggers.toml"
    path.write_text(f"[retrainings.season]\ncommand = {json.dumps(list(words))}\nmetric = 'accuracy_score'\n")
    return read_triggers(path).get_retraining("season")


def test_a_command_trains_in_the_run_that_was_begun_for_it(
    client: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    support = Path(__file__).parent.parent / "support"
    monkeypatch.setenv("PYTHONPATH", str(support))

    result = retrain("nba", command(tmp_path, sys.executable, str(support / "retrained_models.py")), client=client)

    assert (result.version, result.stage) == (2, "Production")
    assert client.get_logged_model(str(client.get_model_version("nba", 2).model_id)).source_run_id == result.run_id


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (["sh", "-c", "echo"], InvalidParameterError, "must print, as its last line, JSON such as"),
        (["sh", "-c", "echo '[]'"], InvalidParameterError, r"it printed '\[\]'"),
        (["sh", "-c", 'echo \'{"model": "m", "holdout": "/no", "targets": "y"}\''], InvalidParameterError, "/no"),
        (["sh", "-c", "exit 3"], UnavailableError, "ended with code 3"),
    ],
)
def test_a_command_that_answers_otherwise_registers_nothing(
    client: MlflowClient, tmp_path: Path, words: list[str], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        retrain("nba", command(tmp_path, *words), client=client)

    assert stages(client, "nba") == {1: "Production"}


@pytest.mark.parametrize("ways", [{}, {"command": ("train",), "callable": learn_new_rules}])
def test_a_retraining_has_either_a_command_or_a_callable(ways: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameterError, match="The retraining 'season' needs one of command and callable"):
        Retraining("season", **ways)


def test_a_retraining_whose_experiment_was_deleted_says_how_to_restore_it(client: MlflowClient) -> None:
    client.delete_experiment(client.create_experiment("retraining/nba"))

    with pytest.raises(InvalidParameterError, match="restore it with restore_experiment"):
        retrain("nba", retraining("learn_new_rules"), client=client)

    assert stages(client, "nba") == {1: "Production"}


def test_it_logs_where_the_client_is_or_not_at_all(client: MlflowClient, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError):
        retrain("nothing", retraining("learn_new_rules"), client=client)
    with pytest.raises(NotFoundError, match="There is no retraining 'x' on this machine; there are: none."):
        NOTHING.get_retraining("x")
    registry.set_tracking_uri(f"sqlite:///{tmp_path}/other.db")
    with pytest.raises(InvalidStateError, match="A retraining logs to the tracking URI that is set"):
        retrain("nba", retraining("learn_new_rules"), client=client)


@pytest.mark.slow
@pytest.mark.parametrize("stride", [6, pytest.param(1, marks=pytest.mark.storm)])
def test_a_retraining_that_is_killed_at_any_step_goes_on_and_leaves_nothing_half_promoted(
    client: MlflowClient, crasher: Crasher, stride: int
) -> None:
    kill_at_steps(client, crasher, stride)
    assert crasher.kills >= 3


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.storm)])
def test_a_retraining_that_is_killed_at_random_moments_leaves_nothing_half_promoted(
    client: MlflowClient, crasher: Crasher, seed: int
) -> None:
    kill_at_random_moments(client, crasher, seed, longest=3)
