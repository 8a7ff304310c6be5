"""Metrics of the user's own: `make_metric`, and how their functions get their arguments (MLflow's rules)."""

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from registry.exceptions import InvalidParameterError, InvalidTypeError
from registry.validation.names import check_key

if TYPE_CHECKING:
    import pandas as pd


@dataclass
class MetricValue:
    """The result of a metric: one score per row, or aggregates, or both.

    Args:
        scores: One number or text per row.
        justifications: One text per row.
        aggregate_results: Numbers by the name of the aggregation. Default: mean, variance and p90 of numeric scores.

    Example:
        >>> from registry.models import MetricValue
        >>> MetricValue(scores=[1.0, 3.0]).aggregate_results["mean"]
        2.0
    """

    scores: list[Any] | None = None
    justifications: list[str] | None = None
    aggregate_results: dict[str, float] | None = None

    def __post_init__(self) -> None:
        if self.aggregate_results is None and self.scores and all(map(_is_number, self.scores)):
            import numpy as np

            self.aggregate_results = {
                "mean": float(np.mean(self.scores)),
                "variance": float(np.var(self.scores)),
                "p90": float(np.percentile(self.scores, 90)),
            }


class EvaluationMetric:
    """A metric of the user's own, made by `make_metric`. Calling it calls its function."""

    def __init__(
        self,
        eval_fn: Callable[..., Any],
        name: str,
        greater_is_better: bool,
        long_name: str | None = None,
        version: str | None = None,
        metric_details: str | None = None,
        metric_metadata: Mapping[str, Any] | None = None,
    ) -> None:
        self.eval_fn = eval_fn
        self.name = name
        self.greater_is_better = greater_is_better
        self.long_name = long_name or name
        self.version = version
        self.metric_details = metric_details
        self.metric_metadata = metric_metadata

    @property
    def key(self) -> str:
        """The name under which it is logged: the name, and the version if there is one."""
        return f"{self.name}/{self.version}" if self.version else self.name

    def __call__(self, **kwargs: Any) -> Any:
        """Call the function."""
        return self.eval_fn(**kwargs)

    def __repr__(self) -> str:
        return f"EvaluationMetric(name={self.name}, greater_is_better={self.greater_is_better})"


def make_metric(
    *,
    eval_fn: Callable[..., Any],
    greater_is_better: bool,
    name: str | None = None,
    long_name: str | None = None,
    version: str | None = None,
    metric_details: str | None = None,
    metric_metadata: Mapping[str, Any] | None = None,
) -> EvaluationMetric:
    """Make a metric from a function, for ``extra_metrics`` of `evaluate` and for `compare_models`.

    Args:
        eval_fn: A function that returns a number or a `MetricValue`. It gets what its arguments are named after:
            ``predictions`` and ``targets`` (Series), ``metrics`` (the results so far), a column of the data, a key of
            ``evaluator_config``, or another metric.
        greater_is_better: Whether a greater value is better.
        name: The metric's name. Default: that of the function.
        long_name: A longer name, for people. Default: `name`.
        version: A version, which is added to the name after a slash.
        metric_details: A description.
        metric_metadata: A mapping with anything else.

    Returns:
        The metric.

    Raises:
        InvalidParameterError: The function has no name, as a lambda, and none is given; or the name cannot be stored.

    Example:
        >>> def within_two(predictions, targets):
        ...     return float(((predictions - targets).abs() <= 2).mean())
        >>> mlflow.models.make_metric(eval_fn=within_two, greater_is_better=True)
        EvaluationMetric(name=within_two, greater_is_better=True)
    """
    if not callable(eval_fn):
        raise InvalidTypeError(f"eval_fn must be a function, got {type(eval_fn).__name__}.")
    if name is None:
        name = getattr(eval_fn, "__name__", None)
        if name is None or name == "<lambda>":
            raise InvalidParameterError("`name` must be specified if `eval_fn` is a lambda function.")
    metric = EvaluationMetric(
        eval_fn, name, bool(greater_is_better), long_name, version, metric_details, metric_metadata
    )
    check_key(metric.key, "name")
    return metric


@dataclass(frozen=True, slots=True)
class Arguments:
    """What the functions of metrics can ask for by name."""

    predictions: "pd.Series[Any]"
    targets: "pd.Series[Any] | None"
    features: "pd.DataFrame"
    config: Mapping[str, Any]
    targets_name: str | None = None
    predictions_name: str | None = None

    def frame(self) -> "pd.DataFrame":
        """Return the columns ``prediction`` and, if there are targets, ``target``."""
        import pandas as pd

        columns = {"prediction": self.predictions}
        return pd.DataFrame(columns if self.targets is None else {**columns, "target": self.targets})

    def of(self, function: Callable[..., Any], results: Mapping[str, MetricValue]) -> list[Any] | str:
        """Return the arguments for a function, or the name of one that cannot be found."""
        parameters = inspect.signature(function).parameters
        names = list(parameters)
        if len(names) == 2 and names[0] != "predictions" and names[1] != "targets":
            return [self.frame(), aggregates(results)]  # MLflow's older form: a frame and the metrics so far
        mapping = self.config.get("col_mapping") or {}
        found = []
        for name, parameter in parameters.items():
            value = self._find(mapping.get(name, name), results)
            if value is _MISSING:
                if parameter.default is inspect.Parameter.empty:
                    return name
                value = parameter.default
            found.append(value)
        return found

    def _find(self, column: Any, results: Mapping[str, MetricValue]) -> Any:
        if not isinstance(column, str):
            return column  # col_mapping holds the values themselves
        if column in ("predictions", self.predictions_name):
            return self.predictions.copy()
        if column in ("targets", self.targets_name):
            return _MISSING if self.targets is None else self.targets.copy()
        if column == "metrics":
            return copy.deepcopy(dict(results))
        if column in self.features.columns:
            return self.features[column].copy()
        if column in self.config:
            return self.config[column]
        return next((value for key, value in results.items() if key.partition("/")[0] == column), _MISSING)


_MISSING: Any = object()


def compute(
    metrics: Sequence[EvaluationMetric], arguments: Arguments, results: dict[str, MetricValue]
) -> dict[str, MetricValue]:
    """Compute metrics of the user's own, in an order in which each finds the others that it asks for.

    Raises:
        InvalidParameterError: A function asks for something that is not there.
        InvalidTypeError: A function returns neither a number nor a `MetricValue`.
    """
    known = dict(results)
    pending = list(metrics)
    while pending:
        missing, before = {}, len(pending)
        for metric in list(pending):
            found = arguments.of(metric.eval_fn, known)
            if isinstance(found, str):
                missing[metric.name] = found
            else:
                known[metric.key] = _checked(metric, metric.eval_fn(*found))
                pending.remove(metric)
        if len(pending) == before:
            columns = [*map(str, arguments.features.columns)]
            raise InvalidParameterError(
                "; ".join(f"metric {name!r} asks for {what!r}" for name, what in missing.items())
                + f". There are predictions, targets, metrics, the columns {columns}, the "
                "keys of evaluator_config and the names of other metrics; evaluator_config={'col_mapping': {…}} "
                "gives a column another name."
            )
    return known


def aggregates(results: Mapping[str, MetricValue]) -> dict[str, float]:
    """Return the numbers to log: ``name`` or, for several aggregates of one metric, ``name/aggregate``."""
    numbers: dict[str, float] = {}
    for name, value in results.items():
        for aggregate, number in (value.aggregate_results or {}).items():
            if number is not None:
                numbers[name if aggregate == name.split("/")[0] else f"{name}/{aggregate}"] = float(number)
    return numbers


def single(name: str, number: Any) -> MetricValue:
    """Return a metric that is one number."""
    return MetricValue(aggregate_results={name: float(number)})


def _checked(metric: EvaluationMetric, value: Any) -> MetricValue:
    if _is_number(value):
        return single(metric.name, value)
    # MLflow's class has the same fields.
    parts = [getattr(value, name, _MISSING) for name in ("scores", "justifications", "aggregate_results")]
    if _MISSING in [part if part is _MISSING else None for part in parts]:
        raise InvalidTypeError(
            f"The metric {metric.name!r} returned a value of type {type(value).__name__}; it must return a number or a "
            "MetricValue."
        )
    scores, justifications, results = parts
    if not (scores is None or isinstance(scores, list)) or not (results is None or isinstance(results, dict)):
        raise InvalidTypeError(f"The metric {metric.name!r} must return its scores as a list and aggregates as a dict.")
    if not all(number is None or _is_number(number) for number in (results or {}).values()):
        raise InvalidTypeError(f"The metric {metric.name!r} must return numbers as aggregates, got {results!r:.200}.")
    return MetricValue(scores, justifications, results)


def _is_number(value: object) -> bool:
    import numpy as np

    return isinstance(value, int | float | np.number)
