"""Comparing runs or versions: which params differ, and which of them has the best metrics.

Owns whom a comparison is about and what is best; leaves the table and its plot to `comparison`. Invariant: a run is
compared once, however it was named, and every column has a name of its own.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from registry.client.base import ClientBase
from registry.client.loading import resolve
from registry.entities import Run
from registry.entities.model_registry import ModelVersion
from registry.entities.naming import check_run_id
from registry.exceptions import InvalidParameterError, InvalidTypeError, InvalidUriError
from registry.uris import parse_models

if TYPE_CHECKING:
    from registry.client.comparison import Comparison

# Words in the name of a metric that is better when it is lower.
_LOWER: Final = frozenset(
    "loss logloss cost err error errors mae mse rmse mape smape rmsle msle perplexity brier deviance "
    "duration latency time seconds ms".split()
)
# Names of columns beside those of what is compared; ``field`` is the command line's.
TAKEN: Final = ("difference", "better", "best", "field")
_WORDS: Final = re.compile(r"[a-z]+")


@dataclass(frozen=True, slots=True)
class Compared:
    """A run, and the name of its column."""

    name: str
    run: Run


class ComparingMethods(ClientBase):
    """What a client puts side by side."""

    def compare(
        self, runs_or_versions: Iterable[str | Run | ModelVersion], *, lower_is_better: Iterable[str] | None = None
    ) -> "Comparison":
        """Runs or model versions side by side (see `registry.compare`).

        Raises:
            NotFoundError: no such run or version.
            InvalidParameterError: there is nothing to compare, or a version came from no run.
        """
        from registry.client.comparison import Comparison

        if isinstance(runs_or_versions, str) or not isinstance(runs_or_versions, Iterable):
            raise InvalidTypeError(
                f"compare takes a list of runs, run ids, versions or URIs, got {runs_or_versions!r}."
            )
        compared = _with_names([self._compared(one) for one in runs_or_versions])
        if not compared:
            raise InvalidParameterError("There is nothing to compare; name two runs or versions.")
        lower = None if lower_is_better is None else frozenset(lower_is_better)
        return Comparison.of([one.name for one in compared], _rows(compared, lower))

    def _compared(self, one: str | Run | ModelVersion) -> "Compared":
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
            return Compared(f"{one.name}/{one.version}", self.backend.runs.get(one.run_id))
        # Read anew: a run at hand may be older than what was logged to it.
        run = self.backend.runs.get(check_run_id(one.info.run_id if isinstance(one, Run) else one))
        return Compared(run.info.run_name, run)


def _with_names(found: Iterable[Compared]) -> list[Compared]:
    """Each once, under its name, or under its run's id where others have the name too."""
    different = list({(one.name, one.run.info.run_id): one for one in found}.values())
    often = Counter([*(one.name for one in different), *TAKEN])
    return [one if one.name and often[one.name] == 1 else replace(one, name=one.run.info.run_id) for one in different]


def _rows(compared: Sequence[Compared], lower: frozenset[str] | None) -> dict[str, dict[str, Any]]:
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
