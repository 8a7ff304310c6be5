"""Charts of importances and of classification. They are drawn without pyplot, whose figures belong to the user."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from registry.flavors.optional_imports import optional_import

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from registry.autologging.classification import ConfusionMatrix, Curve


def importance_chart(importances: Mapping[str, Any], kind: str) -> "Figure":
    """Draw a bar for each feature; several, one per class, if its importance is a list."""
    import numpy as np

    values = np.array([np.atleast_1d(value) for value in importances.values()], dtype=float)
    order = np.argsort(np.abs(values).sum(axis=1))
    names, values = np.array(list(importances))[order], values[order]
    features, classes = values.shape
    height = 4.8 + (0.1 * features if features > 10 else 0) + (0.1 * classes if classes > 1 else 0)
    longest = max(map(len, map(str, names)), default=0)
    figure, axes = _figure(6.4, height, left=min(0.7 + 0.09 * longest, 3.2))
    rows = np.arange(features)
    offsets = np.linspace(-0.25, 0.25, classes) if classes > 1 else [0.0]
    for position, offset in enumerate(offsets):
        axes.barh(
            rows + offset,
            values[:, position],
            height=0.5 / max(classes - 1, 1),
            label=f"Class {position}" if classes > 1 else None,
        )
    axes.set_yticks(rows, names)
    axes.set_xlabel("Importance")
    axes.set_title(f"Feature Importance ({kind})")
    if classes > 1:
        axes.legend()
    return figure


def confusion_chart(matrix: "ConfusionMatrix") -> "Figure":
    """Draw a confusion matrix whose rows add up to 1."""
    shares, labels = matrix.shares, matrix.labels
    longest = max(map(len, labels), default=0)
    figure, axes = _figure(6.0, 4.0, dpi=175, left=min(0.7 + 0.07 * longest, 2.5))
    size = min(8.0, 50.0 / max(len(labels), 1))
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes)
    if len(labels) <= 50:  # beyond, the figures could not be read
        for row, shares_of_row in enumerate(shares):
            for column, share in enumerate(shares_of_row):
                color = "white" if share > 0.5 else "black"
                axes.text(column, row, f"{share:.2g}", ha="center", va="center", color=color, fontsize=size)
    ticks = range(len(labels))
    axes.set_xticks(ticks, labels, fontsize=size)
    axes.set_yticks(ticks, labels, fontsize=size)
    axes.set_xlabel("Predicted label", fontsize=8)
    axes.set_ylabel("True label", fontsize=8)
    axes.set_title("Normalized confusion matrix", fontsize=8)
    return figure


def curve_chart(curve: "Curve") -> "Figure":
    """Draw a ROC curve or a precision-recall curve."""
    figure, axes = _figure(6.4, 4.8, dpi=175)
    style = "steps-post" if curve.is_stepped else "default"
    axes.plot(curve.x, curve.y, drawstyle=style, label=curve.label)
    axes.set(xlabel=curve.x_label, ylabel=curve.y_label, title=curve.title, xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    axes.set_aspect("equal")
    axes.legend(fontsize=8)
    return figure


def _figure(width: float, height: float, dpi: int = 100, left: float = 0.8) -> "tuple[Figure, Any]":
    """Return a figure, and axes with fixed margins in inches: to compute them costs as much as to draw."""
    figure = optional_import("matplotlib.figure", "plots").Figure(figsize=(width, height), dpi=dpi)
    figure.subplots_adjust(left / width, 0.6 / height, 1 - 0.3 / width, 1 - 0.4 / height)
    return figure, figure.add_subplot()
