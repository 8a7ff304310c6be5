"""Summaries of a stream in bounded memory: quantiles of numbers, counts of categories, a uniform sample of rows."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

Array = np.ndarray[Any, Any]
# Up to so many values a quantile sketch is exact. Beyond, its ranks are wrong by about one in 10,000 of all values.
SKETCH_SIZE: Final = 16_384
# So many different categories are counted. Beyond, rare ones are counted together as "other".
MAX_CATEGORIES: Final = 10_000
# The column of a sample of rows with the random number that decided about each row.
SAMPLE_KEY: Final = "sample_key"


class QuantileSketch:
    """Approximate quantiles of a stream of numbers, after Manku, Rajagopalan and Lindsay.

    Level `h` holds values that stand for 2**h values each. A level that is full is sorted, and every second value of it
    moves one level up.
    """

    def __init__(self, size: int = SKETCH_SIZE, seed: int = 0) -> None:
        self._size = size
        self._random = np.random.default_rng(seed)
        self._levels: list[list[Array]] = [[]]

    def add(self, values: Array) -> None:
        """Add finite numbers."""
        self._levels[0].append(np.asarray(values, dtype=np.float64))
        level = 0
        while sum(map(len, self._levels[level])) > self._size:
            ordered = np.sort(np.concatenate(self._levels[level]))
            # With an odd number of values, the last one stays, so that the weights add up to the number of values.
            paired = len(ordered) - len(ordered) % 2
            self._levels[level] = [ordered[paired:]]
            if level + 1 == len(self._levels):
                self._levels.append([])
            self._levels[level + 1].append(ordered[int(self._random.integers(2)) : paired : 2])
            level += 1

    def weighted_values(self) -> tuple[Array, Array]:
        """Return the kept values in ascending order, and for how many values each stands."""
        kept = [np.concatenate(parts) if parts else np.empty(0) for parts in self._levels]
        values = np.concatenate(kept)
        weights = np.repeat(2 ** np.arange(len(kept)), [len(part) for part in kept])
        order = np.argsort(values, kind="stable")
        return values[order], weights[order]

    def quantiles(self, shares: Sequence[float] | Array) -> Array:
        """Return the value below which each share of all values lies. There must be values."""
        values, weights = self.weighted_values()
        reached = np.cumsum(weights)
        positions = np.searchsorted(reached, np.asarray(shares) * reached[-1], side="left")
        quantiles: Array = values[np.minimum(positions, len(values) - 1)]
        return quantiles

    def histogram(self, edges: Array) -> Array:
        """Return how many values lie in each of the ``len(edges) + 1`` bins that inner edges make."""
        values, weights = self.weighted_values()
        return np.bincount(np.searchsorted(edges, values, side="right"), weights, len(edges) + 1).astype(np.int64)


class CategoryCounts:
    """Counts of categories; at most `limit` different ones are told apart."""

    def __init__(self, limit: int = MAX_CATEGORIES) -> None:
        self._limit = limit
        self._counts: Counter[str] = Counter()
        self.other = 0

    def add(self, counts: Mapping[str, int]) -> None:
        """Add counts by category."""
        self._counts.update(counts)
        if len(self._counts) > 2 * self._limit:
            self._counts, self.other = self._most_common(self._limit)

    def result(self, kept: int) -> tuple[dict[str, int], int]:
        """Return the counts of the `kept` most frequent categories, and that of all others together."""
        counts, other = self._most_common(kept)
        return dict(counts), other

    @property
    def singletons(self) -> int:
        """Return how many categories occurred once."""
        return sum(count == 1 for count in self._counts.values())

    def _most_common(self, kept: int) -> tuple[Counter[str], int]:
        # The name decides between equal counts, so that the result does not depend on the order of the stream.
        ranked = sorted(self._counts.items(), key=lambda item: (-item[1], item[0]))
        return Counter(dict(ranked[:kept])), self.other + sum(count for _, count in ranked[kept:])


class RowSample:
    """A uniform sample of the rows of a stream: those with the smallest random keys (bottom-k sampling).

    Samples that keep their keys can be merged to a uniform sample of all rows: see `merge_samples`.
    """

    def __init__(self, size: int, seed: int | None = None) -> None:
        self._size = size
        self._random = np.random.default_rng(seed)
        self._parts: list[pd.DataFrame] = []
        self._limit = 1.0
        self._kept = 0

    def add(self, rows: pd.DataFrame) -> None:
        """Add rows."""
        keys = self._random.random(len(rows))
        chosen = np.flatnonzero(keys < self._limit)
        if not self._size or not len(chosen):
            return
        self._parts.append(rows.iloc[chosen].assign(**{SAMPLE_KEY: keys[chosen]}))
        self._kept += len(chosen)
        if self._kept > 2 * self._size:
            kept = self._smallest()
            self._parts, self._kept, self._limit = [kept], len(kept), float(kept[SAMPLE_KEY].iloc[-1])

    def result(self) -> pd.DataFrame | None:
        """Return the sample, in the order of its keys, or None if there are no rows or the size is 0."""
        return self._smallest() if self._parts else None

    def _smallest(self) -> pd.DataFrame:
        rows = pd.concat(self._parts, ignore_index=True) if len(self._parts) > 1 else self._parts[0]
        return rows.sort_values(SAMPLE_KEY, ignore_index=True).head(self._size)


def merge_samples(samples: Sequence[tuple[pd.DataFrame, int]]) -> pd.DataFrame | None:
    """Return a uniform sample of all rows from samples of parts, each given with the number of rows of its part.

    A sample that is smaller than its part stands for the part only up to its greatest key, so rows with greater keys
    are left out everywhere.
    """
    given = [(rows, total) for rows, total in samples if len(rows)]
    if not given:
        return None
    limits = [rows[SAMPLE_KEY].max() for rows, total in given if len(rows) < total]
    merged = pd.concat([rows for rows, _ in given], ignore_index=True)
    kept = merged if not limits else merged[merged[SAMPLE_KEY] <= min(limits)]
    return kept.sort_values(SAMPLE_KEY, ignore_index=True)
