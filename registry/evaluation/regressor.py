"""Evaluates regressors with scikit-learn: MLflow's metrics, and the residuals as a figure."""

from functools import partial
from typing import Any

import numpy as np

from registry.evaluation import figures
from registry.evaluation.classifier import score_of_estimator
from registry.evaluation.metrics import single
from registry.evaluation.outcome import Evaluation, Outcome
from registry.exceptions import InvalidParameterError
from registry.flavors.optional_imports import optional_import


def evaluate_regressor(evaluation: Evaluation) -> Outcome:
    """Evaluate a regressor."""
    outcome = Outcome(score_of_estimator(evaluation))
    outcome.metrics |= {name: single(name, value) for name, value in regressor_metrics(evaluation).items()}
    outcome.figures["residuals_plot"] = partial(
        figures.draw_residuals, as_numbers(evaluation.truth), as_numbers(evaluation.predicted)
    )
    return outcome


def regressor_metrics(evaluation: Evaluation) -> dict[str, Any]:
    """Compute MLflow's metrics of a regressor."""
    sk: Any = optional_import("sklearn.metrics", "sklearn")
    truth, predicted = as_numbers(evaluation.truth), as_numbers(evaluation.predicted)
    weights = evaluation.weights
    total = float(truth.sum() if weights is None else (truth * np.asarray(weights)).sum())
    weighted = (
        "mean_absolute_error",
        "mean_squared_error",
        "root_mean_squared_error",
        "r2_score",
        "mean_absolute_percentage_error",
    )
    return {
        "example_count": len(truth),
        **{name: getattr(sk, name)(truth, predicted, sample_weight=weights) for name in weighted},
        "sum_on_target": total,
        "mean_on_target": total / len(truth),
        "max_error": sk.max_error(truth, predicted),
    }


def as_numbers(values: Any) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """Return values as floats.

    Raises:
        InvalidParameterError: A value is no number, or is missing.
    """
    try:
        numbers = np.asarray(values, dtype=float)
    except (TypeError, ValueError) as error:
        raise InvalidParameterError(f"Targets and predictions of a regressor must be numbers ({error}).") from error
    if not np.isfinite(numbers).all():
        raise InvalidParameterError(
            f"{int((~np.isfinite(numbers)).sum())} targets or predictions are missing or infinite; leave these rows "
            "out, or fill them."
        )
    return numbers
