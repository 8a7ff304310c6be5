"""The table of a comparison: a DataFrame that draws its metrics."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from registry.exceptions import InvalidParameterError, MissingDependencyError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ACROSS: Final = 3
_BEST: Final = "tab:blue"
_OTHERS: Final = "lightgray"
_SUMMARY: Final = {"difference": "float64", "better": "object", "best": "object"}


class Comparison(pd.DataFrame):
    """A DataFrame with a row per param and metric, and a column per run or version; parts of it are plain DataFrames.

    See `registry.compare` for what stands in it.
    """

    @classmethod
    def of(cls, names: Sequence[str], rows: Mapping[str, Mapping[str, Any]]) -> "Comparison":
        """The table of these rows; `names` are the columns that are compared."""
        kinds = {**dict.fromkeys(names, "object"), **_SUMMARY}
        return cls(
            {
                name: pd.Series([row.get(name) for row in rows.values()], index=list(rows), dtype=kind)
                for name, kind in kinds.items()
            }
        )

    def plot(self, metrics: Iterable[str] | None = None) -> "Figure":  # type: ignore[override]  # pandas has many plots
        """Bars for each metric, or for some, with the best ones in colour, as a matplotlib figure.

        Raises:
            InvalidParameterError: there is no such metric, or none that has a finite number.
            MissingDependencyError: matplotlib is not installed.
        """
        try:
            from matplotlib.figure import Figure
        except ImportError as error:
            raise MissingDependencyError("Plots need matplotlib: pip install 'registry[plots]'.") from error
        drawn = self._drawn(metrics)
        down, across = math.ceil(len(drawn) / _ACROSS), min(len(drawn), _ACROSS)
        figure = Figure(figsize=(2 + 3 * across, 1 + down * (0.5 + 0.3 * len(self.columns))), layout="constrained")
        panels = figure.subplots(down, across, squeeze=False, sharey=True).flatten()
        for name, panel in zip(drawn, panels, strict=False):
            self._draw(name, panel)
        panels[0].invert_yaxis()
        for unused in panels[len(drawn) :]:
            unused.remove()
        return figure

    def _drawn(self, metrics: Iterable[str] | None) -> list[str]:
        known = [name for name in self.index if name.startswith("metrics.")]
        there = [name for name in known if not all(map(math.isnan, self._bars(name).values()))]
        wanted = there if metrics is None else [f"metrics.{key}" for key in metrics]
        for name in wanted:
            if name not in there:
                raise InvalidParameterError(f"There is no number of {name!r} to draw; there are {', '.join(there)}.")
        if not wanted:
            raise InvalidParameterError("No metric of this comparison has a number to draw.")
        return wanted

    def _bars(self, name: str) -> dict[str, float]:
        """What is compared, with the value of a metric; NaN where there is none to draw."""
        row = {str(column): value for column, value in self.loc[name].items() if column not in _SUMMARY}
        return {each: _drawable(value) for each, value in row.items()}

    def _draw(self, name: str, panel: "Axes") -> None:
        bars = self._bars(name)
        numbers = sorted(value for value in bars.values() if not math.isnan(value))
        better = self["better"].to_dict()[name]
        top = numbers[0 if better == "lower" else -1] if numbers[0] < numbers[-1] else None
        panel.barh(range(len(bars)), list(bars.values()), color=[_BEST if v == top else _OTHERS for v in bars.values()])
        panel.set_yticks(range(len(bars)), labels=list(bars))
        panel.set_title(f"{name.removeprefix('metrics.')} ({better} is better)")


def _drawable(value: object) -> float:
    return value if isinstance(value, float) and math.isfinite(value) else math.nan
