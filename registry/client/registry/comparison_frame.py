"""The DataFrame that `MlflowClient.compare` returns, and how it plots its metrics; pandas is needed for it alone."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from registry.exceptions import InvalidParameterError, MissingDependencyError
from registry.package_name import install_command

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PLOTS_PER_ROW: Final = 3
_BEST: Final = "tab:blue"
_OTHERS: Final = "lightgray"
_SUMMARY: Final = {"difference": "float64", "better": "object", "best": "object"}


class Comparison(pd.DataFrame):
    """A DataFrame with a row per param and metric, and a column per run or version; parts of it are plain DataFrames.

    `MlflowClient.compare` describes the columns.
    """

    @classmethod
    def of(cls, names: Sequence[str], rows: Mapping[str, Mapping[str, Any]]) -> "Comparison":
        """Make the table of some rows; `names` are the compared columns."""
        kinds = {**dict.fromkeys(names, "object"), **_SUMMARY}
        return cls(
            {
                name: pd.Series([row.get(name) for row in rows.values()], index=list(rows), dtype=kind)
                for name, kind in kinds.items()
            }
        )

    def plot(self, metrics: Iterable[str] | None = None) -> "Figure":  # type: ignore[override]  # pandas has many plots
        """Draw bars for each metric as a matplotlib figure, the best ones in colour.

        Args:
            metrics: Names of metrics; None for all that have a finite value.

        Returns:
            The figure.

        Raises:
            InvalidParameterError: A metric is missing, or none has a finite value.
            MissingDependencyError: matplotlib is not installed.
        """
        try:
            from matplotlib.figure import Figure
        except ImportError as error:
            raise MissingDependencyError(f"Plots need matplotlib: {install_command('plots')}.") from error
        names = self._select_metrics(metrics)
        rows, columns = math.ceil(len(names) / _PLOTS_PER_ROW), min(len(names), _PLOTS_PER_ROW)
        figure = Figure(figsize=(2 + 3 * columns, 1 + rows * (0.5 + 0.3 * len(self.columns))), layout="constrained")
        panels = figure.subplots(rows, columns, squeeze=False, sharey=True).flatten()
        for name, panel in zip(names, panels, strict=False):
            self._draw(name, panel)
        panels[0].invert_yaxis()
        for unused in panels[len(names) :]:
            unused.remove()
        return figure

    def _select_metrics(self, metrics: Iterable[str] | None) -> list[str]:
        all_metrics = [name for name in self.index if name.startswith("metrics.")]
        drawable = [name for name in all_metrics if not all(map(math.isnan, self._bars(name).values()))]
        selected = drawable if metrics is None else [f"metrics.{key}" for key in metrics]
        for name in selected:
            if name not in drawable:
                raise InvalidParameterError(f"There is no number of {name!r} to draw; there are {', '.join(drawable)}.")
        if not selected:
            raise InvalidParameterError("No metric of this comparison has a number to draw.")
        return selected

    def _bars(self, name: str) -> dict[str, float]:
        """Return the value of a metric per column; NaN where it has no finite value."""
        row = {str(column): value for column, value in self.loc[name].items() if column not in _SUMMARY}
        return {
            column: value if isinstance(value, float) and math.isfinite(value) else math.nan
            for column, value in row.items()
        }

    def _draw(self, name: str, panel: "Axes") -> None:
        bars = self._bars(name)
        numbers = sorted(value for value in bars.values() if not math.isnan(value))
        better = self["better"].to_dict()[name]
        top = numbers[0 if better == "lower" else -1] if numbers[0] < numbers[-1] else None
        panel.barh(range(len(bars)), list(bars.values()), color=[_BEST if v == top else _OTHERS for v in bars.values()])
        panel.set_yticks(range(len(bars)), labels=list(bars))
        panel.set_title(f"{name.removeprefix('metrics.')} ({better} is better)")
