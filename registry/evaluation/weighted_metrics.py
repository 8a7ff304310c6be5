"""Metrics of many resamples at once: each row of a matrix of weights says how often a resample has each row of data.

Guarantees: with weights of one, a metric equals scikit-learn's of the same name.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from registry.entities.model_comparison import HIGHER, LOWER

Array: TypeAlias = NDArray[Any]
# From weights of shape (resamples, rows) to one value per resample.
OfWeights: TypeAlias = Callable[[Array], Array]
# From the truth and a model's predictions, of one row each.
Metric: TypeAlias = Callable[[Array, Array], OfWeights]

LABELS: Final = "labels"
PROBABILITIES: Final = "probabilities"
VALUES: Final = "values"


@dataclass(frozen=True, slots=True)
class WeightedMetric:
    """A metric that can be computed of weights.

    `uses` says what the predictions are: codes of classes (``labels``), a column per class (``probabilities``) or
    numbers (``values``). The truth is codes of classes for the first two; of two classes, 1 is the positive one.
    """

    better: str
    uses: str
    of: Metric


def _ratio(numerator: Array, denominator: Array) -> Array:
    """Divide; zero where the denominator is zero, as scikit-learn has it."""
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator != 0)


def _accuracy(truth: Array, labels: Array) -> OfWeights:
    correct = (truth == labels).astype(float)
    return lambda weights: weights @ correct / weights.sum(axis=1)


def _of_counts(score: Callable[[Array, Array, Array], Array]) -> Metric:
    """Return a metric of true positives, predicted and actual counts: of class 1, or weighted over many classes."""

    def metric(truth: Array, labels: Array) -> OfWeights:
        classes = np.arange(max(truth.max(), labels.max(), 1) + 1)
        if len(classes) == 2:
            classes = classes[1:]
        actual = (truth[:, None] == classes).astype(float)
        predicted = (labels[:, None] == classes).astype(float)

        def of_weights(weights: Array) -> Array:
            support = weights @ actual
            scores = score(weights @ (actual * predicted), weights @ predicted, support)
            averaged: Array = scores[:, 0] if len(classes) == 1 else (scores * support).sum(1) / support.sum(1)
            return averaged

        return of_weights

    return metric


def _roc_auc_of_one(positive: Array, score: Array) -> OfWeights:
    """Return the chance that a positive scores above a negative; a tie counts half."""
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.diff(score[order], prepend=np.nan) != 0)
    hit = positive[order].astype(float)

    def of_weights(weights: Array) -> Array:
        ordered = weights[:, order]
        of_positives = np.add.reduceat(ordered * hit, starts, axis=1)
        of_negatives = np.add.reduceat(ordered * (1 - hit), starts, axis=1)
        below = np.cumsum(of_negatives, axis=1) - of_negatives / 2
        with np.errstate(invalid="ignore"):
            area: Array = (of_positives * below).sum(1) / (of_positives.sum(1) * of_negatives.sum(1))
        return area

    return of_weights


def _roc_auc(truth: Array, probabilities: Array) -> OfWeights:
    classes = probabilities.shape[1]
    if classes == 2:
        return _roc_auc_of_one(truth == 1, probabilities[:, 1])
    actual = truth[:, None] == np.arange(classes)
    areas = [_roc_auc_of_one(actual[:, code], probabilities[:, code]) for code in range(classes)]

    def of_weights(weights: Array) -> Array:
        shares = weights @ actual.astype(float) / weights.sum(axis=1, keepdims=True)
        return np.sum([shares[:, code] * area(weights) for code, area in enumerate(areas)], axis=0)  # type: ignore[no-any-return]

    return of_weights


def _average_precision(truth: Array, probabilities: Array) -> OfWeights:
    score = probabilities[:, 1]
    order = np.argsort(-score, kind="stable")
    starts = np.flatnonzero(np.diff(score[order], prepend=np.nan) != 0)
    hit = (truth[order] == 1).astype(float)

    def of_weights(weights: Array) -> Array:
        ordered = weights[:, order]
        found = np.add.reduceat(ordered * hit, starts, axis=1)
        taken = np.cumsum(np.add.reduceat(ordered, starts, axis=1), axis=1)
        precision = _ratio(np.cumsum(found, axis=1), taken)
        with np.errstate(invalid="ignore"):
            area: Array = (precision * found).sum(1) / found.sum(1)
        return area

    return of_weights


def _log_loss(truth: Array, probabilities: Array) -> OfWeights:
    kind: Any = probabilities.dtype if probabilities.dtype.kind == "f" else float
    least = float(np.finfo(kind).eps)
    of_truth = probabilities[np.arange(len(truth)), truth]
    return _mean(-np.log(np.clip(of_truth, least, 1 - least)).astype(float))


def _mean(of_rows: Array) -> OfWeights:
    return lambda weights: weights @ of_rows / weights.sum(axis=1)


def _mean_squared_error(truth: Array, values: Array) -> OfWeights:
    return _mean((values - truth) ** 2)


def _root_mean_squared_error(truth: Array, values: Array) -> OfWeights:
    squared = _mean_squared_error(truth, values)
    return lambda weights: np.sqrt(squared(weights))


def _absolute_percentage_error(truth: Array, values: Array) -> OfWeights:
    return _mean(np.abs(values - truth) / np.maximum(np.abs(truth), np.finfo(float).eps))


def _r2(truth: Array, values: Array) -> OfWeights:
    centred = truth - truth.mean()
    residual, square = (values - truth) ** 2, centred**2

    def of_weights(weights: Array) -> Array:
        total = weights @ square - (weights @ centred) ** 2 / weights.sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            explained: Array = 1 - weights @ residual / total
        return explained

    return of_weights


METRICS: Final[Mapping[str, WeightedMetric]] = {
    "accuracy_score": WeightedMetric(HIGHER, LABELS, _accuracy),
    "precision_score": WeightedMetric(HIGHER, LABELS, _of_counts(lambda hit, predicted, _: _ratio(hit, predicted))),
    "recall_score": WeightedMetric(HIGHER, LABELS, _of_counts(lambda hit, _, actual: _ratio(hit, actual))),
    "f1_score": WeightedMetric(
        HIGHER, LABELS, _of_counts(lambda hit, predicted, actual: _ratio(2 * hit, predicted + actual))
    ),
    "roc_auc": WeightedMetric(HIGHER, PROBABILITIES, _roc_auc),
    "precision_recall_auc": WeightedMetric(HIGHER, PROBABILITIES, _average_precision),
    "log_loss": WeightedMetric(LOWER, PROBABILITIES, _log_loss),
    "mean_absolute_error": WeightedMetric(LOWER, VALUES, lambda truth, values: _mean(np.abs(values - truth))),
    "mean_squared_error": WeightedMetric(LOWER, VALUES, _mean_squared_error),
    "root_mean_squared_error": WeightedMetric(LOWER, VALUES, _root_mean_squared_error),
    "mean_absolute_percentage_error": WeightedMetric(LOWER, VALUES, _absolute_percentage_error),
    "r2_score": WeightedMetric(HIGHER, VALUES, _r2),
}
# What people type for them.
SHORT_NAMES: Final[Mapping[str, str]] = {
    "accuracy": "accuracy_score",
    "precision": "precision_score",
    "recall": "recall_score",
    "f1": "f1_score",
    "auc": "roc_auc",
    "average_precision": "precision_recall_auc",
    "mae": "mean_absolute_error",
    "mse": "mean_squared_error",
    "rmse": "root_mean_squared_error",
    "mape": "mean_absolute_percentage_error",
    "r2": "r2_score",
}
