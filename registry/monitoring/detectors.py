"""Detectors: statistical tests of one column, or of performance, between a reference and a window.

Each returns a statistic, an effect size in its own unit and a p-value. The p-values assume that rows are independent;
of the distribution of a column they assume nothing. Whether that is drift is decided in `comparison`, after the
correction for the number of tests.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from registry.flavors.optional_imports import optional_import
from registry.monitoring.column_profiles import BINS, ColumnProfile
from registry.monitoring.columns import CATEGORY, NUMBER, TIME
from registry.monitoring.performance import ACCURACY, Performance
from registry.monitoring.storage import EXTRA

Array = np.ndarray[Any, Any]
_LEAST_EXPECTED: Final = 5
_RESAMPLES: Final = 999
_GRID: Final = 256


@dataclass(frozen=True, slots=True)
class Finding:
    """What a detector found.

    Attributes:
        statistic: The detector's own figure.
        effect: The size of the difference, in the unit of the detector's threshold.
        p_value: How likely chance alone gives as much, or None if nothing was tested.
    """

    statistic: float
    effect: float
    p_value: float | None


@dataclass(frozen=True, slots=True)
class Pair:
    """One column of the reference and of the window.

    The values are those of sampled rows that have one: 1-D arrays of floats. They are None without a sample, and for
    categories.
    """

    reference: ColumnProfile
    window: ColumnProfile
    reference_values: Any
    window_values: Any


class NoFindingError(Exception):
    """A detector cannot say anything here; the text says why. It never leaves this package."""


@dataclass(frozen=True, slots=True)
class Detector:
    """A test of one column: what it looks at, for which kinds of columns, and from which effect it matters."""

    name: str
    aspect: str
    kinds: tuple[str, ...]
    threshold: float
    find: Callable[[Pair], Finding]


def _ks(pair: Pair) -> Finding:
    """Compare by the largest gap between the distribution functions (Kolmogorov and Smirnov), from 0 to 1.

    The p-value is that of one sample of ``n * m / (n + m)`` rows against a known distribution, computed after Simard
    and L'Ecuyer (2011). Equal values make it larger than it should be, never smaller.
    """
    stats = optional_import("scipy.stats", EXTRA)
    reference, window = _rows(pair)
    statistic = _largest_gap(reference, window)
    rows = len(reference) * len(window) / (len(reference) + len(window))
    return Finding(statistic, statistic, float(stats.kstwo.sf(statistic, max(1, round(rows)))))


def _largest_gap(reference: Array, window: Array) -> float:
    """Return the two-sample Kolmogorov-Smirnov statistic."""
    reference, window = np.sort(reference), np.sort(window)
    places = np.concatenate([reference, window])
    below = np.searchsorted(reference, places, side="right") / len(reference)
    gap: float = np.abs(below - np.searchsorted(window, places, side="right") / len(window)).max()
    return float(gap)


def _wasserstein(pair: Pair) -> Finding:
    """Compare by the area between the two distribution functions, in standard deviations of the reference.

    Chance is simulated: rows are dealt anew to two samples of the same sizes (a permutation test, with the p-value of
    Phipson and Smyth, 2010). Beyond the simulated range, an exponential tail is fitted to the squared distance, as that
    of an integrated Brownian bridge has (compare Knijnenburg et al., 2009).
    """
    reference, window = _rows(pair)
    scale = float(reference.std())
    if not scale:
        scale = float(np.concatenate([reference, window]).std()) or 1.0
    pooled = np.concatenate([reference, window])
    grid = np.unique(np.quantile(pooled, np.linspace(0, 1, _GRID), method="higher"))
    if len(grid) == 1:
        return Finding(0.0, 0.0, 1.0)
    widths = np.diff(grid)
    in_reference = np.bincount(np.searchsorted(grid, reference), minlength=len(grid))
    in_window = np.bincount(np.searchsorted(grid, window), minlength=len(grid))
    total = in_reference + in_window

    def distance(counts: Any) -> Any:
        below_window = np.cumsum(counts, axis=-1)[..., :-1] / len(window)
        below_reference = np.cumsum(total - counts, axis=-1)[..., :-1] / len(reference)
        return (np.abs(below_window - below_reference) * widths).sum(axis=-1)

    measured = float(distance(in_window))
    random = np.random.default_rng(0)
    chance = np.sort(distance(random.multivariate_hypergeometric(total, len(window), _RESAMPLES)) ** 2)
    above = int((chance >= measured**2).sum())
    start = chance[-(_RESAMPLES // 10)]
    excess = float(chance[chance >= start].mean() - start)
    if above >= _RESAMPLES // 20 or not excess:
        p_value = (above + 1) / (_RESAMPLES + 1)
    else:
        p_value = 0.1 * math.exp(-max(0.0, measured**2 - start) / excess)
    return Finding(measured, measured / scale, p_value)


def _psi(pair: Pair) -> Finding:
    """Compare by the population stability index: the symmetric Kullback-Leibler divergence of the shares, in nats.

    Without drift it is about a chi-squared variable times ``1/n + 1/m`` (Yurdakul, 2018), so a fixed limit means less
    the fewer rows there are. The p-value is therefore that of Pearson's test of the same counts.
    """
    reference, window = _counts(pair)
    # Half a row in each bin, so that an empty one gives no infinity.
    left = (reference + 0.5) / (reference + 0.5).sum()
    right = (window + 0.5) / (window + 0.5).sum()
    index = float(((right - left) * np.log(right / left)).sum())
    return Finding(index, index, _chi_squared_of(reference, window)[1])


def _jensen_shannon(pair: Pair) -> Finding:
    """Compare by the Jensen-Shannon distance of the shares, with logarithms of base 2: from 0 to 1 (Lin, 1991)."""
    reference, window = _counts(pair)
    left, right = reference / reference.sum(), window / window.sum()
    middle = (left + right) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = [np.where(part > 0, part * np.log2(part / middle), 0.0).sum() for part in (left, right)]
    distance = math.sqrt(max(0.0, float(sum(terms)) / 2))
    return Finding(distance, distance, _chi_squared_of(reference, window)[1])


def _chi_squared(pair: Pair) -> Finding:
    """Compare categories by Pearson's test of homogeneity.

    The effect is the total variation distance, from 0 to 1: the share of the rows that would have to change their
    category. Unlike Cramér's V it does not depend on how many rows there are.
    """
    reference, window = _counts(pair)
    statistic, p_value = _chi_squared_of(reference, window)
    distance = float(np.abs(reference / reference.sum() - window / window.sum()).sum()) / 2
    return Finding(statistic, distance, p_value)


def _missing(pair: Pair) -> Finding:
    """Compare the shares of missing values by Fisher's exact test; the effect is their difference, from 0 to 1."""
    reference, window = pair.reference, pair.window
    shares = (reference.missing / reference.count, window.missing / window.count)
    if not reference.missing and not window.missing:
        # Given that nothing is missing anywhere, there is nothing to test. It must not make the others less sensitive.
        return Finding(0.0, 0.0, None)
    table = (reference.missing, reference.present, window.missing, window.present)
    return Finding(shares[1], abs(shares[1] - shares[0]), _two_shares(*table))


def _new_categories(pair: Pair) -> Finding:
    """Count the values of categories that the reference has never seen; the effect is their share.

    By Good and Turing (Good, 1953), the share of unseen categories is about the share of those that were seen once;
    three standard errors are added, as the reference is one draw for all checks. Given that share, the count is
    binomial.
    """
    special = optional_import("scipy.special", EXTRA)
    known, seen = pair.reference.categories or {}, pair.window.categories or {}
    if pair.reference.other:
        raise NoFindingError("the reference has too many categories to know them all")
    new = sum(count for category, count in seen.items() if category not in known) + pair.window.other
    once = pair.reference.singletons
    expected = min(1.0, (once + 3 * math.sqrt(once + 1)) / max(1, pair.reference.present))
    share = new / pair.window.present
    p_value = 1.0 if not new else float(special.bdtrc(new - 1, pair.window.present, expected))
    return Finding(float(new), share, p_value)


def _range(pair: Pair) -> Finding:
    """Count the values below the least and above the greatest of the reference.

    If both are drawn alike, the `k` greatest of all values are equally likely to be any of them, so the p-value is
    exact (twice that of the rarer end); equal values make it larger. The effect is the share of values outside.
    """
    window = pair.window_values
    if window is None:
        raise NoFindingError("needs sampled rows of the window")
    if pair.reference.minimum is None or pair.reference.maximum is None:
        raise NoFindingError("the reference has no values")
    outside = [int((window < pair.reference.minimum).sum()), int((window > pair.reference.maximum).sum())]
    rows, drawn = len(window) + pair.reference.present, len(window)
    logs = [
        math.lgamma(drawn + 1) - math.lgamma(drawn - k + 1) - math.lgamma(rows + 1) + math.lgamma(rows - k + 1)
        for k in outside
    ]
    return Finding(float(sum(outside)), sum(outside) / drawn, min(1.0, 2 * math.exp(min(logs))))


DETECTORS: Final[Mapping[str, Detector]] = {
    detector.name: detector
    for detector in (
        Detector("ks", "distribution", (NUMBER,), 0.1, _ks),
        Detector("wasserstein", "distribution", (NUMBER,), 0.1, _wasserstein),
        Detector("psi", "distribution", (NUMBER, CATEGORY), 0.1, _psi),
        Detector("jensen_shannon", "distribution", (NUMBER, CATEGORY), 0.1, _jensen_shannon),
        Detector("chi_squared", "distribution", (CATEGORY,), 0.1, _chi_squared),
        Detector("missing", "missing", (NUMBER, CATEGORY, TIME), 0.02, _missing),
        Detector("new_categories", "new_categories", (CATEGORY,), 0.01, _new_categories),
        Detector("range", "range", (NUMBER,), 0.01, _range),
    )
}
PERFORMANCE_DETECTOR: Final = "performance"
PERFORMANCE_THRESHOLDS: Final = {ACCURACY: 0.02}
# Of metrics that are no shares: how much worse, as a share of the reference's.
RELATIVE_THRESHOLD: Final = 0.1
DOMAIN_CLASSIFIER: Final = "domain_classifier"
CORRELATION: Final = "correlation"
DEFAULT_DETECTORS: Final = (
    "ks",
    "psi",
    "chi_squared",
    "missing",
    "new_categories",
    "range",
    PERFORMANCE_DETECTOR,
    DOMAIN_CLASSIFIER,
    CORRELATION,
)
ALL_DETECTORS: Final = (*DETECTORS, PERFORMANCE_DETECTOR, DOMAIN_CLASSIFIER, CORRELATION)


def find_decay(reference: Performance, window: Performance) -> tuple[Finding, float]:
    """Compare the losses of two sets of rows: is the window's greater? Return the finding and its threshold.

    Accuracies are compared by Fisher's exact test of two shares; the effect is how much of the share is lost. Other
    losses are compared by Welch's t-test; the effect is relative. For losses with a long tail, the p-value of a window
    of few rows is larger than it should be.
    """
    if reference.metric != window.metric:
        raise NoFindingError(f"the reference has {reference.metric}, the window {window.metric}")
    worse = window.mean_loss - reference.mean_loss
    if reference.metric == ACCURACY:
        errors = [round(one.mean_loss * one.rows) for one in (reference, window)]
        stats = optional_import("scipy.stats", EXTRA)
        p_value = stats.hypergeom.sf(errors[1] - 1, reference.rows + window.rows, sum(errors), window.rows)
        return Finding(window.value, worse, float(p_value)), PERFORMANCE_THRESHOLDS[ACCURACY]
    effect = worse / reference.mean_loss if reference.mean_loss else (math.inf if worse > 0 else 0.0)
    parts = [one.variance / one.rows for one in (reference, window)]
    if sum(parts) == 0:
        return Finding(window.value, effect, 0.0 if worse > 0 else 1.0), RELATIVE_THRESHOLD
    stats = optional_import("scipy.stats", EXTRA)
    freedom = sum(parts) ** 2 / sum(
        part**2 / max(1, one.rows - 1) for part, one in zip(parts, (reference, window), strict=True)
    )
    return Finding(window.value, effect, float(stats.t.sf(worse / math.sqrt(sum(parts)), freedom))), RELATIVE_THRESHOLD


def _rows(pair: Pair) -> tuple[Array, Array]:
    for values, whose in ((pair.reference_values, "reference"), (pair.window_values, "window")):
        if values is None:
            raise NoFindingError(f"needs sampled rows of the {whose}")
        if not len(values):
            raise NoFindingError(f"the {whose} has no values")
    return np.asarray(pair.reference_values, dtype=np.float64), np.asarray(pair.window_values, dtype=np.float64)


def _counts(pair: Pair) -> tuple[Array, Array]:
    """Return how many rows of the reference and of the window are in each bin or category: two arrays of floats.

    All rows count where the bins are the same, else the sampled ones. What is empty in both is left out.
    """
    reference, window = pair.reference, pair.window
    if reference.kind == CATEGORY:
        known, seen = dict(reference.categories or {}), dict(window.categories or {})
        names = [*known, *(name for name in seen if name not in known)]
        pairs = [(known.get(name, 0), seen.get(name, 0)) for name in names] + [(reference.other, window.other)]
        left, right = np.array(pairs, dtype=np.float64).T
    else:
        edges = np.array(reference.edges)
        left = np.array(reference.counts, dtype=np.float64)
        if not reference.counts:
            # The reference is a window itself, put together from profiles with different bins.
            values, _ = _rows(pair)
            edges = np.unique(np.quantile(values, [i / BINS for i in range(1, BINS)], method="inverted_cdf"))
            left = np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1).astype(float)
        if window.counts and window.edges == reference.edges:
            right = np.array(window.counts, dtype=np.float64)
        elif pair.window_values is None:
            raise NoFindingError("needs sampled rows of the window, or its histogram with the reference's bins")
        else:
            places = np.searchsorted(edges, pair.window_values, side="right")
            right = np.bincount(places, minlength=len(left)).astype(np.float64)
    if not left.sum() or not right.sum():
        raise NoFindingError("the reference or the window has no values")
    is_used = left + right > 0
    return left[is_used], right[is_used]


def _chi_squared_of(reference: Array, window: Array) -> tuple[float, float]:
    """Return Pearson's statistic of the table of two rows of counts, and its p-value.

    Columns that expect less than 5 are put together first, as Cochran (1954) advises.
    """
    special = optional_import("scipy.special", EXTRA)
    total = reference + window
    smaller = min(reference.sum(), window.sum()) / total.sum()
    is_rare = total * smaller < _LEAST_EXPECTED
    if is_rare.any():
        reference = np.append(reference[~is_rare], reference[is_rare].sum())
        window = np.append(window[~is_rare], window[is_rare].sum())
        total = reference + window
        if len(total) > 1 and total[-1] * smaller < _LEAST_EXPECTED:
            reference, window = reference[:-1], window[:-1]
            total = reference + window
    if len(total) < 2 or not reference.sum() or not window.sum():
        return 0.0, 1.0
    share = window.sum() / total.sum()
    statistic = float(((window - total * share) ** 2 / (total * share * (1 - share))).sum())
    return statistic, float(special.chdtrc(len(total) - 1, statistic))


def _two_shares(first: int, first_rest: int, second: int, second_rest: int) -> float:
    """Return the p-value of the hypothesis that two shares are equal: twice the smaller tail of Fisher's exact test."""
    if first == second == 0 or first_rest == second_rest == 0:
        return 1.0
    stats = optional_import("scipy.stats", EXTRA)
    drawn = (first + first_rest + second + second_rest, first + second, second + second_rest)
    tails = stats.hypergeom.cdf(second, *drawn), stats.hypergeom.sf(second - 1, *drawn)
    return float(min(1.0, 2 * min(tails)))
