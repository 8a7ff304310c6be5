"""`ColumnProfile`: what is known of one column, built in one pass and bounded memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final

import numpy as np
import pandas as pd

from registry.monitoring.columns import CATEGORY, Key
from registry.monitoring.report import finite
from registry.monitoring.sketches import CategoryCounts, QuantileSketch

BINS: Final = 10
MAX_KEPT_CATEGORIES: Final = 1_000
_SHARES: Final = tuple(i / 100 for i in range(101))


@dataclass(frozen=True, slots=True)
class ColumnProfile:
    """What is known of one column.

    Attributes:
        name: The column.
        role: ``input``, ``prediction`` or ``target``.
        kind: ``number``, ``category`` or ``time`` (milliseconds since the epoch).
        count: The number of rows, with those where the value is missing.
        missing: How many values are missing: None, NaN or infinite.
        minimum: The least number.
        maximum: The greatest number.
        mean: The mean of the numbers.
        std: Their standard deviation.
        quantiles: The 0 %, 1 % … 100 % quantiles of the numbers.
        edges: The inner edges of the histogram's bins; a number on an edge belongs to the bin above.
        counts: The numbers in each bin, one more than there are edges.
        categories: How often each of the most frequent categories occurs.
        other: How often others occur.
        singletons: How many categories occur once.
    """

    name: str
    role: str
    kind: str
    count: int
    missing: int
    minimum: float | None = None
    maximum: float | None = None
    mean: float | None = None
    std: float | None = None
    quantiles: tuple[float, ...] = ()
    edges: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()
    categories: Mapping[str, int] | None = None
    other: int = 0
    singletons: int = 0

    @property
    def key(self) -> Key:
        """Return role and name."""
        return self.role, self.name

    @property
    def present(self) -> int:
        """Return how many values are not missing."""
        return self.count - self.missing


class ColumnBuilder:
    """Builds the profile of one column."""

    def __init__(self, kind: str, like: ColumnProfile | None) -> None:
        self._kind = kind
        self._edges = np.array(like.edges) if like is not None and like.kind == kind and like.counts else None
        self._counts = np.zeros(0 if self._edges is None else len(self._edges) + 1, dtype=np.int64)
        self._sketch = QuantileSketch()
        self._categories = CategoryCounts()
        self._count = self._missing = 0
        self._mean = self._squares = 0.0
        self._minimum, self._maximum = np.inf, -np.inf

    def add(self, values: Any) -> None:
        """Add values: floats with NaN for missing, or texts with None for missing."""
        self._count += len(values)
        present = values[~pd.isna(values)]
        self._missing += len(values) - len(present)
        if not len(present):
            return
        if self._kind == CATEGORY:
            codes, labels = pd.factorize(present)
            self._categories.add(dict(zip(labels, np.bincount(codes).tolist(), strict=True)))
            return
        # The update of mean and sum of squares of Chan, Golub and LeVeque (1983): stable, whatever the size of batches.
        before = self._count - self._missing - len(present)
        mean = float(present.mean())
        delta, total = mean - self._mean, before + len(present)
        self._squares += float(((present - mean) ** 2).sum()) + delta**2 * before * len(present) / total
        self._mean += delta * len(present) / total
        self._minimum, self._maximum = min(self._minimum, present.min()), max(self._maximum, present.max())
        self._sketch.add(present)
        if self._edges is not None:
            places = np.searchsorted(self._edges, present, side="right")
            self._counts += np.bincount(places, minlength=len(self._counts))

    def finish(self, role: str, name: str) -> ColumnProfile:
        """Return the profile of all values."""
        profile = ColumnProfile(name, role, self._kind, self._count, self._missing)
        if self._kind == CATEGORY:
            counts, other = self._categories.result(MAX_KEPT_CATEGORIES)
            return replace(profile, categories=counts, other=other, singletons=self._categories.singletons)
        if not profile.present:
            return profile
        if self._edges is None:
            self._edges = np.unique(self._sketch.quantiles([i / BINS for i in range(1, BINS)]))
            self._counts = self._sketch.histogram(self._edges)
        quantiles = self._sketch.quantiles(_SHARES)
        quantiles[0], quantiles[-1] = self._minimum, self._maximum
        return replace(
            profile,
            minimum=float(self._minimum),
            maximum=float(self._maximum),
            mean=finite(self._mean),
            std=finite(np.sqrt(self._squares / profile.present)),
            quantiles=tuple(quantiles.tolist()),
            edges=tuple(self._edges.tolist()),
            counts=tuple(self._counts.tolist()),
        )


def merge_columns(parts: Sequence[ColumnProfile]) -> ColumnProfile:
    """Return the profile of the values of all parts. Quantiles, mean and deviation are not kept."""
    first = parts[0]
    merged = ColumnProfile(
        first.name, first.role, first.kind, sum(part.count for part in parts), sum(part.missing for part in parts)
    )
    if first.kind == CATEGORY:
        counts = CategoryCounts()
        for part in parts:
            counts.add(part.categories or {})
        kept, other = counts.result(MAX_KEPT_CATEGORIES)
        other += sum(part.other for part in parts)
        return replace(merged, categories=kept, other=other, singletons=counts.singletons)
    filled = [part for part in parts if part.present]
    if not filled:
        return merged
    merged = replace(
        merged,
        minimum=min(part.minimum for part in filled if part.minimum is not None),
        maximum=max(part.maximum for part in filled if part.maximum is not None),
    )
    if any(part.edges != filled[0].edges for part in filled):
        return merged
    counts_per_bin = np.sum([part.counts for part in filled], axis=0).tolist()
    return replace(merged, edges=filled[0].edges, counts=tuple(counts_per_bin))


def column_from(values: Mapping[str, Any]) -> ColumnProfile:
    """Return the profile of a column from its fields as JSON gives them."""
    known = {field.name for field in fields(ColumnProfile)}
    tuples = {key: tuple(values[key]) for key in ("quantiles", "edges", "counts")}
    return ColumnProfile(**{key: value for key, value in values.items() if key in known} | tuples)
