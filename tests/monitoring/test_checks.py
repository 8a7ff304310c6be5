"""Checks: what is compared with what, what is logged, and that a check takes no lock of the model."""

from datetime import UTC, datetime
from typing import Any

import pytest
from monitored_games import NAME, URI, games, register

import registry
from registry import MlflowClient
from registry.exceptions import InvalidNameError, InvalidParameterError, NotFoundError, ReadOnlyError
from registry.monitoring import DriftReport, check, log_ground_truth, log_inference, make_profile, set_reference
from registry.monitoring.storage import DAY_MS, HOUR_MS

NOON = 1_772_366_400_000
NOON_TIME = datetime.fromtimestamp(NOON / 1000, UTC)


def observe(fitted: Any, rows: int = 400, seed: int = 1, shift: float = 0.0, **options: Any) -> Any:
    inputs, won = games(rows, seed, shift)
    log_inference(URI, inputs, fitted.predict(inputs), **options)
    return won


def test_a_check_without_drift_finds_none_and_one_with_drift_names_it(client: MlflowClient) -> None:
    fitted = register(client)
    observe(fitted, timestamps=NOON)
    quiet = check(NAME, window="1d", at=datetime.fromtimestamp((NOON + HOUR_MS) / 1000, UTC))
    assert (quiet.drifted, quiet.causes, quiet.rows, quiet.reference_rows) == (False, (), 400, 2_000)
    assert (quiet.name, quiet.version, quiet.stage, quiet.against) == (NAME, 1, "Production", "reference")

    observe(fitted, shift=1.0)
    report = check(NAME, window="1h")
    assert report.causes == (
        "input/gap:distribution",
        "input/gap:range",
        "joint/*:joint",
        "prediction/prediction:distribution",
    )
    assert report.digest() != quiet.digest()
    assert 0 <= datetime.now(UTC).timestamp() * 1000 - report.window_start < 2 * HOUR_MS
    assert report.window_end % HOUR_MS == 0


def test_a_report_is_logged_as_a_run(client: MlflowClient) -> None:
    fitted = register(client)
    observe(fitted, shift=1.0)
    report = check(NAME, window="1h")

    run = client.get_run(report.run_id or "")
    assert client.get_experiment(run.info.experiment_id).name == "monitoring/wins"
    assert run.info.status == "FINISHED"
    assert run.data.tags["registry.monitoring.kind"] == "check"
    assert run.data.tags["registry.monitoring.digest"] == report.digest()
    assert run.data.tags["registry.monitoring.causes"] == ", ".join(report.causes)
    assert run.data.metrics["drifted"] == 1
    (ks,) = [one for one in report.results if (one.column, one.detector) == ("gap", "ks")]
    assert run.data.metrics["effect/input/gap/ks"] == ks.effect
    stored = registry.artifacts.load_dict(f"runs:/{report.run_id}/report.json")
    assert DriftReport.from_dict(stored) == report
    runs = client.search_runs([run.info.experiment_id], "tags.`registry.monitoring.kind` = 'check'")
    again = check(NAME, window="1h", log=False)
    assert again.run_id is None
    assert again.digest() == report.digest()
    assert len(client.search_runs([run.info.experiment_id], "tags.`registry.monitoring.kind` = 'check'")) == len(runs)


def test_a_uri_in_place_of_a_name_is_told(client: MlflowClient) -> None:
    with pytest.raises(InvalidNameError) as caught:
        check("models:/nba/1")
    assert caught.value.message == (
        "'models:/nba/1' is a URI; give the name of the model alone, and `stage` or `version`."
    )


def test_a_check_adds_nothing_to_the_history_of_the_model(client: MlflowClient) -> None:
    fitted = register(client)
    events = len(client.get_history(NAME))
    observe(fitted, shift=1.0)
    assert check(NAME, window="1h").drifted
    assert len(client.get_history(NAME)) == events


def test_a_read_only_client_can_check_without_logging(sqlite_url: str) -> None:
    client = MlflowClient(sqlite_url)
    fitted = register(client)
    observe(fitted, shift=1.0)
    reader = MlflowClient(sqlite_url, read_only=True)
    assert check(NAME, window="1h", log=False, client=reader).drifted
    with pytest.raises(ReadOnlyError):
        check(NAME, window="1h", client=reader)


def test_the_window_before_may_be_the_reference(client: MlflowClient) -> None:
    fitted = register(client, reference=None)
    observe(fitted, timestamps=NOON - DAY_MS)
    observe(fitted, seed=2, timestamps=NOON - HOUR_MS)
    observe(fitted, seed=3, shift=1.0, timestamps=NOON + HOUR_MS)
    options: Any = {"window": "1d", "against": "previous"}
    assert not check(NAME, at=NOON_TIME, **options).drifted
    later = check(NAME, at=datetime.fromtimestamp((NOON + 2 * HOUR_MS) / 1000, UTC), window="2h", against="previous")
    assert "input/gap:distribution" in later.causes
    assert later.against == "previous"
    nothing = check(NAME, at=datetime.fromtimestamp((NOON - 9 * DAY_MS) / 1000, UTC), **options)
    assert (nothing.rows, nothing.reference_rows, nothing.drifted) == (0, 0, False)


def test_the_reference_of_another_version_may_be_the_reference(client: MlflowClient) -> None:
    fitted = register(client)
    register(client, reference=make_profile(games(2_000, 5, 1.0)[0]))
    inputs, _ = games(400, 1)
    log_inference(f"models:/{NAME}/2", inputs, fitted.predict(inputs))
    assert check(NAME, window="1h").drifted
    for against in (1, "1", "version 1"):
        report = check(NAME, window="1h", against=against)
        assert (report.drifted, report.version, report.against) == (False, 2, "version 1")


def test_a_version_is_checked_instead_of_a_stage(client: MlflowClient) -> None:
    fitted = register(client)
    register(client)
    observe(fitted, shift=1.0)
    assert check(NAME, window="1h").rows == 0
    report = check(NAME, window="1h", version=1)
    assert (report.version, report.stage, report.rows, report.drifted) == (1, None, 400, True)


def test_decay_is_found_with_ground_truth_alone(client: MlflowClient) -> None:
    fitted = register(client)
    won = observe(fitted, ids=range(400))
    wrong = won.copy()
    wrong[::3] = 1 - wrong[::3]
    log_ground_truth(URI, range(400), wrong)
    report = check(NAME, window="1h", detectors=["performance", "ks"])
    assert report.causes == ("performance/accuracy:metric",)


def test_nothing_observed_is_a_report_that_says_so(client: MlflowClient) -> None:
    register(client)
    report = check(NAME, window="1h")
    assert (report.rows, report.drifted) == (0, False)
    assert {result.note for result in report.unavailable} >= {"not observed", "no ground truth"}


def test_odd_names_of_columns_are_checked_and_logged(client: MlflowClient) -> None:
    fitted = register(client, reference=None)
    inputs, won = games(500)
    frame = inputs.rename(columns={"gap": "../'gap\"\n", "rest": "é" * 400})
    set_reference(URI, frame, won)
    shifted = frame + 3
    log_inference(URI, shifted, fitted.predict(inputs))
    report = check(NAME, window="1h", detectors=["ks"])
    assert len(report.causes) == 2
    metrics = client.get_run(report.run_id or "").data.metrics
    assert {"effect/input/____gap__/ks", f"effect/input/{'é' * 150}/ks"} <= metrics.keys()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"window": "0s"}, "window must be a positive duration such as '7d', got '0s'"),
        ({"window": 7}, "window must be a positive duration"),
        (
            {"against": "yesterday"},
            "against must be 'reference', 'previous' or the number of a version, got 'yesterday'",
        ),
        ({"against": True}, "against must be"),
        ({"minimum_rows": 1}, "minimum_rows must be an integer of 2 or more, got 1"),
        ({"thresholds": {"ks": -1}}, "The threshold of ks must be a number of 0 or more, got -1"),
        ({"thresholds": {"kss": 1}}, "There is no detector 'kss'"),
        ({"detectors": ["kss"]}, "There is no detector 'kss'"),
        ({"at": datetime(2026, 3, 1)}, "at must be a datetime with a time zone"),
        ({"every": "0s"}, "every must be a positive duration"),
        ({"false_incidents": -1}, "false_incidents must be a number greater than 0"),
    ],
)
def test_an_argument_that_cannot_be_used_is_explained(given: Any, message: str, sqlite_url: str) -> None:
    register(MlflowClient(sqlite_url))
    with pytest.raises(InvalidParameterError, match=message):
        check(NAME, **given)


def test_without_a_reference_the_error_says_how_to_set_one(client: MlflowClient) -> None:
    register(client, reference=None)
    with pytest.raises(NotFoundError, match="Version 1 of 'wins' has no reference. Set one with registry.monitoring"):
        check(NAME)
    with pytest.raises(NotFoundError):
        check("absent")
    with pytest.raises(NotFoundError):
        check(NAME, stage="Staging")
