"""What an evaluator finds: metrics, tables and figures, before anything is stored."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from registry.evaluation.data import EvaluationData
from registry.evaluation.metrics import MetricValue
from registry.evaluation.models import EvaluatedModel

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One evaluation to do: the model, if there is one, the data, what was predicted, and the settings.

    `truth` is None only where there is no type of model, and metrics of the user's own do without it.
    """

    model: EvaluatedModel | None
    data: EvaluationData
    truth: Any
    predicted: "np.ndarray[Any, Any]"
    config: Mapping[str, Any]

    @property
    def weights(self) -> Any:
        """The weight of each row, or None."""
        return self.config.get("sample_weights")


@dataclass(slots=True)
class Outcome:
    """The results of one evaluator. A figure is drawn when it is called."""

    metrics: dict[str, MetricValue] = field(default_factory=dict)
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    figures: "dict[str, Callable[[], Figure]]" = field(default_factory=dict)
