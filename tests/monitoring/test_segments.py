"""Segments: predictions and performance of parts of the rows; and correlations of pairs of inputs."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from monitored_games import NAME, URI, register

from registry import MlflowClient
from registry.exceptions import InvalidParameterError
from registry.monitoring import (
    DriftReport,
    Profile,
    check,
    get_reference,
    log_ground_truth,
    log_inference,
    make_profile,
    set_reference,
)
from registry.monitoring.comparison import Sensitivity, compare_profiles
from registry.monitoring.correlations import correlate
from registry.monitoring.detectors import DEFAULT_DETECTORS
from registry.monitoring.profiles import ProfileBuilder, merge_profiles

SURE = Sensitivity(0.01)


def games(rows: int, seed: int, wrong_at_home: float = 0.0) -> tuple[pd.DataFrame, Any, Any]:
    """Return inputs, predictions and who won; at home, this share of the predictions is turned round."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame({"gap": random.normal(0, 1, rows), "rest": random.exponential(2, rows)})
    frame["venue"] = random.choice(np.array(["home", "away"], dtype=object), rows)
    won = (frame["gap"] + random.normal(0, 0.5, rows) > 0).astype(int).to_numpy()
    predicted = (frame["gap"] > 0).astype(int).to_numpy()
    is_wrong = (frame["venue"] == "home").to_numpy() & (random.random(rows) < wrong_at_home)
    return frame, np.where(is_wrong, 1 - predicted, predicted), won


def windowed(reference: Profile, *data: Any) -> Profile:
    builder = ProfileBuilder(like=reference, seed=0)
    builder.add(*data)
    return builder.finish()


def test_a_profile_has_predictions_targets_and_performance_of_each_segment() -> None:
    frame, predicted, won = games(1_000, 0)
    profile = make_profile(frame, predicted, won, segments=["venue"])
    assert profile.segment_columns == ("venue",)
    assert list(profile.segments) == [("venue", "away"), ("venue", "home")]
    is_home = (frame["venue"] == "home").to_numpy()
    home = profile.get_segment("venue", "home")
    assert [column.key for column in home.columns] == [("prediction", "prediction"), ("target", "target")]
    assert home.rows == is_home.sum()
    assert home.get("target", "target").categories == {
        str(label): int(count) for label, count in pd.Series(won[is_home]).value_counts().items()
    }
    assert home.performance is not None
    assert home.performance.value == pytest.approx((predicted == won)[is_home].mean())
    assert len(home.values("prediction", "prediction")) == is_home.sum()
    assert sum(segment.rows for segment in profile.segments.values()) == 1_000
    with pytest.raises(InvalidParameterError, match="no segment venue=moon; it has segments of venue"):
        profile.get_segment("venue", "moon")


def test_segments_and_correlations_are_stored_with_the_profile_and_windows_with_segments_merge() -> None:
    known = make_profile(*games(1_000, 0), segments=["venue"], correlations=True)
    again = Profile.from_parquet(known.to_parquet())
    assert again.to_dict() == known.to_dict()
    assert (again.segments, again.correlations) == (known.segments, known.correlations)
    assert [(one.left, one.right) for one in known.correlations] == [("gap", "rest")]

    parts = [windowed(known, *games(300, seed)) for seed in (1, 2)]
    merged = merge_profiles(parts).get_segment("venue", "home")
    assert merged.rows == sum(part.get_segment("venue", "home").rows for part in parts)
    assert merged.performance is not None
    assert merged.get("prediction", "prediction").count == merged.rows
    # A profile of an older registry has neither.
    old = {key: value for key, value in known.to_dict().items() if key not in ("segments", "correlations")}
    assert (Profile.from_dict(old).segments, Profile.from_dict(old).correlations) == ({}, ())


def test_a_model_that_fails_in_one_segment_alone_is_found_there() -> None:
    known = make_profile(*games(4_000, 0), segments=["venue"])
    quiet = compare_profiles(known, windowed(known, *games(800, 1)), DEFAULT_DETECTORS, SURE)
    assert not any(result.drifted for result in quiet)
    results = compare_profiles(known, windowed(known, *games(800, 2, wrong_at_home=0.2)), DEFAULT_DETECTORS, SURE)
    causes = {result.cause for result in results if result.drifted}
    assert "performance/accuracy:metric[venue=home]" in causes
    assert not any("venue=away" in cause for cause in causes)
    tested = [result for result in results if result.p_value is not None]
    # All tests count in the correction, those of segments too.
    assert [result.p_adjusted for result in tested] == pytest.approx(
        scipy.stats.false_discovery_control([result.p_value for result in tested]).tolist()
    )
    assert {result.segment for result in tested} == {"", "venue=away", "venue=home"}


def test_numbers_that_are_predicted_are_compared_by_the_rows_of_the_segment() -> None:
    def scores(rows: int, seed: int, shift: float) -> tuple[pd.DataFrame, Any]:
        frame, _, _ = games(rows, seed)
        return frame, frame["gap"].to_numpy() + np.where(frame["venue"] == "home", shift, 0.0)

    known = make_profile(*scores(3_000, 0, 0.0), segments=["venue"])
    results = compare_profiles(known, windowed(known, *scores(900, 1, 0.9)), ["ks", "psi", "missing"], SURE)
    found = {(one.segment, one.detector, one.column) for one in results if one.drifted}
    assert ("venue=home", "ks", "prediction") in found
    assert ("venue=home", "psi", "prediction") in found
    assert not any(segment == "venue=away" for segment, _, _ in found)
    assert not any(one.segment and one.detector == "missing" for one in results)


def test_a_segment_with_too_few_rows_or_none_says_so() -> None:
    known = make_profile(*games(2_000, 0), segments=["venue"])
    frame, predicted, _ = games(300, 1)
    frame["venue"] = ["home"] * 250 + ["moon"] * 50
    results = compare_profiles(known, windowed(known, frame, predicted), ["psi", "performance"], SURE)
    notes = {(one.segment, one.role): one.note for one in results if one.segment}
    assert notes["venue=away", "prediction"] == "not observed"
    assert notes["venue=home", "performance"] == "no ground truth"
    assert notes["venue=home", "prediction"] == ""
    few = compare_profiles(known, windowed(known, *games(120, 1)), ["psi"], SURE)
    assert {one.note[:12] for one in few if one.segment and one.role == "prediction"} == {"too few rows"}


@pytest.mark.parametrize(
    ("segments", "message"),
    [
        (["gap"], "The segment column 'gap' holds values of the kind 'number'; segments are categories. Add a column"),
        (["absent"], "The segment column 'absent' is not among the inputs"),
        (["player"], "The segment column 'player' has more than 50 different values. Choose a coarser one"),
        ("venue", "segments must be a list"),
    ],
)
def test_a_column_that_makes_no_segments_is_refused(segments: Any, message: str) -> None:
    frame, predicted, won = games(300, 0)
    frame["player"] = [f"player {number}" for number in range(300)]
    with pytest.raises(Exception, match=message):
        make_profile(frame, predicted, won, segments=segments)
    with pytest.raises(InvalidParameterError, match="Segments compare predictions, targets and performance"):
        make_profile(frame, segments=["venue"])


def test_a_check_finds_decay_in_a_segment_from_ground_truth_that_came_later(client: MlflowClient) -> None:
    register(client, reference=None)
    frame, predicted, won = games(3_000, 0)
    set_reference(URI, frame, predicted, won, segments=["venue"], correlations=True)
    assert len(get_reference(URI).correlations) == 1
    seen, answers, true = games(800, 5, wrong_at_home=0.25)
    for half in (slice(0, 400), slice(400, 800)):
        log_inference(URI, seen[half], answers[half], ids=range(half.start, half.stop))
    log_ground_truth(URI, range(800), true)

    report = check(NAME, window="1h", detectors=["psi", "performance"])
    assert "performance/accuracy:metric[venue=home]" in report.causes
    assert "segment" in report.to_frame().columns
    assert "<td>venue=home</td>" in report._repr_html_()
    labels = [text.get_text() for text in report.plot().axes[0].get_yticklabels()]
    assert "performance accuracy, performance (venue=home)" in labels
    assert DriftReport.from_dict(report.to_dict()) == report
    metrics = client.get_run(report.run_id or "").data.metrics
    assert metrics["effect/performance/accuracy/performance/venue_home"] > 0.1

    whole = check(NAME, window="1h", detectors=["psi"], segments=[], log=False)
    assert {result.segment for result in whole.results} == {""}
    assert "segment" not in whole._repr_html_()
    with pytest.raises(InvalidParameterError, match="has no segments of 'rest'; it has venue. Set a reference with"):
        check(NAME, window="1h", segments=["rest"])
    previous = check(NAME, window="1h", against="previous", log=False)
    assert previous.reference_rows == 0


def test_a_pair_whose_correlation_turned_round_is_named() -> None:
    def frame(seed: int, sign: float, rows: int) -> pd.DataFrame:
        random = np.random.default_rng(seed)
        left = random.normal(0, 1, rows)
        noise = random.lognormal(0, 0.6, rows)
        right = sign * left + random.normal(0, 1, rows)
        return pd.DataFrame({"x": left, "y": right, "z": noise, "n": np.where(left > 2, np.nan, left)})

    known = make_profile(frame(0, 1, 3_000), correlations=True, sample_rows=0)
    assert known.sample is None
    assert len(known.correlations) == 6
    for sign, causes in ((1, set()), (-1, {"joint/x, y:correlation"})):
        results = compare_profiles(known, make_profile(frame(3, sign, 500)), ["correlation"], SURE)
        assert {result.cause for result in results if result.drifted} <= causes | {"joint/y, n:correlation"}
        assert any(result.drifted for result in results) == bool(causes)
    (result,) = results
    assert (result.statistic or 0) < -0.6
    assert (result.role, result.kind, result.threshold) == ("joint", "rows", 0.1)


def test_a_pair_that_is_surest_and_hardly_changed_hides_none_that_matters() -> None:
    def frame(seed: int, rows: int, tight: float, loose: float) -> pd.DataFrame:
        random = np.random.default_rng(seed)
        a, b, c, d = random.normal(0, 1, (4, rows))
        return pd.DataFrame({"a": a, "b": a + tight * b, "c": c, "d": loose * c + d})

    known = make_profile(frame(0, 5_000, 0.2, 0.0), correlations=True)
    (result,) = compare_profiles(known, make_profile(frame(1, 5_000, 0.35, 0.25)), ["correlation"], SURE)
    assert (result.column, result.drifted) == ("c, d", True)
    (result,) = compare_profiles(known, make_profile(frame(1, 5_000, 0.35, 0.0)), ["correlation"], SURE)
    assert (result.column, result.drifted) == ("a, b", False)
    assert (result.p_adjusted or 1) < 1e-9


def test_correlations_need_a_reference_that_has_them_and_rows() -> None:
    data = games(500, 0)[0]
    plain, known = make_profile(data), make_profile(data, correlations=True)
    assert compare_profiles(plain, plain, ["correlation"], SURE) == ()
    notes = [
        compare_profiles(known, window, ["correlation"], SURE)[0].note
        for window in (make_profile(data, sample_rows=0), make_profile(data.head(50)), make_profile(data[["gap"]]))
    ]
    assert notes == ["needs sampled rows of the window", "too few rows: 50 of 100", "too few rows for correlations"]
    (same,) = compare_profiles(known, known, ["correlation"], SURE)
    assert (same.effect, same.p_value) == (0.0, 1.0)


@pytest.mark.parametrize("strength", [0.0, 0.8, 3.0])
def test_the_standard_error_of_a_rank_correlation_is_what_repetition_shows(strength: float) -> None:
    values, errors = [], []
    for seed in range(150):
        random = np.random.default_rng(seed)
        left = random.exponential(1, 300)
        right = np.exp(strength * left + random.normal(0, 1, 300))
        (one,) = correlate(pd.DataFrame({"input.x": left, "input.y": right}), ["x", "y"])
        values.append(one.value)
        errors.append(one.error)
    assert one.value == pytest.approx(scipy.stats.spearmanr(left, right).statistic)
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.15)


def test_columns_that_follow_from_each_other_have_no_error() -> None:
    numbers = np.arange(200.0)
    known = make_profile({"x": numbers, "y": numbers * 2, "constant": [1.0] * 200}, correlations=True)
    ((left, right, value),) = [(one.left, one.right, one.value) for one in known.correlations]
    assert (left, right, value) == ("x", "y", pytest.approx(1.0))
    (result,) = compare_profiles(known, make_profile({"x": numbers, "y": -numbers}), ["correlation"], SURE)
    assert result.drifted
    (result,) = compare_profiles(
        known, make_profile({"x": numbers, "y": numbers, "constant": [1.0] * 200}), ["correlation"], SURE
    )
    assert result.p_value == 1.0
