"""Evaluates classifiers with scikit-learn: MLflow's metrics, table per class and figures.

Guarantees: each figure of a result is scikit-learn's; names and definitions are those of mlflow 3.17.
"""

import logging
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import pandas as pd

from registry.evaluation import figures
from registry.evaluation.metrics import MetricValue, single
from registry.evaluation.outcome import Evaluation, Outcome
from registry.exceptions import InvalidParameterError
from registry.flavors.optional_imports import optional_import

_MOST_CURVES: Final = 10
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Classes:
    """The labels of a classification, sorted; of two, the positive one is last.

    `columns` are the labels in the order of the columns of probabilities.
    """

    labels: "np.ndarray[Any, Any]"
    columns: "np.ndarray[Any, Any]"

    @property
    def is_binary(self) -> bool:
        """Tell whether there are two classes."""
        return len(self.labels) == 2

    @property
    def positive(self) -> Any:
        """The positive label of a binary classification."""
        return self.labels[-1]

    def codes(self, values: Any) -> "np.ndarray[Any, Any]":
        """Return labels as their positions; the positive class of two is 1.

        Raises:
            InvalidParameterError: A value is none of the labels.
        """
        matches = np.asarray(values)[:, None] == self.labels
        if not matches.any(axis=1).all():
            raise InvalidParameterError(
                f"Targets and predictions have labels besides {self.labels.tolist()}. Name all of them in label_list."
            )
        codes: np.ndarray[Any, Any] = matches.argmax(axis=1)
        return codes

    def ordered(self, probabilities: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
        """Return the columns of probabilities in the order of the labels."""
        order = [int(np.flatnonzero(self.columns == label)[0]) for label in self.labels]
        return probabilities[:, order]


def find_classes(
    evaluation: Evaluation, probabilities: "np.ndarray[Any, Any] | None", *more_predictions: Any
) -> Classes:
    """Find the classes: ``label_list``, or all labels of the truth and the predictions.

    Raises:
        InvalidParameterError: There are fewer than two, or they do not fit ``pos_label`` or the probabilities.
    """
    listed, positive = evaluation.config.get("label_list"), evaluation.config.get("pos_label")
    try:
        seen = np.unique(np.concatenate([evaluation.truth, evaluation.predicted, *more_predictions]))
        labels = seen if listed is None else np.unique(np.asarray(listed))
    except (TypeError, ValueError) as error:
        raise InvalidParameterError(f"Targets and predictions must be labels of one type ({error}).") from error
    known = getattr(evaluation.model and evaluation.model.native, "classes_", None)
    if probabilities is not None and probabilities.shape[1] != len(labels) and known is not None and listed is None:
        labels = np.asarray(known)  # a class of the model occurs neither in the targets nor in the predictions
    if len(labels) < 2:
        raise InvalidParameterError(
            f"Evaluation of a classifier needs at least two labels, but the data has {labels.tolist()}. Name all of "
            "them: evaluator_config={'label_list': [0, 1]}."
        )
    if probabilities is not None and (probabilities.ndim != 2 or probabilities.shape[1] != len(labels)):
        raise InvalidParameterError(
            f"The model returns probabilities of the shape {probabilities.shape} for {len(labels)} labels: "
            f"{labels.tolist()[:20]}. Name the labels of its columns: evaluator_config={{'label_list': […]}}."
        )
    if positive is None or len(labels) != 2:
        return Classes(labels, labels)
    if positive not in labels:
        raise InvalidParameterError(f"'pos_label' {positive!r} must be one of the labels {labels.tolist()}.")
    return Classes(np.append(labels[labels != positive], positive), labels)


def evaluate_classifier(evaluation: Evaluation) -> Outcome:
    """Evaluate a classifier; without probabilities, the metrics and figures that need them are left out."""
    model = evaluation.model
    probabilities = None if model is None else model.probabilities(evaluation.data.features)
    classes = find_classes(evaluation, probabilities)
    outcome = Outcome(score_of_estimator(evaluation))
    outcome.metrics |= {
        name: single(name, value) for name, value in classifier_metrics(evaluation, classes, probabilities).items()
    }
    _draw(outcome, evaluation, classes, probabilities)
    return outcome


def classifier_metrics(
    evaluation: Evaluation, classes: Classes, probabilities: "np.ndarray[Any, Any] | None"
) -> dict[str, Any]:
    """Compute MLflow's metrics of a classifier."""
    sk: Any = optional_import("sklearn.metrics", "sklearn")
    truth, weights = evaluation.truth, evaluation.weights
    average = "binary" if classes.is_binary else evaluation.config.get("average", "weighted")
    metrics = _of_labels(truth, evaluation.predicted, classes.labels, weights, average)
    if probabilities is None:
        return metrics
    metrics["log_loss"] = sk.log_loss(truth, probabilities, labels=classes.columns, sample_weight=weights)
    if classes.is_binary:
        is_positive, score = truth == classes.positive, classes.ordered(probabilities)[:, 1]
        metrics["roc_auc"] = sk.roc_auc_score(is_positive, score, sample_weight=weights)
        metrics["precision_recall_auc"] = sk.average_precision_score(is_positive, score, sample_weight=weights)
    elif average in ("macro", "weighted"):
        metrics["roc_auc"] = sk.roc_auc_score(
            truth, probabilities, labels=classes.labels, sample_weight=weights, average=average, multi_class="ovr"
        )
    return metrics


def score_of_estimator(evaluation: Evaluation) -> dict[str, MetricValue]:
    """Return ``score`` of a scikit-learn estimator, by its own ``score()``; nothing for other models."""
    model = evaluation.model
    if model is None or model.loader != "mlflow.sklearn" or not hasattr(model.native, "score"):
        return {}
    weights = {} if evaluation.weights is None else {"sample_weight": evaluation.weights}
    try:
        return {"score": single("score", model.native.score(evaluation.data.features, evaluation.truth, **weights))}
    except (AttributeError, TypeError, ValueError) as error:
        _logger.warning("The score() of this %s could not be computed: %s", type(model.native).__name__, error)
        return {}


def _of_labels(truth: Any, predicted: Any, labels: Any, weights: Any, average: str | None) -> dict[str, Any]:
    sk: Any = optional_import("sklearn.metrics", "sklearn")
    metrics: dict[str, Any] = {}
    if average == "binary":
        counts = sk.confusion_matrix(truth, predicted, labels=labels).ravel()
        names = ("true_negatives", "false_positives", "false_negatives", "true_positives")
        metrics |= dict(zip(names, counts, strict=True))
    options = {"average": average, "sample_weight": weights, "zero_division": 0.0}
    if average == "binary":
        options["pos_label"] = labels[-1]
    return {
        **metrics,
        "example_count": len(truth),
        "accuracy_score": sk.accuracy_score(truth, predicted, sample_weight=weights),
        **{f"{name}_score": getattr(sk, f"{name}_score")(truth, predicted, **options) for name in _COUNTED},
    }


_COUNTED: Final = ("recall", "precision", "f1")


def _draw(outcome: Outcome, evaluation: Evaluation, classes: Classes, probabilities: Any) -> None:
    """Add the table per class and the figures."""
    truth, weights, config = evaluation.truth, evaluation.weights, evaluation.config
    outcome.figures["confusion_matrix"] = partial(
        figures.draw_confusion_matrix, truth, evaluation.predicted, classes.labels, weights
    )
    if not classes.is_binary:
        outcome.tables["per_class_metrics"] = _per_class(evaluation, classes)
    if probabilities is None:
        return
    ordered = classes.ordered(probabilities)
    bins = {key: value for key, value in config.items() if key.startswith("calibration_")}
    outcome.figures["calibration_curve_plot"] = partial(
        figures.draw_calibration, truth, ordered, classes.labels, **_calibration(bins)
    )
    if classes.is_binary:
        outcome.figures["lift_curve_plot"] = partial(figures.draw_lift, truth, ordered, classes.labels)
    elif len(classes.labels) > config.get("max_classes_for_multiclass_roc_pr", _MOST_CURVES):
        _logger.warning("There are %d classes, so no curves per class are drawn.", len(classes.labels))
        return
    curves = [
        figures.Curves.of(truth == label, ordered[:, position], label, weights)
        for position, label in enumerate(classes.labels)
        if not classes.is_binary or position == 1
    ]
    outcome.figures["roc_curve_plot"] = partial(figures.draw_roc, curves)
    outcome.figures["precision_recall_curve_plot"] = partial(figures.draw_precision_recall, curves)
    if not classes.is_binary:
        table = outcome.tables["per_class_metrics"]
        table["roc_auc"] = [curve.roc_auc for curve in curves]
        table["precision_recall_auc"] = [curve.average_precision for curve in curves]


def _calibration(config: dict[str, Any]) -> dict[str, Any]:
    bins, name = config.get("calibration_n_bins", 10), config.get("calibration_classifier_name", "Classifier")
    if type(bins) is not int or not isinstance(name, str):
        raise InvalidParameterError("calibration_n_bins must be an integer, and calibration_classifier_name a text.")
    return {"bins": bins, "name": name}


def _per_class(evaluation: Evaluation, classes: Classes) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "positive_class": label,
                **_of_labels(
                    (evaluation.truth == label).astype(int),
                    (evaluation.predicted == label).astype(int),
                    [0, 1],
                    evaluation.weights,
                    "binary",
                ),
            }
            for label in classes.labels
        ]
    )
