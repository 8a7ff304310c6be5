"""The table of a comparison: a DataFrame that draws its metrics."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from registry.client.base import ClientBase
from registry.client.models.loading import resolve
from registry.distribution import install_command
from registry.entities import Run
from registry.entities.model_registry import ModelVersion
from registry.exceptions import InvalidParameterError, InvalidTypeError, InvalidUriError, MissingDependencyError
from registry.uris import parse_models
from registry.validation.names import check_run_id

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


# Words in the name of a metric that is better when it is lower.
_LOWER: Final = frozenset(
    "loss logloss cost err error errors mae mse rmse mape smape rmsle msle perplexity brier deviance "
    "duration latency time seconds ms".split()
)
# Names of columns beside those of what is compared; ``field`` is the command line's.
TAKEN: Final = ("difference", "better", "best", "field")
_WORDS: Final = re.compile(r"[a-z]+")


@dataclass(frozen=True, slots=True)
class ComparedRun:
    """A run, and the name of its column."""

    name: str
    run: Run


class ComparisonMethods(ClientBase):
    """What a client puts side by side."""

    def compare(
        self, runs_or_versions: Iterable[str | Run | ModelVersion], *, lower_is_better: Iterable[str] | None = None
    ) -> "Comparison":
        """Runs or model versions side by side (see `registry.compare`).

        Raises:
            NotFoundError: no such run or version.
            InvalidParameterError: there is nothing to compare, or a version came from no run.
        """
        if isinstance(runs_or_versions, str) or not isinstance(runs_or_versions, Iterable):
            raise InvalidTypeError(
                f"compare takes a list of runs, run ids, versions or URIs, got {runs_or_versions!r}."
            )
        compared = _with_names([self._compared(one) for one in runs_or_versions])
        if not compared:
            raise InvalidParameterError("There is nothing to compare; name two runs or versions.")
        lower = None if lower_is_better is None else frozenset(lower_is_better)
        return Comparison.of([one.name for one in compared], _rows(compared, lower))

    def _compared(self, one: str | Run | ModelVersion) -> "ComparedRun":
        if isinstance(one, str) and one.partition(":")[0].lower() == "models":
            found = resolve(self.backend, parse_models(one))
            if found.name is None or found.version is None:
                raise InvalidUriError(f"{one!r} is no version of a registered model; name its run instead.")
            one = self.backend.versions.get(found.name, found.version)
        if isinstance(one, ModelVersion):
            if not one.run_id:
                raise InvalidParameterError(
                    f"Version {one.version} of {one.name!r} came from no run, so there is nothing to compare."
                )
            return ComparedRun(f"{one.name}/{one.version}", self.backend.runs.get(one.run_id))
        # Read anew: a run at hand may be older than what was logged to it.
        run = self.backend.runs.get(check_run_id(one.info.run_id if isinstance(one, Run) else one))
        return ComparedRun(run.info.run_name, run)


def _with_names(found: Iterable[ComparedRun]) -> list[ComparedRun]:
    """Each once, under its name, or under its run's id where others have the name too."""
    different = list({(one.name, one.run.info.run_id): one for one in found}.values())
    often = Counter([*(one.name for one in different), *TAKEN])
    return [one if one.name and often[one.name] == 1 else replace(one, name=one.run.info.run_id) for one in different]


def _rows(compared: Sequence[ComparedRun], lower: frozenset[str] | None) -> dict[str, dict[str, Any]]:
    """The rows of the table, by name."""
    rows: dict[str, dict[str, Any]] = {}
    for key in sorted({key for one in compared for key in one.run.data.params}):
        settings = {one.name: one.run.data.params.get(key) for one in compared}
        if len(set(settings.values())) > 1:
            rows[f"params.{key}"] = settings
    for key in sorted({key for one in compared for key in one.run.data.metrics}):
        values = {one.name: one.run.data.metrics[key] for one in compared if key in one.run.data.metrics}
        falls = _is_better_lower(key) if lower is None else key in lower
        rows[f"metrics.{key}"] = {**values, **_judged(values, falls=falls)}
    return rows


def _judged(values: Mapping[str, float], *, falls: bool) -> dict[str, Any]:
    """What the numbers say together; NaN is no number, and where all are equal none is best."""
    numbers = {name: value for name, value in values.items() if not math.isnan(value)}
    least, greatest = min(numbers.values(), default=math.nan), max(numbers.values(), default=math.nan)
    top = least if falls else greatest
    best = [name for name, value in numbers.items() if value == top]
    return {
        "difference": greatest - least if len(numbers) > 1 else math.nan,
        "better": "lower" if falls else "higher",
        "best": ", ".join(best) if least < greatest else None,
    }


def _is_better_lower(key: str) -> bool:
    return not _LOWER.isdisjoint(_WORDS.findall(key.lower()))


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
            raise MissingDependencyError(f"Plots need matplotlib: {install_command('plots')}.") from error
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
