"""How good predictions are: the loss of each row, summed up so that two sets of rows can be compared.

Classes give the share of right ones (``accuracy``), probabilities of two classes the mean squared error
(``brier_score``), numbers the mean absolute error (``mean_absolute_error``).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from registry.monitoring.columns import CATEGORY, NUMBER, Column
from registry.monitoring.report import PREDICTION, TARGET

ACCURACY: Final = "accuracy"
BRIER_SCORE: Final = "brier_score"
MEAN_ABSOLUTE_ERROR: Final = "mean_absolute_error"


@dataclass(frozen=True, slots=True)
class Performance:
    """The losses of rows whose targets are known.

    Attributes:
        metric: ``accuracy``, ``brier_score`` or ``mean_absolute_error``.
        rows: The rows that have a prediction and a target.
        mean_loss: The mean loss: one minus the accuracy, or the metric itself.
        variance: The variance of the loss.
    """

    metric: str
    rows: int
    mean_loss: float
    variance: float

    @property
    def value(self) -> float:
        """Return the metric."""
        return 1 - self.mean_loss if self.metric == ACCURACY else self.mean_loss

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Return the interval of the metric: Wilson's for accuracy, the normal one for others."""
        from scipy.special import ndtri

        z = float(ndtri((1 + confidence) / 2))
        if self.metric == ACCURACY:
            share, rows = self.value, self.rows
            center = (share + z * z / (2 * rows)) / (1 + z * z / rows)
            half = z / (1 + z * z / rows) * math.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows))
            return center - half, center + half
        half = z * math.sqrt(self.variance / self.rows)
        return self.value - half, self.value + half

    @classmethod
    def merge(cls, parts: "Sequence[Performance]") -> "Performance | None":
        """Return the performance on the rows of all parts, or None if they have different metrics or there are none."""
        if not parts or any(part.metric != parts[0].metric for part in parts):
            return None
        rows = sum(part.rows for part in parts)
        mean = sum(part.mean_loss * part.rows for part in parts) / rows
        variance = sum(part.rows * (part.variance + (part.mean_loss - mean) ** 2) for part in parts) / rows
        return cls(parts[0].metric, rows, mean, variance)


class PerformanceCounter:
    """Sums up the losses of batches."""

    def __init__(self) -> None:
        self._parts: list[Performance] = []

    def add(self, columns: Sequence[Column]) -> None:
        """Add rows. Without one column of predictions and one of targets there is nothing to count."""
        predictions = [column for column in columns if column.role == PREDICTION]
        targets = [column for column in columns if column.role == TARGET]
        if len(predictions) == 1 and len(targets) == 1:
            part = measure(predictions[0], targets[0])
            if part is not None:
                self._parts.append(part)

    def result(self) -> Performance | None:
        """Return the performance on all rows."""
        return Performance.merge(self._parts)


def measure(prediction: Column, target: Column) -> Performance | None:
    """Return the performance on rows whose prediction and target are known, or None if there is no metric for them."""
    known = ~(pd.isna(prediction.values) | pd.isna(target.values))
    if not known.any():
        return None
    predicted, true = prediction.values[known], target.values[known]
    kinds = (prediction.kind, target.kind)
    losses: Any
    if kinds == (CATEGORY, CATEGORY):
        metric, losses = ACCURACY, (predicted != true).astype(float)
    elif kinds == (NUMBER, NUMBER):
        metric, losses = MEAN_ABSOLUTE_ERROR, np.abs(predicted - true)
    elif kinds == (NUMBER, CATEGORY) and set(np.unique(true.astype(str))) <= {"0", "1", "True", "False"}:
        metric, losses = BRIER_SCORE, (predicted - np.isin(true, ["1", "True"])) ** 2
    else:
        return None
    return Performance(metric, len(losses), float(losses.mean()), float(losses.var()))
