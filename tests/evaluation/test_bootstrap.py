"""The paired bootstrap: scikit-learn's metrics, SciPy's intervals, and what they promise on simulated pairs."""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.stats
from sklearn import metrics as sk

from registry.evaluation.bootstrap import Interval, difference_interval, distinct_rows, draw
from registry.evaluation.weighted_metrics import METRICS, PROBABILITIES, VALUES

RNG = np.random.default_rng(5)
TRUTH = RNG.integers(2, size=300)
SCORE = np.clip(np.round(0.3 * TRUTH + RNG.random(300) * 0.7, 2), 0, 1)  # rounded, so that there are ties
BINARY = np.column_stack([1 - SCORE, SCORE])
CLASSES = RNG.integers(3, size=300)
MANY = RNG.dirichlet([1, 1, 1], 300) * 0.7 + 0.3 * np.eye(3)[CLASSES]
NUMBERS = RNG.normal(3, 2, 300)
GUESSES = NUMBERS + RNG.normal(0, 0.5, 300)
WEIGHTS = RNG.integers(0, 4, size=(5, 300)).astype(float)
OVR: dict[str, Any] = {"multi_class": "ovr", "average": "weighted"}
SKLEARN: list[tuple[str, Any, Any, Callable[..., Any]]] = [
    ("accuracy_score", TRUTH, SCORE > 0.5, lambda w: sk.accuracy_score(TRUTH, SCORE > 0.5, sample_weight=w)),
    ("precision_score", TRUTH, SCORE > 0.5, lambda w: sk.precision_score(TRUTH, SCORE > 0.5, sample_weight=w)),
    ("recall_score", TRUTH, SCORE > 0.5, lambda w: sk.recall_score(TRUTH, SCORE > 0.5, sample_weight=w)),
    ("f1_score", TRUTH, SCORE > 0.5, lambda w: sk.f1_score(TRUTH, SCORE > 0.5, sample_weight=w)),
    (
        "f1_score",
        CLASSES,
        MANY.argmax(1),
        lambda w: sk.f1_score(CLASSES, MANY.argmax(1), average="weighted", sample_weight=w),
    ),
    (
        "precision_score",
        CLASSES,
        MANY.argmax(1),
        lambda w: sk.precision_score(CLASSES, MANY.argmax(1), average="weighted", sample_weight=w),
    ),
    ("roc_auc", TRUTH, BINARY, lambda w: sk.roc_auc_score(TRUTH, SCORE, sample_weight=w)),
    ("roc_auc", CLASSES, MANY, lambda w: sk.roc_auc_score(CLASSES, MANY, sample_weight=w, **OVR)),
    ("precision_recall_auc", TRUTH, BINARY, lambda w: sk.average_precision_score(TRUTH, SCORE, sample_weight=w)),
    ("log_loss", TRUTH, BINARY, lambda w: sk.log_loss(TRUTH, BINARY, sample_weight=w)),
    ("log_loss", CLASSES, MANY, lambda w: sk.log_loss(CLASSES, MANY, sample_weight=w)),
    ("mean_absolute_error", NUMBERS, GUESSES, lambda w: sk.mean_absolute_error(NUMBERS, GUESSES, sample_weight=w)),
    ("mean_squared_error", NUMBERS, GUESSES, lambda w: sk.mean_squared_error(NUMBERS, GUESSES, sample_weight=w)),
    (
        "root_mean_squared_error",
        NUMBERS,
        GUESSES,
        lambda w: sk.root_mean_squared_error(NUMBERS, GUESSES, sample_weight=w),
    ),
    (
        "mean_absolute_percentage_error",
        NUMBERS,
        GUESSES,
        lambda w: sk.mean_absolute_percentage_error(NUMBERS, GUESSES, sample_weight=w),
    ),
    ("r2_score", NUMBERS, GUESSES, lambda w: sk.r2_score(NUMBERS, GUESSES, sample_weight=w)),
]


@pytest.mark.parametrize(("name", "truth", "predictions", "expected"), SKLEARN)
def test_a_metric_of_weights_is_that_of_scikit_learn(
    name: str, truth: Any, predictions: Any, expected: Callable[..., Any]
) -> None:
    predicted = predictions.astype(int) if predictions.dtype == bool else predictions
    of_weights = METRICS[name].of(truth, predicted)
    assert of_weights(np.ones((1, 300)))[0] == pytest.approx(expected(None), rel=1e-12)
    assert of_weights(WEIGHTS).tolist() == pytest.approx([expected(row) for row in WEIGHTS], rel=1e-12)


def test_every_metric_is_compared_with_scikit_learn() -> None:
    assert {name for name, *_ in SKLEARN} == set(METRICS)


def test_a_class_that_is_never_predicted_counts_zero_as_in_scikit_learn() -> None:
    truth, labels = np.array([0, 1, 1]), np.array([0, 0, 0])
    for name in ("precision_score", "f1_score", "recall_score"):
        assert METRICS[name].of(truth, labels)(np.ones((1, 3))).tolist() == [0.0]


@pytest.mark.parametrize("rows", [40, 4000])
def test_a_resample_has_as_many_rows_as_the_data(rows: int) -> None:
    counts = np.array([rows // 2, rows // 4, rows // 4])
    blocks = list(draw(counts, 1000, np.random.default_rng(0)))
    drawn = np.concatenate(blocks)
    assert drawn.shape == (1000, 3)
    assert set(drawn.sum(axis=1)) == {rows}
    assert drawn.mean(axis=0) / rows == pytest.approx([0.5, 0.25, 0.25], abs=0.02)


def test_long_data_is_drawn_in_blocks() -> None:
    blocks = list(draw(np.ones(150_000, dtype=int), 20, np.random.default_rng(0)))
    assert [len(block) for block in blocks] == [13, 7]


def pair(rows: int, generator: np.random.Generator, gain: float) -> tuple[Any, Any, Any]:
    """Labels and two models that err on the same hard half; the challenger is right `gain` more often."""
    truth = generator.random(rows) < 0.4
    hard = generator.random(rows) < 0.5
    right = [np.where(hard, 0.6 + 2 * extra, 1) > generator.random(rows) for extra in (gain, 0.0)]
    return truth.astype(int), *(np.where(one, truth, ~truth).astype(int) for one in right)


def interval(
    name: str, truth: Any, challenger: Any, reference: Any, resamples: int = 2000, confidence: float = 0.95
) -> Interval:
    (truth, challenger, reference), counts = distinct_rows(truth, challenger, reference)
    of = METRICS[name].of
    return difference_interval(
        of(truth, challenger), of(truth, reference), counts, confidence=confidence, resamples=resamples, seed=0
    )


@pytest.mark.parametrize("name", ["f1_score", "mean_absolute_error", "roc_auc"])
def test_the_interval_is_that_of_scipys_paired_bootstrap(name: str) -> None:
    generator = np.random.default_rng(3)
    if METRICS[name].uses == VALUES:
        truth = generator.normal(size=200)
        one, two = (truth + generator.normal(0, sigma, 200) for sigma in (0.5, 0.6))
        plain: Any = sk.mean_absolute_error
    elif METRICS[name].uses == PROBABILITIES:
        truth = generator.integers(2, size=200)
        one, two = (truth + generator.normal(0, sigma, 200) for sigma in (0.9, 1.2))
        plain = sk.roc_auc_score
    else:
        truth, one, two = pair(200, generator, 0.1)
        plain = sk.f1_score

    def shaped(scores: Any) -> Any:
        return np.column_stack([-scores, scores]) if METRICS[name].uses == PROBABILITIES else scores

    of = METRICS[name].of
    ours = difference_interval(
        of(truth, shaped(one)),
        of(truth, shaped(two)),
        np.ones(200, dtype=int),
        confidence=0.95,
        resamples=20_000,
        seed=1,
    )
    scipys = scipy.stats.bootstrap(
        (truth, one, two),
        lambda t, a, b: plain(t, a) - plain(t, b),
        paired=True,
        vectorized=False,
        n_resamples=2000,
        method="percentile",
        rng=np.random.default_rng(2),
    ).confidence_interval
    width = scipys.high - scipys.low
    assert abs(ours.low - scipys.low) < 0.08 * width
    assert abs(ours.high - scipys.high) < 0.08 * width


def test_the_interval_of_a_mean_is_the_normal_one() -> None:
    truth = np.zeros(2000)
    one, two = RNG.normal(2, 1, 2000), RNG.normal(2, 1, 2000)
    of = METRICS["mean_absolute_error"].of
    ones = np.ones(2000, dtype=int)
    found = difference_interval(of(truth, one), of(truth, two), ones, confidence=0.9, resamples=20_000, seed=0)
    differences = np.abs(one) - np.abs(two)
    half = 1.6449 * differences.std() / np.sqrt(2000)
    assert (found.low, found.high) == pytest.approx(
        (differences.mean() - half, differences.mean() + half), abs=0.03 * half
    )


def test_the_same_seed_gives_the_same_interval_and_another_another() -> None:
    truth, one, two = pair(300, np.random.default_rng(8), 0.05)
    assert interval("f1_score", truth, one, two) == interval("f1_score", truth, one, two)
    of = METRICS["f1_score"].of
    (truth, one, two), counts = distinct_rows(truth, one, two)
    again = [
        difference_interval(of(truth, one), of(truth, two), counts, confidence=0.95, resamples=2000, seed=seed)
        for seed in (0, 1)
    ]
    assert again[0] != again[1]


def test_a_difference_that_is_mostly_undefined_has_no_interval() -> None:
    truth = np.array([1, 0, 0, 0])  # a third of the resamples have no positive
    scores = np.column_stack([1 - truth, truth]).astype(float)
    of = METRICS["roc_auc"].of(truth, scores)
    found = difference_interval(of, of, np.ones(4, dtype=int), confidence=0.95, resamples=1000, seed=0)
    assert np.isnan([found.low, found.high]).all()


def covered(name: str, rows: int, gain: float, truth_of_it: float, repetitions: int) -> tuple[float, float]:
    """Return in which share of simulated pairs the interval holds the true difference, and says better."""
    generator = np.random.default_rng(rows)
    hits = better = 0
    for _ in range(repetitions):
        found = interval(name, *pair(rows, generator, gain))
        hits += found.low <= truth_of_it <= found.high
        better += found.low > 0
    return hits / repetitions, better / repetitions


def test_intervals_cover_the_true_difference_and_chance_is_refused() -> None:
    """Nominal: 95 %, and 2.5 % of models that are no better pass. 300 pairs: three standard errors are allowed."""
    coverage, passed = covered("accuracy_score", 200, 0.0, 0.0, 300)
    assert abs(coverage - 0.95) < 0.038
    assert passed < 0.025 + 0.027


@pytest.mark.storm
@pytest.mark.parametrize("rows", [100, 500, 2000])
def test_coverage_false_alarms_and_power_on_a_thousand_pairs(rows: int) -> None:
    """Prints the figures of the guide; f1's true difference comes from a population of two million rows."""
    repetitions = 200 if os.environ.get("REGISTRY_STORM") == "reduced" else 1000
    allowed = 3 * np.sqrt(0.95 * 0.05 / repetitions) + 0.01
    for name in ("accuracy_score", "f1_score"):
        truth, one, two = pair(2_000_000, np.random.default_rng(1), 0.05)
        plain: Any = getattr(sk, name)
        true_difference = plain(truth, one) - plain(truth, two)
        coverage, power = covered(name, rows, 0.05, true_difference, repetitions)
        of_chance, false_alarms = covered(name, rows, 0.0, 0.0, repetitions)
        found = f"coverage {coverage} and {of_chance}, better {power}, by chance {false_alarms}"
        print(f"{name} {rows} rows: {found}")  # noqa: T201 - the figures of the guide
        assert abs(coverage - 0.95) < allowed
        assert abs(of_chance - 0.95) < allowed
        assert false_alarms < 0.025 + allowed
        assert power > {100: 0.1, 500: 0.5, 2000: 0.95}[rows]
