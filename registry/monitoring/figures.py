"""Draws a drift report with matplotlib, without its global state (pyplot)."""

from typing import TYPE_CHECKING, Any

from registry.flavors.optional_imports import optional_import
from registry.monitoring.report import DriftReport

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_BARS = 60


def draw_report(report: DriftReport) -> "Figure":
    """Draw the effect of each result as a share of its threshold: the largest at the top, what drifted in red."""
    figures: Any = optional_import("matplotlib.figure", "plots")
    measured = [one for one in report.results if one.effect is not None and one.threshold]
    measured.sort(key=lambda one: (one.drifted, (one.effect or 0) / (one.threshold or 1)))
    shown = measured[-_MOST_BARS:]
    figure: Figure = figures.Figure(figsize=(8, 1.2 + 0.28 * len(shown)), layout="constrained")
    axes = figure.subplots()
    axes.barh(
        [f"{one.role} {one.column}, {one.detector}{one.segment and f' ({one.segment})'}" for one in shown],
        [min(10.0, (one.effect or 0) / (one.threshold or 1)) for one in shown],
        color=["#b00020" if one.drifted else "#8aa0b8" for one in shown],
    )
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xlabel("effect / threshold")
    axes.set_title(f"{report.name} version {report.version} against {report.against}, {report.rows:,} rows")
    return figure
