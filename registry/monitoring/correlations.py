"""How pairs of numbers go together: Spearman's rank correlations, each with its standard error."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final

import numpy as np
import pandas as pd

from registry.monitoring.report import INPUT

# Of more columns the first so many are correlated: pairs grow with the square.
MAX_CORRELATED: Final = 20
_LEAST_ROWS: Final = 20
Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Correlation:
    """How two inputs go together.

    Attributes:
        left: The first column.
        right: The second column.
        rows: The rows in which both have a value.
        value: Spearman's rank correlation, from -1 to 1.
        error: Its standard error, whatever the distribution of the columns.
    """

    left: str
    right: str
    rows: int
    value: float
    error: float


def correlate(sample: pd.DataFrame, names: Sequence[str]) -> tuple[Correlation, ...]:
    """Return the correlations of inputs in a sample of rows. Pairs with a constant column or few rows are left out."""
    return tuple(_correlations(sample, names[:MAX_CORRELATED]))


def _correlations(sample: pd.DataFrame, names: Sequence[str]) -> Iterator[Correlation]:
    columns = {name: sample[f"{INPUT}.{name}"].to_numpy(dtype=np.float64) for name in names}
    for left, right in combinations(columns, 2):
        known = ~(np.isnan(columns[left]) | np.isnan(columns[right]))
        values = [columns[name][known] for name in (left, right)]
        rows = len(values[0])
        if rows >= _LEAST_ROWS and all(one.min() < one.max() for one in values):
            yield Correlation(left, right, rows, *_rank_correlation(*values))


def _rank_correlation(left: Array, right: Array) -> tuple[float, float]:
    """Return Spearman's rank correlation and its standard error.

    The error is the deviation of the influence function: what each row adds by its own ranks, and by moving the ranks
    of the rows above it. Borkowf, Computing the nonnull asymptotic variance of Spearman's rank correlation (2002).
    """
    rows = len(left)
    ranks = [pd.Series(values).rank().to_numpy() / rows for values in (left, right)]
    centered = [rank - rank.mean() for rank in ranks]
    scale = float(centered[0].std() * centered[1].std())
    value = float((centered[0] * centered[1]).mean()) / scale
    influence = centered[0] * centered[1]
    for moved, other in ((0, 1), (1, 0)):
        order = np.argsort(-ranks[moved], kind="stable")
        above = np.empty(rows)
        above[order] = np.cumsum(centered[other][order]) / rows
        influence = influence + above
    return value, float(influence.std()) / scale / math.sqrt(rows)
