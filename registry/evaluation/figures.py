"""Draws the figures of evaluations with matplotlib, without its global state (pyplot)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from registry.flavors.optional_imports import optional_import

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = "np.ndarray[Any, Any]"


@dataclass(frozen=True, slots=True)
class Curves:
    """The ROC and precision-recall curves of one class against all others."""

    label: Any
    false_positives: Any
    true_positives: Any
    roc_auc: float
    recall: Any
    precision: Any
    average_precision: float

    @classmethod
    def of(cls, is_positive: Any, score: Any, label: Any, weights: Any) -> "Curves":
        """Compute both curves with scikit-learn."""
        sk: Any = optional_import("sklearn.metrics", "sklearn")
        false_positives, true_positives, _ = sk.roc_curve(is_positive, score, sample_weight=weights)
        precision, recall, _ = sk.precision_recall_curve(is_positive, score, sample_weight=weights)
        return cls(
            label,
            false_positives,
            true_positives,
            float(sk.roc_auc_score(is_positive, score, sample_weight=weights)),
            recall,
            precision,
            float(sk.average_precision_score(is_positive, score, sample_weight=weights)),
        )


def draw_roc(curves: Sequence[Curves]) -> "Figure":
    """Draw ROC curves, with the diagonal of a guess."""
    lines = [(one.label, one.false_positives, one.true_positives, f"AUC={one.roc_auc:.3f}") for one in curves]
    return _draw_curves("ROC curve", "False Positive Rate", "True Positive Rate", lines, ([0, 1], [0, 1]))


def draw_precision_recall(curves: Sequence[Curves]) -> "Figure":
    """Draw precision-recall curves."""
    lines = [(one.label, one.recall, one.precision, f"AP={one.average_precision:.3f}") for one in curves]
    return _draw_curves("Precision recall curve", "Recall", "Precision", lines, ([0, 1], [1, 0]))


def draw_confusion_matrix(truth: Any, predicted: Any, labels: Any, weights: Any) -> "Figure":
    """Draw the confusion matrix; each row adds up to 1."""
    sk: Any = optional_import("sklearn.metrics", "sklearn")
    figure, axes = _figure("Normalized confusion matrix")
    matrix = sk.confusion_matrix(truth, predicted, labels=labels, normalize="true", sample_weight=weights)
    size = min(8, max(50 // len(labels), 2))
    display = sk.ConfusionMatrixDisplay(matrix, display_labels=labels)
    display.plot(cmap="Blues", ax=axes, text_kw={"fontsize": size}, include_values=len(labels) <= 30)
    axes.tick_params(labelsize=size)
    return figure


def draw_calibration(truth: Any, probabilities: Any, labels: Any, *, bins: int, name: str) -> "Figure":
    """Draw how often a class occurs where it was predicted with some probability."""
    calibration: Any = optional_import("sklearn.calibration", "sklearn")
    figure, axes = _figure(f"{name} Calibration", "Mean Predicted Probability", "Fraction of Positives")
    axes.plot([0, 1], [0, 1], linestyle="dotted", color="black", label="Perfectly calibrated")
    for position, label in enumerate(labels):
        if len(labels) > 2 or position == 1:
            score = np.clip(probabilities[:, position], 0, 1)
            share, mean = calibration.calibration_curve(truth == label, score, n_bins=bins)
            axes.plot(mean, share, marker="o", markersize=3, label=f"Class {label}")
    _legend(axes, len(labels))
    return figure


def draw_lift(truth: Any, probabilities: Any, labels: Any) -> "Figure":
    """Draw how many times more of a class are among those with its highest scores than among all."""
    figure, axes = _figure("Lift Curve", "Share of the sample", "Lift")
    for position, label in enumerate(labels):
        share, lift = lift_curve(truth == label, probabilities[:, position])
        axes.plot(share, lift, linewidth=2, label=f"Class {label}{' (positive)' if position == 1 else ''}")
    axes.plot([0, 1], [1, 1], "k--", linewidth=1, label="Baseline")
    axes.grid(True)
    _legend(axes, 2)
    return figure


def lift_curve(is_positive: Any, score: Any) -> tuple[Any, Any]:
    """Return the shares 1/n … 1 of the sample, by score from the highest, and the lift of each."""
    found = np.cumsum(is_positive[np.argsort(score)[::-1]]) / max(is_positive.sum(), 1)
    share = np.arange(1, len(score) + 1) / len(score)
    return share, found / share


def draw_residuals(truth: Any, predicted: Any) -> "Figure":
    """Draw what is left of the targets after the predictions."""
    figure, axes = _figure("Residuals", "Prediction", "Target minus prediction")
    axes.scatter(predicted, truth - predicted, s=6, alpha=0.5)
    axes.axhline(0, linestyle="dashed", color="gray")
    return figure


def draw_differences(names: Sequence[str], values: Any, low: Any, high: Any, what: str) -> "Figure":
    """Draw differences with their intervals, one row each, and the line of no difference."""
    figure, axes = _figure(what, "Difference")
    rows = np.arange(len(names))[::-1]
    axes.errorbar(values, rows, xerr=[np.subtract(values, low), np.subtract(high, values)], fmt="o", capsize=4)
    axes.axvline(0, linestyle="dashed", color="gray")
    axes.set_yticks(rows, labels=list(names))
    axes.set_ylim(-0.5, len(names) - 0.5)
    return figure


def _figure(title: str, x: str | None = None, y: str | None = None) -> "tuple[Figure, Axes]":
    matplotlib: Any = optional_import("matplotlib.figure", "plots")
    figure = matplotlib.Figure(figsize=(6.0, 4.0), dpi=175, layout="constrained")
    axes = figure.subplots()
    axes.set_title(title)
    if x is not None:
        axes.set_xlabel(x)
    if y is not None:
        axes.set_ylabel(y)
    return figure, axes


def _draw_curves(
    title: str, x: str, y: str, lines: Sequence[tuple[Any, Any, Any, str]], guess: tuple[list[int], list[int]]
) -> "Figure":
    positive = f" (Positive label: {lines[0][0]})" if len(lines) == 1 else ""
    figure, axes = _figure(title, x + positive, y + positive)
    for label, data_x, data_y, area in lines:
        name = area if len(lines) == 1 else f"label={label},{area}"
        axes.plot(data_x, data_y, drawstyle="steps-post", linewidth=1, label=name)
    axes.plot(*guess, color="gray", alpha=0.3, linestyle="dashed")
    _legend(axes, len(lines))
    return figure


def _legend(axes: "Axes", lines: int) -> None:
    if lines > 3:
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    else:
        axes.legend(loc="best")
