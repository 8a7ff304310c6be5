"""Metrics and curves of classifiers and regressors on their training data, under MLflow's names."""

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

    file_name: str
    title: str
    x: Any
    y: Any
    x_label: str
    y_label: str
    label: str
    is_stepped: bool = False


@dataclass(slots=True)
class Classification:
    """What was measured of a classifier, from one prediction of its labels and one of probabilities."""

    confusion: ConfusionMatrix
    metrics: dict[str, float] = field(default_factory=dict)
    curves: list[Curve] = field(default_factory=list)
    failures: list[tuple[str, Exception]] = field(default_factory=list)

    @classmethod
    def measure(cls, estimator: Any, features: Any, targets: Any, weights: Any, *, pos_label: Any) -> "Classification":
        """Measure a fitted classifier."""
        predicted = estimator.predict(features)
        measured = cls(_confusion(estimator, targets, predicted, weights))
        average = "weighted" if pos_label is None else "binary"
        # A label that is never predicted counts 0, as by default, but without a warning.
        shared = {"pos_label": 1 if pos_label is None else pos_label, "average": average, "zero_division": 0}
        for name in ("precision_score", "recall_score", "f1_score"):
            measured._add(name, name, targets, predicted, sample_weight=weights, **shared)
        measured._add("accuracy_score", "accuracy_score", targets, predicted, sample_weight=weights)
        probabilities = estimator.predict_proba(features) if hasattr(estimator, "predict_proba") else None
        if probabilities is not None:
            measured._add_probabilities(probabilities, targets, weights)
        measured._add_curves(estimator, probabilities, features, targets, weights)
        return measured

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

    def _add_curves(self, estimator: Any, probabilities: Any, features: Any, targets: Any, weights: Any) -> None:
        classes = getattr(estimator, "classes_", None)
        if classes is None or len(classes) != 2 or getattr(classes, "ndim", 1) != 1:
            return
        if probabilities is not None:
            scores = probabilities[:, 1]
        elif hasattr(estimator, "decision_function"):
            scores = estimator.decision_function(features)
        else:
            return
        name, positive = type(estimator).__name__, classes[1]
        shared = {"pos_label": positive, "sample_weight": weights}
        false_rate, true_rate, _ = metric_function("roc_curve")(targets, scores, **shared)
        area = metric_function("auc")(false_rate, true_rate)
        self.curves.append(
            Curve(
                "roc_curve",
                "ROC curve",
                false_rate,
                true_rate,
                f"False Positive Rate (Positive label: {positive})",
                f"True Positive Rate (Positive label: {positive})",
                f"{name} (AUC = {area:0.2f})",
            )
        )
        precision, recall, _ = metric_function("precision_recall_curve")(targets, scores, **shared)
        average = metric_function("average_precision_score")(targets, scores, **shared)
        self.curves.append(
            Curve(
                "precision_recall_curve",
                "Precision recall curve",
                recall,
                precision,
                f"Recall (Positive label: {positive})",
                f"Precision (Positive label: {positive})",
                f"{name} (AP = {average:0.2f})",
                is_stepped=True,
            )
        )


def regression_metrics(estimator: Any, features: Any, targets: Any, weights: Any) -> dict[str, float]:
    """Measure a fitted regressor."""
    predicted = estimator.predict(features)
    metrics = {
        name: metric_function(name)(targets, predicted, sample_weight=weights)
        for name in ("mean_squared_error", "mean_absolute_error", "r2_score")
    }
    metrics["root_mean_squared_error"] = metrics["mean_squared_error"] ** 0.5
    return metrics


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
