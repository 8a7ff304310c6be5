"""Metrics and curves of classifiers and regressors on their training data, under MLflow's names."""

import copy
import inspect
from dataclasses import dataclass, field
from typing import Any

from registry.autologging.patching import unwrapped
from registry.autologging.training_data import dense
from registry.flavors.optional_imports import optional_import


@dataclass(frozen=True, slots=True)
class ConfusionMatrix:
    """The shares of predicted labels, a row for each true label."""

    shares: Any
    labels: list[str]


@dataclass(frozen=True, slots=True)
class Curve:
    """A curve of a binary classifier."""

    title: str
    x: Any
    y: Any
    x_label: str
    y_label: str
    label: str
    is_stepped: bool = False


@dataclass(frozen=True, slots=True)
class BinaryScores:
    """What the curves of a binary classifier are made from: copies, since they are made after the fit has returned."""

    name: str
    positive: Any
    targets: Any
    scores: Any
    weights: Any

    def roc_curve(self) -> Curve:
        """Return the ROC curve."""
        false_rate, true_rate, _ = metric_function("roc_curve")(self.targets, self.scores, **self._shared())
        area = metric_function("auc")(false_rate, true_rate)
        return Curve(
            "ROC curve",
            false_rate,
            true_rate,
            f"False Positive Rate (Positive label: {self.positive})",
            f"True Positive Rate (Positive label: {self.positive})",
            f"{self.name} (AUC = {area:0.2f})",
        )

    def precision_recall_curve(self) -> Curve:
        """Return the precision-recall curve."""
        precision, recall, _ = metric_function("precision_recall_curve")(self.targets, self.scores, **self._shared())
        average = metric_function("average_precision_score")(self.targets, self.scores, **self._shared())
        return Curve(
            "Precision recall curve",
            recall,
            precision,
            f"Recall (Positive label: {self.positive})",
            f"Precision (Positive label: {self.positive})",
            f"{self.name} (AP = {average:0.2f})",
            is_stepped=True,
        )

    def _shared(self) -> dict[str, Any]:
        return {"pos_label": self.positive, "sample_weight": self.weights}


@dataclass(slots=True)
class Classification:
    """What was measured of a classifier, from one prediction of its labels and one of probabilities."""

    confusion: ConfusionMatrix
    metrics: dict[str, float] = field(default_factory=dict)
    binary: BinaryScores | None = None
    failures: list[tuple[str, Exception]] = field(default_factory=list)

    @classmethod
    def measure(cls, estimator: Any, features: Any, targets: Any, weights: Any, *, pos_label: Any) -> "Classification":
        """Measure a fitted classifier."""
        predicted = estimator.predict(features)
        measured = cls(_confusion(estimator, targets, predicted, weights))
        average = "weighted" if pos_label is None else "binary"
        # A label that is never predicted counts 0, as by default, but without a warning.
        shared = {"pos_label": 1 if pos_label is None else pos_label, "average": average, "zero_division": 0}
        measured._add_rates(targets, predicted, sample_weight=weights, **shared)
        measured._add("accuracy_score", "accuracy_score", targets, predicted, sample_weight=weights)
        probabilities = estimator.predict_proba(features) if hasattr(estimator, "predict_proba") else None
        if probabilities is not None:
            measured._add_probabilities(probabilities, targets, weights)
        measured.binary = _binary_scores(estimator, probabilities, features, targets, weights)
        return measured

    def _add_rates(self, *args: Any, **kwargs: Any) -> None:
        """Add precision, recall and F1, which scikit-learn counts together."""
        names = ("precision_score", "recall_score", "f1_score")
        try:
            rates = metric_function("precision_recall_fscore_support")(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - as in `_add`
            self.failures += [(name, error) for name in names]
        else:
            self.metrics.update(zip(names, rates, strict=False))

    def _add(self, name: str, function: str, *args: Any, **kwargs: Any) -> None:
        try:
            self.metrics[name] = metric_function(function)(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - one metric that does not fit the data does not stop the others
            self.failures.append((name, error))

    def _add_probabilities(self, probabilities: Any, targets: Any, weights: Any) -> None:
        self._add("log_loss", "log_loss", targets, probabilities, sample_weight=weights)
        scores = probabilities[:, 1] if len(probabilities[0]) == 2 else probabilities
        shared = {"average": "weighted", "sample_weight": weights, "multi_class": "ovo"}
        self._add("roc_auc", "roc_auc_score", targets, scores, **shared)


def _binary_scores(
    estimator: Any, probabilities: Any, features: Any, targets: Any, weights: Any
) -> BinaryScores | None:
    """Return what the curves need, or None for a classifier of more classes, or without scores."""
    classes = getattr(estimator, "classes_", None)
    if classes is None or len(classes) != 2 or getattr(classes, "ndim", 1) != 1:
        return None
    if probabilities is not None:
        scores = probabilities[:, 1]
    elif hasattr(estimator, "decision_function"):
        scores = estimator.decision_function(features)
    else:
        return None
    return BinaryScores(type(estimator).__name__, classes[1], *copy.deepcopy((targets, scores, weights)))


def regression_metrics(estimator: Any, features: Any, targets: Any, weights: Any) -> dict[str, float]:
    """Measure a fitted regressor."""
    predicted = estimator.predict(features)
    metrics = {
        name: metric_function(name)(targets, predicted, sample_weight=weights)
        for name in ("mean_squared_error", "mean_absolute_error", "r2_score")
    }
    metrics["root_mean_squared_error"] = metrics["mean_squared_error"] ** 0.5
    return metrics


def plain_score(estimator: Any) -> str | None:
    """Return the metric that an estimator's ``score`` is, if it is scikit-learn's own; None for another one."""
    base = optional_import("sklearn.base", "sklearn")
    score = unwrapped(inspect.getattr_static(type(estimator), "score", None))
    if score is base.ClassifierMixin.score:
        return "accuracy_score"
    return "r2_score" if score is base.RegressorMixin.score else None


def metric_function(name: str) -> Any:
    """Return a function of `sklearn.metrics`, the original if it is patched."""
    return unwrapped(getattr(optional_import("sklearn.metrics", "sklearn"), name))


def _confusion(estimator: Any, targets: Any, predicted: Any, weights: Any) -> ConfusionMatrix:
    import numpy as np

    labels = getattr(estimator, "classes_", None)
    if labels is None:
        labels = np.unique(np.asarray(dense(targets)))
    shares = metric_function("confusion_matrix")(
        targets, predicted, labels=labels, sample_weight=weights, normalize="true"
    )
    return ConfusionMatrix(shares, [str(label) for label in labels])
