"""Detectors: p-values that hold without drift, effects that grow with it, and what they say when they cannot tell."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from registry.exceptions import InvalidParameterError
from registry.monitoring import ColumnResult, Performance, Profile, make_profile
from registry.monitoring.comparison import (
    Sensitivity,
    adjust_p_values,
    alpha_of,
    check_detectors,
    compare_profiles,
)
from registry.monitoring.detectors import ALL_DETECTORS, DETECTORS, Pair, find_decay
from registry.monitoring.profiles import ProfileBuilder

SURE = Sensitivity(0.0033)


def column(values: Any, like: Profile | None = None) -> Profile:
    builder = ProfileBuilder(like=like, seed=0)
    builder.add({"x": values})
    return builder.finish()


def find(detector: str, reference: Any, window: Any) -> ColumnResult:
    """Run one detector on one column."""
    known = column(reference)
    (result,) = compare_profiles(known, column(window, known), [detector], SURE)
    return result


def number(seed: int, rows: int, shift: float = 0.0) -> Any:
    return np.random.default_rng(seed).normal(shift, 1, rows)


def text(seed: int, rows: int, shares: tuple[float, ...] = (0.5, 0.3, 0.2)) -> Any:
    return np.random.default_rng(seed).choice(np.array(list("abc"), dtype=object), rows, p=shares)


@pytest.mark.parametrize(
    ("detector", "make"),
    [
        ("ks", number),
        ("wasserstein", number),
        ("psi", number),
        ("jensen_shannon", number),
        ("chi_squared", text),
        ("psi", text),
        ("range", number),
        ("missing", lambda seed, rows: np.where(np.random.default_rng(seed).random(rows) < 0.1, np.nan, 1.0)),
    ],
)
def test_without_drift_p_values_are_small_no_more_often_than_they_say(detector: str, make: Any) -> None:
    p_values = []
    for seed in range(100):
        result = find(detector, make(2 * seed, 600), make(2 * seed + 1, 300))
        assert result.p_value is not None
        p_values.append(result.p_value)

    # 10 of 100 are expected below 0.1, give or take 3; the exact tests of few values may have fewer.
    assert sum(value < 0.1 for value in p_values) <= 20
    assert sum(value < 0.01 for value in p_values) <= 6


@pytest.mark.parametrize("detector", ["ks", "wasserstein", "psi", "jensen_shannon"])
def test_a_shift_of_numbers_is_found_and_a_larger_one_has_a_larger_effect(detector: str) -> None:
    results = [find(detector, number(0, 3_000), number(1, 1_000, shift)) for shift in (0.0, 0.5, 1.0)]
    assert [result.drifted for result in results] == [False, True, True]
    assert [result.aspect for result in results] == ["distribution"] * 3
    effects = [result.effect or 0.0 for result in results]
    assert effects == sorted(effects)


def test_the_kolmogorov_smirnov_statistic_is_that_of_scipy() -> None:
    left, right = number(0, 400), np.round(number(1, 300), 1)
    expected = scipy.stats.ks_2samp(left, right)
    result = find("ks", left, right)
    assert result.statistic == pytest.approx(expected.statistic)
    assert result.p_value == pytest.approx(expected.pvalue, rel=0.1)


def test_the_wasserstein_distance_is_that_of_scipy_in_standard_deviations() -> None:
    left, right = number(0, 2_000), 3 + 2 * number(1, 2_000)
    result = find("wasserstein", left, right)
    assert result.statistic == pytest.approx(scipy.stats.wasserstein_distance(left, right), rel=0.02)
    assert result.effect == pytest.approx((result.statistic or 0) / left.std())
    assert result.p_value is not None
    assert result.p_value < 1e-12
    assert find("wasserstein", [1.0] * 200, [1.0] * 200).p_value == 1
    assert find("wasserstein", [1.0] * 200, [2.0] * 200).drifted


def test_other_shares_of_categories_are_drift() -> None:
    result = find("chi_squared", text(0, 3_000), text(1, 1_000, (0.3, 0.5, 0.2)))
    assert result.drifted
    assert result.effect == pytest.approx(0.2, abs=0.03)  # a fifth of the rows has another category
    table = pd.crosstab(
        np.repeat([0, 1], [3_000, 1_000]), np.concatenate([text(0, 3_000), text(1, 1_000, (0.3, 0.5, 0.2))])
    )
    assert result.statistic == pytest.approx(scipy.stats.chi2_contingency(table, correction=False).statistic)
    assert not find("chi_squared", ["a"] * 500, ["a"] * 500).drifted


def test_rare_categories_are_tested_together() -> None:
    rare = [f"rare {number}" for number in range(40)]
    result = find("chi_squared", ["a"] * 400 + rare, ["a"] * 440)
    assert result.p_value == pytest.approx(scipy.stats.chi2_contingency([[400, 40], [440, 0]], correction=False).pvalue)
    assert find("chi_squared", ["a"] * 400 + ["b"], ["a"] * 400).p_value == 1


def test_new_categories_are_drift_unless_the_reference_has_new_ones_all_the_time() -> None:
    assert find("new_categories", ["a", "b"] * 500, ["a", "b"] * 250 + ["new"] * 20).drifted
    ids = [f"player {number}" for number in range(1_000)]
    more = [f"player {number}" for number in range(1_000, 1_300)]
    result = find("new_categories", ids, more)
    assert (result.statistic, result.effect, result.drifted) == (300, 1.0, False)
    assert not find("new_categories", ["a"] * 500, ["a"] * 500).drifted


def test_a_reference_of_too_many_categories_knows_no_new_ones() -> None:
    result = find("new_categories", [f"player {number}" for number in range(1_200)], ["new"] * 200)
    assert result.note == "the reference has too many categories to know them all"


def test_values_out_of_range_are_drift() -> None:
    assert find("range", number(0, 2_000), number(1, 1_000, 3)).drifted
    result = find("range", np.arange(100.0), np.full(100, 200.0))
    # 100 of 200 values, all above: one chance in C(200, 100), twice for two sides.
    assert result.p_value == pytest.approx(2 / float(scipy.special.comb(200, 100)))


def test_more_missing_values_are_drift() -> None:
    some = np.where(np.arange(1_000) % 10 == 0, np.nan, 1.0)
    assert find("missing", np.ones(1_000), some).drifted
    assert find("missing", some, np.ones(1_000)).drifted
    assert find("missing", np.ones(1_000), np.ones(1_000)).p_value is None
    table = scipy.stats.fisher_exact([[100, 900], [30, 170]], alternative="greater")
    result = find("missing", np.repeat([np.nan, 1], [100, 900]), np.repeat([np.nan, 1], [30, 170]))
    assert result.p_value == pytest.approx(2 * min(table.pvalue, scipy.stats.hypergeom.sf(29, 1_200, 130, 200)))


def test_a_column_of_missing_values_has_no_distribution() -> None:
    assert find("ks", number(0, 500), np.full(500, np.nan)).note == "there are no values"
    assert find("ks", np.full(500, np.nan), number(0, 500)).note == "there are no values"
    assert find("missing", number(0, 500), np.full(500, np.nan)).drifted


def test_what_needs_rows_says_so() -> None:
    known = make_profile({"x": number(0, 500)}, sample_rows=0)
    builder = ProfileBuilder(like=known, sample_rows=0)
    builder.add({"x": number(1, 500, 3)})
    results = {result.detector: result for result in compare_profiles(known, builder.finish(), ALL_DETECTORS, SURE)}

    assert results["ks"].note == "needs sampled rows of the reference"
    assert results["wasserstein"].note == "needs sampled rows of the reference"
    assert results["range"].note == "needs sampled rows of the window"
    assert results["domain_classifier"].note == "needs sampled rows of both"
    assert results["psi"].drifted  # counts are enough
    other = ProfileBuilder(sample_rows=0)
    other.add({"x": number(1, 500, 3)})
    (psi,) = compare_profiles(known, other.finish(), ["psi"], SURE)
    assert psi.note == "needs sampled rows of the window, or its histogram with the reference's bins"


def test_a_window_that_lacks_a_column_says_so() -> None:
    known = make_profile({"x": number(0, 500), "y": text(0, 500)})
    results = compare_profiles(known, make_profile({"y": number(0, 500)}), ["ks", "chi_squared"], SURE)
    assert [(result.column, result.note) for result in results] == [("x", "not observed"), ("y", "observed as number")]


def test_too_few_rows_are_not_tested() -> None:
    result = find("ks", number(0, 500), number(1, 50, 5))
    assert (result.note, result.p_value, result.drifted) == ("too few rows: 50 of 100", None, False)
    known = make_profile({"x": number(0, 500)})
    window = make_profile({"x": number(0, 50)})
    (joint,) = compare_profiles(known, window, ["domain_classifier"], SURE)
    assert joint.note == "too few rows: 50 of 100"
    (result,) = compare_profiles(known, make_profile({"x": number(1, 50, 5)}), ["ks"], replace(SURE, minimum_rows=20))
    assert result.drifted


def test_effects_below_a_threshold_are_no_drift_however_sure_they_are() -> None:
    known = column(number(0, 5_000))
    window = column(number(1, 20_000, 0.2), known)
    (result,) = compare_profiles(known, window, ["ks"], SURE)
    assert result.p_adjusted is not None
    assert result.p_adjusted < 1e-9
    assert not result.drifted
    (result,) = compare_profiles(known, window, ["ks"], replace(SURE, thresholds={"ks": 0.05}))
    assert (result.drifted, result.threshold) == (True, 0.05)


def test_a_changed_correlation_is_found_by_the_domain_classifier_alone() -> None:
    def frame(seed: int, sign: float, rows: int) -> pd.DataFrame:
        left, noise = number(seed, rows), number(seed + 1, rows)
        venue = np.where(left > 0, "home", "away")
        return pd.DataFrame({"x": left, "y": sign * 0.9 * left + 0.4 * noise, "venue": venue})

    known = make_profile(frame(0, 1, 2_000))
    for sign, drifted in ((1, False), (-1, True)):
        results = compare_profiles(known, make_profile(frame(7, sign, 800)), ["ks", "psi", "domain_classifier"], SURE)
        assert {result.detector for result in results if result.drifted} == (
            {"domain_classifier"} if drifted else set()
        )
        assert results[-1].cause == "joint/*:joint"
    assert (results[-1].statistic or 0) > 0.8


@pytest.mark.slow
def test_the_domain_classifier_is_sure_no_more_often_than_it_says() -> None:
    p_values = []
    for seed in range(60):
        profiles = [
            make_profile({"x": number(4 * seed + part, 400), "y": number(4 * seed + part + 2, 400)}) for part in (0, 1)
        ]
        (result,) = compare_profiles(*profiles, ["domain_classifier"], SURE)
        assert result.p_value is not None
        p_values.append(result.p_value)

    # 6 of 60 are expected below 0.1, give or take 2.3.
    assert sum(value < 0.1 for value in p_values) <= 14
    assert sum(value < 0.01 for value in p_values) <= 4


def test_the_domain_classifier_needs_common_inputs_and_enough_rows() -> None:
    known = make_profile({"x": number(0, 500)})
    (result,) = compare_profiles(known, make_profile({"y": number(0, 500)}), ["domain_classifier"], SURE)
    assert result.note == "there are no inputs of the same kind in both"
    (result,) = compare_profiles(make_profile({"x": [1.0]}), known, ["domain_classifier"], SURE)
    assert result.note == "too few rows for cross-validation"


def test_without_xgboost_the_domain_classifier_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "xgboost", None)
    known = make_profile({"x": number(0, 500)})
    (result,) = compare_profiles(known, known, ["domain_classifier"], SURE)
    assert result.note == "needs xgboost"


@pytest.mark.parametrize(
    ("reference", "window", "drifted"),
    [
        (Performance("accuracy", 1_000, 0.1, 0.09), Performance("accuracy", 500, 0.2, 0.16), True),
        (Performance("accuracy", 1_000, 0.2, 0.16), Performance("accuracy", 500, 0.1, 0.09), False),
        (Performance("mean_absolute_error", 1_000, 2.0, 1.0), Performance("mean_absolute_error", 500, 3.0, 1.0), True),
        (Performance("mean_absolute_error", 1_000, 2.0, 1.0), Performance("mean_absolute_error", 500, 2.1, 1.0), False),
        (Performance("mean_absolute_error", 1_000, 0.0, 0.0), Performance("mean_absolute_error", 500, 0.0, 0.0), False),
    ],
)
def test_worse_predictions_are_drift_and_better_ones_are_not(
    reference: Performance, window: Performance, drifted: bool
) -> None:
    known = replace(make_profile({"x": [1.0] * 200}), performance=reference)
    seen = replace(known, performance=window)
    (result,) = compare_profiles(known, seen, ["performance"], SURE)
    assert (result.drifted, result.role, result.cause) == (
        drifted,
        "performance",
        f"performance/{reference.metric}:metric",
    )
    assert result.low is not None
    assert result.high is not None
    assert result.low <= window.value <= result.high


def test_performance_that_cannot_be_compared_says_so() -> None:
    known = replace(make_profile({"x": [1.0] * 200}), performance=Performance("accuracy", 1_000, 0.1, 0.09))
    notes = [
        compare_profiles(known, replace(known, performance=performance), ["performance"], SURE)[0].note
        for performance in (None, Performance("accuracy", 50, 0.2, 0.1), Performance("brier_score", 500, 0.2, 0.1))
    ]
    assert notes == ["no ground truth", "too few rows: 50 of 100", "the reference has accuracy, the window brier_score"]
    assert compare_profiles(replace(known, performance=None), known, ["performance"], SURE) == ()
    finding, _ = find_decay(Performance("brier_score", 9, 0.0, 0.0), Performance("brier_score", 9, 0.5, 0.0))
    assert (finding.effect, finding.p_value) == (np.inf, 0.0)


def test_p_values_are_adjusted_as_benjamini_and_hochberg_do() -> None:
    p_values = [0.01, 0.02, 0.03, 0.5, 0.9]
    assert adjust_p_values(p_values) == pytest.approx(scipy.stats.false_discovery_control(p_values).tolist())
    assert adjust_p_values(p_values[::-1]) == pytest.approx(
        scipy.stats.false_discovery_control(p_values).tolist()[::-1]
    )
    assert adjust_p_values([]) == []


def test_the_budget_is_shared_among_the_checks_of_a_month() -> None:
    assert alpha_of("1d", 0.1) == pytest.approx(0.1 / 30)
    assert alpha_of("1h", 0.1) == pytest.approx(0.1 / 720)
    assert alpha_of("30d", 3) == 0.05
    for every, budget in (("0s", 0.1), (5, 0.1), ("1d", 0), ("1d", True), ("1d", "x")):
        with pytest.raises(InvalidParameterError, match="must be a"):
            alpha_of(every, budget)  # type: ignore[arg-type]


def test_detectors_are_named() -> None:
    assert check_detectors(["psi", "ks", "psi"]) == ("psi", "ks")
    with pytest.raises(InvalidParameterError, match="There is no detector 'kss'; choose among ks, wasserstein, psi"):
        check_detectors(["kss"])
    with pytest.raises(InvalidParameterError, match="No detector is named"):
        check_detectors([])


def test_counts_of_all_rows_are_used_where_the_bins_are_the_same() -> None:
    known = make_profile({"x": number(0, 500)})
    builder = ProfileBuilder(like=known, sample_rows=10, seed=0)
    builder.add({"x": number(1, 4_000, 1)})
    window = builder.finish()
    pair = Pair(known.columns[0], window.columns[0], known.values("input", "x"), window.values("input", "x"))
    assert (DETECTORS["psi"].find(pair).p_value or 0) < 1e-50  # ten rows alone could not be so sure


def test_a_value_that_no_resampling_deals_anew_has_the_least_p_value_of_wasserstein() -> None:
    # All resampled distances are the same, so there is no tail to fit.
    known = make_profile({"x": [0.0] * 5_000})
    pair = make_profile({"x": [0.0, 1.0]})
    (result,) = compare_profiles(known, pair, ["wasserstein"], replace(SURE, minimum_rows=2))
    assert result.p_value == 0.001
