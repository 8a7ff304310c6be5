"""The paired bootstrap: what chance explains of the difference between two models on the same rows.

Rows are drawn with replacement, each with the predictions of both models. A resample is stored as how often it has each
row, so that a metric of all resamples is a matrix product. Guarantees: the same seed gives the same interval.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from registry.evaluation.weighted_metrics import Array, OfWeights

# Numbers in one block of weights: 16 MB.
_BLOCK: Final = 2_000_000
# An interval of which more resamples are undefined, such as the AUC of a single class, is not given.
_MOST_UNDEFINED: Final = 0.05


@dataclass(frozen=True, slots=True)
class Interval:
    """The two ends of a percentile interval; NaN if the difference is undefined in more than 5 % of the resamples."""

    low: float
    high: float


def difference_interval(
    challenger: OfWeights, reference: OfWeights, counts: Array, *, confidence: float, resamples: int, seed: int
) -> Interval:
    """Return the interval of the difference between two models; `counts` says how often the data has each row."""
    differences = np.concatenate(
        [challenger(weights) - reference(weights) for weights in draw(counts, resamples, np.random.default_rng(seed))]
    )
    defined = differences[~np.isnan(differences)]
    if len(defined) < (1 - _MOST_UNDEFINED) * resamples:
        return Interval(np.nan, np.nan)
    low, high = np.quantile(defined, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(low), float(high))


def draw(counts: Array, resamples: int, generator: np.random.Generator) -> Iterator[Array]:
    """Yield blocks of resamples as weights of shape (resamples in the block, rows)."""
    rows, total = len(counts), int(counts.sum())
    block = max(_BLOCK // rows, 1)
    for start in range(0, resamples, block):
        size = min(block, resamples - start)
        if rows * 20 < total:  # few distinct rows: draw how often each is taken, not one row after the other
            yield generator.multinomial(total, counts / total, size=size).astype(float)
        else:
            expanded = np.repeat(np.arange(rows), counts)
            taken = expanded[generator.integers(total, size=(size, total))] + np.arange(size)[:, None] * rows
            yield np.bincount(taken.ravel(), minlength=size * rows).reshape(size, rows).astype(float)


def distinct_rows(*columns: Array) -> tuple[tuple[Array, ...], Array]:
    """Return the distinct rows of columns of codes, as columns, and how often each occurs."""
    rows, counts = np.unique(np.column_stack(columns), axis=0, return_counts=True)
    return tuple(rows.T), counts
