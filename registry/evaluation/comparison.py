"""`compare_models`: which of two models is better on the same rows, how sure that is, and evidence of it for rules."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from registry.entities import ComparedModel, EvaluatedDataset, PairedDifference
from registry.entities.evidence import COMPARISON
from registry.entities.model_comparison import HIGHER, LOWER
from registry.evaluation import figures
from registry.evaluation.bootstrap import difference_interval, distinct_rows
from registry.evaluation.classifier import classifier_metrics, find_classes
from registry.evaluation.data import EvaluationData, read_data
from registry.evaluation.evaluators import read_config, sklearn_errors
from registry.evaluation.metrics import Arguments, EvaluationMetric, aggregates, compute
from registry.evaluation.models import EvaluatedModel, open_model
from registry.evaluation.outcome import Evaluation
from registry.evaluation.regressor import as_numbers, regressor_metrics
from registry.evaluation.weighted_metrics import (
    LABELS,
    METRICS,
    SHORT_NAMES,
    VALUES,
    Array,
    OfWeights,
    WeightedMetric,
)
from registry.exceptions import InvalidParameterError
from registry.fluent import state
from registry.validation.arguments import check_list

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LEAST_RESAMPLES: Final = 1_000
_MOST_RESAMPLES: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class ModelComparison:
    """Models compared on one data set. Made by `compare_models`.

    Attributes:
        differences: One per challenger: its difference from the reference, with the interval.
        dataset: The identity of the data set.
        evidence_ids: The number of the evidence that was stored for each challenger, None for one outside the registry.

    Example:
        >>> data = mlflow.data.from_pandas(X.assign(won=y), targets="won", name="holdout")
        >>> comparison = mlflow.compare_models(["models:/churn/3", "models:/churn/Production"], data, metric="f1_score")
        >>> comparison.to_frame().columns.tolist()[:4]
        ['challenger', 'reference', 'value', 'reference_value']
        >>> comparison.differences[0].is_better
        False
    """

    metric: str
    dataset: EvaluatedDataset
    differences: tuple[PairedDifference, ...]
    evidence_ids: tuple[int | None, ...]

    def to_frame(self) -> pd.DataFrame:
        """Return a row per challenger: values, difference, interval, and whether it is better beyond chance."""
        return pd.DataFrame(
            [
                {
                    "challenger": one.challenger.uri,
                    "reference": one.reference.uri,
                    "value": one.challenger.value,
                    "reference_value": one.reference.value,
                    "difference": one.difference,
                    "low": one.low,
                    "high": one.high,
                    "is_better": one.is_better,
                }
                for one in self.differences
            ]
        )

    def figure(self) -> "Figure":
        """Draw the differences with their intervals.

        Raises:
            MissingDependencyError: matplotlib is not installed.
        """
        frame = self.to_frame()
        level = self.differences[0].confidence
        of_what = f"{level:.0%} interval of the difference from {frame['reference'][0]}"
        title = f"{self.metric} on {self.dataset.name}\n{of_what}"
        return figures.draw_differences(
            frame["challenger"].tolist(), frame["difference"], frame["low"], frame["high"], title
        )


@dataclass(frozen=True, slots=True)
class _Side:
    """One model: its metric, and the same metric of any weights of the rows."""

    model: EvaluatedModel
    value: float
    of_weights: OfWeights

    def named(self) -> ComparedModel:
        return ComparedModel(self.model.uri, self.model.digest, self.value)


def compare_models(
    models: Sequence[Any],
    data: Any,
    targets: Any,
    *,
    metric: str | EvaluationMetric,
    confidence: float,
    resamples: int,
    seed: int,
    predictions: str | None,
    feature_names: Sequence[str] | None,
    evaluator_config: Mapping[str, Any] | None,
    allow_code: bool | None,
) -> ModelComparison:
    """Compare models; see `registry.evaluation.compare_models`, which describes the arguments."""
    given = check_list(models, "models", object)
    if len(given) < 2:
        raise InvalidParameterError("Give at least two models; the last is the one that the others are compared with.")
    name, weighted = _find_metric(metric)
    _check_numbers(confidence, resamples, seed)
    _, config = read_config(None, evaluator_config)
    if "sample_weights" in config:
        raise InvalidParameterError("Models are compared on rows that weigh the same; leave sample_weights out.")
    read = read_data(data, targets=targets, feature_names=feature_names)
    if read.targets is None:
        raise InvalidParameterError("The targets argument must be specified: the true values of the rows.")
    opened = [open_model(one, allow_code=allow_code) for one in given]
    evaluations = [
        Evaluation(one, read, read.targets, one.predictions(read.features, predictions), config) for one in opened
    ]
    differences = []
    for evaluation in evaluations[:-1]:
        sides, counts = _sides(name, weighted, metric, [evaluation, evaluations[-1]])
        interval = difference_interval(
            sides[0].of_weights,
            sides[1].of_weights,
            counts,
            confidence=confidence,
            resamples=resamples,
            seed=seed,
        )
        challenger, reference = (side.named() for side in sides)
        differences.append(
            PairedDifference(
                metric=name,
                better=_better(metric, weighted),
                challenger=challenger,
                reference=reference,
                difference=challenger.value - reference.value,
                low=interval.low,
                high=interval.high,
                confidence=float(confidence),
                resamples=resamples,
                seed=seed,
                rows=len(read.features),
            )
        )
    evidence = [_store(one.model, found, read) for one, found in zip(evaluations[:-1], differences, strict=True)]
    return ModelComparison(name, read.dataset.to_evaluated(), tuple(differences), tuple(evidence))


def _store(model: EvaluatedModel | None, difference: PairedDifference, data: EvaluationData) -> int | None:
    if model is None or model.model_id is None:
        return None
    active = state.active_with_client()
    client, run_id = (state.client(), None) if active is None else (active[1], active[0].info.run_id)
    content = difference.to_content()
    return client.log_evidence(model.model_id, COMPARISON, content, dataset=data.dataset, run_id=run_id).id


def _find_metric(metric: Any) -> tuple[str, WeightedMetric | None]:
    if isinstance(metric, EvaluationMetric):
        return metric.key, None
    name = SHORT_NAMES.get(metric, metric) if isinstance(metric, str) else ""
    if name not in METRICS:
        raise InvalidParameterError(
            f"Models cannot be compared by {metric!r}; there are {', '.join(METRICS)}, and metrics of make_metric."
        )
    return name, METRICS[name]


def _better(metric: Any, weighted: WeightedMetric | None) -> str:
    return weighted.better if weighted is not None else HIGHER if metric.greater_is_better else LOWER


def _check_numbers(confidence: Any, resamples: Any, seed: Any) -> None:
    if isinstance(confidence, bool) or not isinstance(confidence, int | float) or not 0 < confidence < 1:
        raise InvalidParameterError(f"confidence must lie between 0 and 1, such as 0.95; got {confidence!r}.")
    if type(resamples) is not int or not _LEAST_RESAMPLES <= resamples <= _MOST_RESAMPLES:
        raise InvalidParameterError(
            f"resamples must be an integer from {_LEAST_RESAMPLES:,} to {_MOST_RESAMPLES:,}, got {resamples!r}."
        )
    if type(seed) is not int or not 0 <= seed < 2**63:
        raise InvalidParameterError(f"seed must be an integer of 0 or more, got {seed!r}.")


def _sides(
    name: str, weighted: WeightedMetric | None, metric: Any, pair: Sequence[Evaluation]
) -> tuple[list[_Side], Array]:
    """Return both models' metrics, as values and as functions of weights, and how often the data has each row."""
    if weighted is None:
        return [_custom_side(metric, one) for one in pair], np.ones(len(pair[0].data.features), dtype=int)
    if weighted.uses == VALUES:
        numbers = [as_numbers(pair[0].truth), *(as_numbers(one.predicted) for one in pair)]
        values = [regressor_metrics(one)[name] for one in pair]
        counts = np.ones(len(numbers[0]), dtype=int)
    else:
        with sklearn_errors():
            numbers, values = _of_classes(name, weighted, pair)
        if weighted.uses == LABELS:
            columns, counts = distinct_rows(*numbers)
            numbers = list(columns)
        else:
            counts = np.ones(len(numbers[0]), dtype=int)
    truth, *predicted = numbers
    sides = []
    for one, value, predictions in zip(pair, values, predicted, strict=True):
        assert one.model is not None  # noqa: S101 - each of the compared is a model
        sides.append(_Side(one.model, float(value), weighted.of(truth, predictions)))
    return sides, counts


def _of_classes(name: str, weighted: WeightedMetric, pair: Sequence[Evaluation]) -> tuple[list[Array], list[float]]:
    probabilities: list[Any] = [None, None]
    if weighted.uses != LABELS:
        probabilities = [one.model and one.model.probabilities(one.data.features) for one in pair]
        if any(found is None for found in probabilities):
            raise InvalidParameterError(f"{name} needs probabilities, and a model has no predict_proba().")
    plain = [Evaluation(one.model, one.data, one.truth, one.predicted, _without_average(one.config)) for one in pair]
    classes = find_classes(plain[0], probabilities[0], plain[1].predicted)
    metrics = [classifier_metrics(one, classes, found) for one, found in zip(plain, probabilities, strict=True)]
    if any(name not in found for found in metrics):
        raise InvalidParameterError(f"{name} is a metric of two classes; the data has {len(classes.labels)}.")
    predictions = [
        classes.codes(one.predicted) if weighted.uses == LABELS else classes.ordered(found)
        for one, found in zip(plain, probabilities, strict=True)
    ]
    return [classes.codes(plain[0].truth), *predictions], [found[name] for found in metrics]


def _without_average(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that a comparison knows: the labels. Averages over many classes are weighted."""
    return {key: value for key, value in config.items() if key in ("label_list", "pos_label")}


def _custom_side(metric: EvaluationMetric, evaluation: Evaluation) -> _Side:
    """Return the side of a metric of the user's own, whose function is called once per resample."""
    assert evaluation.model is not None  # noqa: S101 - each of the compared is a model

    def of_rows(rows: Any) -> float:
        return _call(metric, evaluation, rows)

    def of_weights(weights: Array) -> Array:
        everything = np.arange(weights.shape[1])
        return np.array([of_rows(np.repeat(everything, counts.astype(int))) for counts in weights])

    return _Side(evaluation.model, of_rows(np.arange(len(evaluation.predicted))), of_weights)


def _call(metric: EvaluationMetric, evaluation: Evaluation, rows: Any) -> float:
    dataset = evaluation.data.dataset
    arguments = Arguments(
        predictions=pd.Series(evaluation.predicted[rows]),
        targets=pd.Series(evaluation.truth[rows]),
        features=evaluation.data.features.iloc[rows].reset_index(drop=True),
        config=evaluation.config,
        targets_name=dataset.targets,
    )
    numbers = aggregates(compute([metric], arguments, {}))
    if metric.key not in numbers:
        raise InvalidParameterError(
            f"The metric {metric.name!r} must return one number to be compared, or an aggregate of its own name."
        )
    return numbers[metric.key]
