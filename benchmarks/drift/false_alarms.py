"""How often checks raise false alarms in months without drift, each month with another model.

Profiling a window and running all detectors takes about five milliseconds, and a thousand months of hourly checks are
720,000 of them. So rows are first screened with a few vector operations; only a window in which some p-value may be
small enough for an alarm is profiled and checked as `registry.monitoring.check` does it. The others cannot raise one:
an adjusted p-value is at least the smallest p-value of the check.
"""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

import numpy as np
from scipy import special, stats

from benchmarks.drift.games import Random, games, reference
from registry.monitoring.column_profiles import ColumnProfile
from registry.monitoring.columns import CATEGORY, Column, read_columns
from registry.monitoring.comparison import FALSE_INCIDENTS, Sensitivity, alpha_of, compare_profiles
from registry.monitoring.detectors import DEFAULT_DETECTORS
from registry.monitoring.joint import JOINT_DETECTORS
from registry.monitoring.profiles import Profile, ProfileBuilder
from registry.monitoring.report import PREDICTION, TARGET, ColumnResult

COLUMNWISE: Final = tuple(name for name in DEFAULT_DETECTORS if name not in JOINT_DETECTORS)
# For each detector it is counted how many p-values are at most these; an hourly check requires about the last.
TAILS: Final = (1e-3, 1e-4, 1e-5)
Array = np.ndarray[Any, Any]


@dataclass
class FalseAlarms:
    """What months of checks without drift raised.

    An alarm is a check that finds drift, an incident a cause that is found in a month.
    """

    every: str
    rows: int
    detectors: Sequence[str]
    months: int = 0
    checks: int = 0
    alarms: int = 0
    incidents: int = 0
    without_thresholds: int = 0
    squares: int = 0
    seconds: float = 0.0
    tails: dict[str, list[int]] = field(default_factory=dict)

    def summary(self) -> dict[str, Any]:
        """Return the fields, and the incidents per month with the half-width of their 95 % interval."""
        mean = self.incidents / self.months
        error = math.sqrt(max(0.0, self.squares / self.months - mean**2) / self.months)
        fields = {key: value for key, value in asdict(self).items() if key != "squares"}
        return {**fields, "per_month": round(mean, 4), "plus_minus": round(1.96 * error, 4)}

    def count(self, results: Sequence[ColumnResult], alpha: float) -> set[str]:
        """Count one check, and return its causes."""
        causes = {result.cause for result in results if result.drifted}
        self.alarms += bool(causes)
        self.without_thresholds += any(one.p_adjusted is not None and one.p_adjusted <= alpha for one in results)
        for result in results:
            if result.p_value is not None:
                tail = self.tails.setdefault(result.detector, [0] * len(TAILS))
                for place, limit in enumerate(TAILS):
                    tail[place] += result.p_value <= limit
        return causes


def false_alarms(
    months: int, every: str, rows: int, detectors: Sequence[str] = COLUMNWISE, seed: int = 0, *, screened: bool = True
) -> Iterator[FalseAlarms]:
    """Check models through months without drift; after each month, yield what was found so far."""
    alpha = alpha_of(every, FALSE_INCIDENTS)
    checks = round(FALSE_INCIDENTS / alpha)
    found = FalseAlarms(every, rows, detectors)
    begun = time.perf_counter()
    for month in range(months):
        random = np.random.default_rng([seed, month])
        like = reference(random, correlations=not screened)
        causes: set[str] = set()
        for window in windows(random, like, rows, checks, max(alpha, TAILS[0]) if screened else 1.0):
            causes |= found.count(compare_profiles(like, window, detectors, Sensitivity(alpha)), alpha)
        found.checks += checks
        found.months += 1
        found.incidents += len(causes)
        found.squares += len(causes) ** 2
        found.seconds = round(time.perf_counter() - begun, 1)
        yield found


def windows(random: Random, like: Profile, rows: int, count: int, limit: float) -> Iterator[Profile]:
    """Make up `count` windows, and profile those in which a p-value of a column may be at most `limit`."""
    columns = read_columns(*games(random, rows * count), kinds={column.key: column.kind for column in like.columns})
    for place in np.flatnonzero(screen(like, columns, count, limit)) if limit < 1 else range(count):
        builder = ProfileBuilder(like=like, seed=int(place))
        chosen = slice(place * rows, (place + 1) * rows)
        builder.add_columns([replace(column, values=column.values[chosen]) for column in columns])
        yield builder.finish()


def screen(like: Profile, columns: Sequence[Column], count: int, limit: float) -> Array:
    """Tell for each of `count` windows of equally many rows whether a p-value of a column may be at most `limit`."""
    is_candidate = np.zeros(count, dtype=bool)
    for column in columns:
        known, values = like.get(*column.key), column.values.reshape(count, -1)
        if column.kind == CATEGORY:
            names = list(known.categories or {})
            codes = np.select([values == name for name in names], range(len(names)), len(names))
            is_candidate |= (codes == len(names)).any(axis=1)  # a new category
            is_candidate |= _chi_squared(np.array(list((known.categories or {}).values())), codes, limit)
        else:
            is_candidate |= _numbers(known, like.values(*column.key), values, limit)
    predictions, targets = (
        next(column.values for column in columns if column.role == role) for role in (PREDICTION, TARGET)
    )
    if like.performance is not None:
        before = round(like.performance.mean_loss * like.performance.rows)
        errors = (predictions != targets).reshape(count, -1).sum(axis=1)
        drawn = len(targets) // count
        is_candidate |= stats.hypergeom.sf(errors - 1, like.rows + drawn, errors + before, drawn) <= limit
    return is_candidate


def _numbers(known: ColumnProfile, reference: Array, values: Array, limit: float) -> Array:
    """Screen a column of numbers: Kolmogorov-Smirnov, histogram, missing values, and range."""
    ordered, known_values = np.sort(values, axis=1), np.sort(reference)  # NaN comes last
    present = (~np.isnan(ordered)).sum(axis=1)
    ranks = np.arange(values.shape[1])
    below = np.searchsorted(known_values, ordered, side="left") / len(known_values)
    until = np.searchsorted(known_values, ordered, side="right") / len(known_values)
    gaps = np.maximum((ranks + 1) / present[:, None] - until, below - ranks / present[:, None])
    gap = np.where(ranks < present[:, None], gaps, 0.0).max(axis=1)
    is_candidate: Array = np.zeros(len(values), dtype=bool)
    for rows in np.unique(present):
        size = max(1, round(len(known_values) * int(rows) / (len(known_values) + int(rows))))
        is_candidate |= (present == rows) & (gap >= stats.kstwo.isf(limit, size) * (1 - 1e-9))
    bins = np.where(np.isnan(values), len(known.counts), np.searchsorted(np.array(known.edges), values, side="right"))
    is_candidate |= _chi_squared(np.array(known.counts), bins, limit)
    missing = values.shape[1] - present
    sizes = (known.count + values.shape[1], known.missing + missing, values.shape[1])
    is_candidate |= 2 * stats.hypergeom.sf(missing - 1, *sizes) <= limit
    is_candidate |= 2 * stats.hypergeom.cdf(missing, *sizes) <= limit
    # Two rows beyond the range of the reference are about as rare as one in a thousand.
    is_candidate |= ((values < known.minimum).sum(axis=1) > 1) | ((values > known.maximum).sum(axis=1) > 1)
    return is_candidate


def _chi_squared(reference: Array, codes: Array, limit: float) -> Array:
    """Screen counts per bin or category; codes beyond those of the reference do not count. Rare bins are candidates."""
    width = len(reference) + 1
    flat = codes + np.arange(len(codes))[:, None] * width
    counts = np.bincount(flat.ravel(), minlength=len(codes) * width).reshape(len(codes), width)
    window = counts[:, :-1].astype(np.float64)
    total, drawn = reference + window, window.sum(axis=1, keepdims=True)
    share = drawn / (reference.sum() + drawn)
    statistic = ((window - total * share) ** 2 / (total * share * (1 - share))).sum(axis=1)
    is_rare = (total * np.minimum(share, 1 - share) < 5).any(axis=1)
    is_candidate: Array = is_rare | (special.chdtrc(len(reference) - 1, statistic) <= limit * (1 + 1e-9))
    return is_candidate
