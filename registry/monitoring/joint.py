"""Detectors of several inputs together: a domain classifier, and rank correlations."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final

import numpy as np

from registry.exceptions import MissingDependencyError
from registry.flavors.optional_imports import optional_import
from registry.monitoring.columns import CATEGORY, NUMBER
from registry.monitoring.correlations import Correlation, correlate
from registry.monitoring.detectors import CORRELATION, DOMAIN_CLASSIFIER, Finding, NoFindingError
from registry.monitoring.profiles import Profile
from registry.monitoring.report import ALL_INPUTS, INPUT
from registry.monitoring.storage import EXTRA

_FOLDS: Final = 2
_NEARLY_ONE: Final = 0.99
Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class JointDetector:
    """A test of several inputs: what it looks at, from which effect it matters, and the columns that it names.

    `find` gets the reference, the window and the effect that matters in this check.
    """

    name: str
    aspect: str
    threshold: float
    find: Callable[[Profile, Profile, float], tuple[str, Finding]]


def _domain_classifier(reference: Profile, window: Profile, _threshold: float, seed: int = 0) -> tuple[str, Finding]:
    """Let XGBoost tell rows of the window from rows of the reference; if it can, all inputs together have changed.

    A classifier two-sample test (Lopez-Paz and Oquab, 2017). The statistic is the area under the ROC curve (AUC) on
    rows that the classifier has not seen, the effect how far it is above one half. Each half of the rows is judged by a
    classifier of the other half, with the Mann-Whitney test. The two p-values are not independent, so the smaller one
    counts twice (Bonferroni): that holds in any case, while an average over the folds of a cross-validation varies more
    than its test assumes.
    """
    features, labels = _joint_rows(reference, window)
    try:
        xgboost = optional_import("xgboost", "xgboost")
    except MissingDependencyError as error:
        raise NoFindingError("needs xgboost") from error
    stats = optional_import("scipy.stats", EXTRA)
    fold = np.random.default_rng(seed).permutation(len(labels)) % _FOLDS
    params = {
        "objective": "binary:logistic",
        "max_depth": 3,
        "eta": 0.2,
        "subsample": 0.8,
        "nthread": 1,
        "seed": seed,
        "verbosity": 0,
    }
    p_values, areas = [], []
    for held_out in range(_FOLDS):
        is_held = fold == held_out
        positive, negative = int(labels[is_held].sum()), int((~labels[is_held].astype(bool)).sum())
        if not positive or not negative:
            raise NoFindingError("too few rows for cross-validation")
        train = xgboost.DMatrix(features[~is_held], labels[~is_held])
        booster = xgboost.train(params, train, num_boost_round=40)
        predicted = booster.predict(xgboost.DMatrix(features[is_held]))
        ranks = stats.rankdata(predicted)
        area = (ranks[labels[is_held] == 1].sum() - positive * (positive + 1) / 2) / (positive * negative)
        ties = np.unique(predicted, return_counts=True)[1]
        rows = positive + negative
        correction = (rows + 1) - (ties**3 - ties).sum() / (rows * (rows - 1))
        deviation = math.sqrt(correction / (12 * positive * negative)) if correction > 0 else math.inf
        areas.append(area)
        p_values.append(float(stats.norm.sf((area - 0.5) / deviation)))
    area = float(np.mean(areas))
    return ALL_INPUTS, Finding(area, area - 0.5, min(1.0, _FOLDS * min(p_values)))


def _joint_rows(reference: Profile, window: Profile) -> tuple[Array, Array]:
    """Return the sampled inputs of both as numbers, and 1 for rows of the window."""
    if reference.sample is None or window.sample is None:
        raise NoFindingError("needs sampled rows of both")
    columns = [
        column
        for column in reference.columns
        if column.role == INPUT and (other := window.find(*column.key)) is not None and other.kind == column.kind
    ]
    columns = [column for column in columns if column.kind in (NUMBER, CATEGORY)]
    if not columns:
        raise NoFindingError("there are no inputs of the same kind in both")
    parts = []
    for column in columns:
        label = f"{column.role}.{column.name}"
        both = [reference.sample[label].to_numpy(), window.sample[label].to_numpy()]
        if column.kind == CATEGORY:
            # The frequency rank in the reference; new categories come after all known ones.
            ranked = {name: rank for rank, name in enumerate(column.categories or {})}
            both = [np.array([np.nan if v is None else ranked.get(v, len(ranked)) for v in one]) for one in both]
        parts.append(np.concatenate([np.asarray(one, dtype=np.float64) for one in both]))
    labels = np.repeat([0.0, 1.0], [len(reference.sample), len(window.sample)])
    return np.column_stack(parts), labels


def _correlation(reference: Profile, window: Profile, threshold: float) -> tuple[str, Finding]:
    """Compare the rank correlation of each pair; return the one that changed most surely of those that matter.

    The statistic is the pair's correlation in the window, the effect how far it is from the reference's. Correlations
    are compared after Fisher's transformation, and the p-value counts for all pairs (Bonferroni).
    """
    special = optional_import("scipy.special", EXTRA)
    if window.sample is None:
        raise NoFindingError("needs sampled rows of the window")
    known = {(one.left, one.right): one for one in reference.correlations}
    names = dict.fromkeys(name for pair in known for name in pair)
    numbers = [name for name in names if (column := window.find(INPUT, name)) is not None and column.kind == NUMBER]
    measured = {(one.left, one.right): one for one in correlate(window.sample, numbers)}
    pairs = [(known[pair], measured[pair]) for pair in known if pair in measured]
    if not pairs:
        raise NoFindingError("too few rows for correlations")
    # A pair that is nearly one changes most surely, and hardly at all: it must not hide one that matters.
    large = [pair for pair in pairs if abs(pair[1].value - pair[0].value) >= threshold]
    distance, (before, seen) = max(((_standard_distance(*pair), pair) for pair in large or pairs), key=itemgetter(0))
    p_value = min(1.0, len(pairs) * 2 * float(special.ndtr(-distance)))
    return f"{seen.left}, {seen.right}", Finding(seen.value, abs(seen.value - before.value), p_value)


def _standard_distance(one: Correlation, other: Correlation) -> float:
    """Return the difference of two correlations in standard errors, after Fisher's transformation."""
    if math.isclose(one.value, other.value, abs_tol=1e-9):
        return 0.0
    # Near one, where the transformation has no end, correlations are not told apart.
    values = [min(max(part.value, -_NEARLY_ONE), _NEARLY_ONE) for part in (one, other)]
    errors = [part.error / (1 - value**2) for part, value in zip((one, other), values, strict=True)]
    return abs(math.atanh(values[0]) - math.atanh(values[1])) / max(1e-9, math.hypot(*errors))


JOINT_DETECTORS: Final[Mapping[str, JointDetector]] = {
    detector.name: detector
    for detector in (
        JointDetector(DOMAIN_CLASSIFIER, "joint", 0.05, _domain_classifier),
        JointDetector(CORRELATION, "correlation", 0.1, _correlation),
    )
}
