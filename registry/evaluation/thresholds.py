"""Thresholds that an evaluation must reach, alone or against a baseline (MLflow's `validate_evaluation_results`)."""

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from registry.evaluation.result import EvaluationResult
from registry.exceptions import InvalidParameterError, InvalidTypeError, ModelValidationError

_LEAST_CHANGE: Final = 1e-10


@dataclass(frozen=True, slots=True)
class MetricThreshold:
    """What a metric must reach.

    Args:
        threshold: The value itself: at least this if greater is better, else at most.
        min_absolute_change: By how much it must be better than the baseline's, above 0.
        min_relative_change: By which share of the baseline's magnitude it must be better, from 0 to 1.
        greater_is_better: Whether greater values are better. Required.

    Raises:
        InvalidParameterError: An argument is missing or out of its range.

    Example:
        >>> mlflow.models.MetricThreshold(threshold=0.8, greater_is_better=True).threshold
        0.8
    """

    threshold: float | None = None
    min_absolute_change: float | None = None
    min_relative_change: float | None = None
    greater_is_better: bool | None = None

    def __post_init__(self) -> None:
        limits = (self.threshold, self.min_absolute_change, self.min_relative_change)
        if self.threshold is not None and type(self.threshold) not in (int, float):
            raise _invalid("`threshold` parameter must be a number.")
        if self.min_absolute_change is not None and (
            type(self.min_absolute_change) not in (int, float) or self.min_absolute_change <= 0
        ):
            raise _invalid("`min_absolute_change` parameter must be a positive number.")
        if self.min_relative_change is not None and type(self.min_relative_change) is not float:
            raise _invalid("`min_relative_change` parameter must be a floating point number.")
        if self.min_relative_change is not None and not 0 <= self.min_relative_change <= 1:
            raise _invalid("`min_relative_change` parameter must be between 0 and 1.")
        if self.greater_is_better is None:
            raise _invalid("`greater_is_better` parameter must be defined.")
        if not isinstance(self.greater_is_better, bool):
            raise _invalid("`greater_is_better` parameter must be a boolean.")
        if all(limit is None for limit in limits):
            raise _invalid("no threshold was specified.")

    def failures(self, metric: str, value: float | None, baseline: float | None) -> list[str]:
        """Return what a value does not reach; empty if it passes."""
        if value is None:
            return [
                f"Metric validation failed: metric {metric} was missing from the evaluation result of the candidate "
                "model."
            ]
        reaches = operator.ge if self.greater_is_better else operator.le
        failed = []
        if self.threshold is not None and not reaches(value, self.threshold):
            failed.append(
                f"Metric {metric} value threshold check failed: candidate model {metric} = {value}, {metric} threshold "
                f"= {self.threshold}."
            )
        if self.min_absolute_change is None and self.min_relative_change is None:
            return failed
        if baseline is None:
            return [
                *failed,
                f"Model comparison failed: metric {metric} was missing from the evaluation result of the baseline "
                "model.",
            ]
        for name, limit, passed in self._changes(value, baseline):
            if not passed:
                failed.append(
                    f"Metric {metric} minimum {name} change check failed: candidate model {metric} = {value}, baseline "
                    f"model {metric} = {baseline}, {metric} minimum {name} change threshold = {limit}."
                )
        return failed

    def _changes(self, value: float, baseline: float) -> list[tuple[str, float, bool]]:
        gain = Decimal(repr(float(value))) - Decimal(repr(float(baseline)))  # as people read the figures
        better = gain if self.greater_is_better else -gain
        changes = []
        if self.min_absolute_change is not None:
            needed = Decimal(repr(float(self.min_absolute_change)))
            changes.append(("absolute", self.min_absolute_change, better >= needed))
        if self.min_relative_change is not None:
            share = Decimal(repr(self.min_relative_change)) * abs(Decimal(repr(float(baseline))))
            needed = share if baseline != 0 else Decimal(repr(_LEAST_CHANGE))
            changes.append(("relative", self.min_relative_change, better >= needed))
        return changes


def validate_evaluation_results(
    validation_thresholds: Mapping[str, MetricThreshold],
    candidate_result: EvaluationResult,
    baseline_result: EvaluationResult | None = None,
) -> None:
    """Check that the result of an evaluation reaches its thresholds.

    Args:
        validation_thresholds: A `MetricThreshold` by metric.
        candidate_result: The result of `evaluate` for the model in question.
        baseline_result: That of the model to be better than. Needed for changes.

    Raises:
        ModelValidationError: A threshold is not reached; the message names each.
        InvalidParameterError: The thresholds are not a mapping to `MetricThreshold`.

    Example:
        >>> data = X.assign(won=y)
        >>> result = mlflow.evaluate("models:/churn/3", data, targets="won", model_type="classifier",
        ...                          evaluators="classifier")
        >>> mlflow.validate_evaluation_results(
        ...     {"accuracy_score": mlflow.models.MetricThreshold(threshold=0.5, greater_is_better=True)}, result)
    """
    if not isinstance(validation_thresholds, Mapping) or not all(
        isinstance(name, str) and isinstance(threshold, MetricThreshold)
        for name, threshold in validation_thresholds.items()
    ):
        raise InvalidParameterError(
            "The validation thresholds argument must be a dictionary that maps strings to MetricThreshold objects."
        )
    for result in (candidate_result, baseline_result):
        if not isinstance(result, EvaluationResult) and (result is not None or candidate_result is None):
            raise InvalidTypeError(f"A result of evaluate is expected, got {type(result).__name__}.")
    baseline: Mapping[str, Any] = baseline_result.metrics if baseline_result else {}
    failed = [
        " ".join(failures)
        for name, threshold in validation_thresholds.items()
        if (failures := threshold.failures(name, candidate_result.metrics.get(name), baseline.get(name)))
    ]
    if failed:
        raise ModelValidationError("\n".join(failed))


def _invalid(message: str) -> InvalidParameterError:
    return InvalidParameterError(f"Could not instantiate MetricThreshold class: {message}")
