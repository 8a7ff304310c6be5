"""Client method that compares runs or versions."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from registry.client.base import ClientBase
from registry.client.models.loading import find_version
from registry.entities import Run
from registry.exceptions import InvalidParameterError, InvalidTypeError, InvalidUriError
from registry.uris import parse_models
from registry.validation.names import check_run_id

if TYPE_CHECKING:
    from registry.client.registry.comparison_frame import Comparison
    from registry.entities.model_registry import ModelVersion


# A metric with one of these words in its name is better when lower.
_LOWER_IS_BETTER: Final = frozenset(
    "loss logloss cost err error errors mae mse rmse mape smape rmsle msle perplexity brier deviance "
    "duration latency time seconds ms".split()
)
# Names that a column of a run cannot have; the command line adds ``field``.
TAKEN: Final = ("difference", "better", "best", "field")
_WORDS: Final = re.compile(r"[a-z]+")


@dataclass(frozen=True, slots=True)
class ComparedRun:
    """A run and the name of its column."""

    name: str
    run: Run


class ComparisonMethods(ClientBase):
    """Client methods that compare runs and versions."""

    def compare(
        self, runs_or_versions: Iterable["str | Run | ModelVersion"], *, lower_is_better: Iterable[str] | None = None
    ) -> "Comparison":
        """Compare runs or model versions in one table: the params that differ, and all metrics.

        Args:
            runs_or_versions: Runs, run ids, versions, or URIs such as ``models:/churn/Production``. A version stands
                for its run.
            lower_is_better: Names of the metrics that are better when lower. Default: those whose name has a word such
                as ``loss``, ``error``, ``rmse`` or ``seconds``.

        Returns:
            A DataFrame with one row per ``params.<key>`` and ``metrics.<key>``, one column per run, and the columns
            ``difference`` (greatest minus least), ``better`` (``higher`` or ``lower``) and ``best`` (the best column).
            ``.plot()`` draws the metrics as bars.

        Raises:
            InvalidParameterError: The list is empty, or a version has no run.
            InvalidUriError: A URI names a logged model that is no version.
            NotFoundError: A run or version does not exist.

        Example:
            >>> client.compare(["models:/churn/1", "models:/churn/2"])
                             churn/1 churn/2  difference  better     best
            params.max_depth       2       3         NaN    None     None
            metrics.auc         0.76    0.78        0.02  higher  churn/2
            metrics.logloss      0.5    0.45        0.05   lower  churn/2
        """
        if isinstance(runs_or_versions, str) or not isinstance(runs_or_versions, Iterable):
            raise InvalidTypeError(
                f"compare takes a list of runs, run ids, versions or URIs, got {runs_or_versions!r}."
            )
        named = [self._run_of(run_or_version) for run_or_version in runs_or_versions]
        if not named:
            raise InvalidParameterError("There is nothing to compare; name two runs or versions.")
        # Read runs that are given as objects too: they may be older than what was logged since.
        runs = self.backend.runs.get_all([run_id for _, run_id in named])
        compared = _with_names(
            ComparedRun(run.info.run_name if name is None else name, run)
            for (name, _), run in zip(named, runs, strict=True)
        )
        lower = None if lower_is_better is None else frozenset(lower_is_better)
        from registry.client.registry.comparison_frame import Comparison

        return Comparison.of([column.name for column in compared], _rows(compared, lower))

    def _run_of(self, item: "str | Run | ModelVersion") -> tuple[str | None, str]:
        """Return the name of a version, None for a run, and the id of the run."""
        from registry.entities.model_registry import ModelVersion

        if isinstance(item, str) and item.partition(":")[0].lower() == "models":
            version = find_version(self.backend, parse_models(item))
            if version is None:
                raise InvalidUriError(f"{item!r} is no version of a registered model; name its run instead.")
            item = version
        if isinstance(item, ModelVersion):
            if not item.run_id:
                raise InvalidParameterError(
                    f"Version {item.version} of {item.name!r} came from no run, so there is nothing to compare."
                )
            return f"{item.name}/{item.version}", item.run_id
        return None, check_run_id(item.info.run_id if isinstance(item, Run) else item)


def _with_names(compared: Iterable[ComparedRun]) -> list[ComparedRun]:
    """Drop repeated runs, and name columns by run id where names are missing or shared."""
    distinct = list({(column.name, column.run.info.run_id): column for column in compared}.values())
    uses = Counter([*(column.name for column in distinct), *TAKEN])
    return [
        column if column.name and uses[column.name] == 1 else replace(column, name=column.run.info.run_id)
        for column in distinct
    ]


def _rows(compared: Sequence[ComparedRun], lower: frozenset[str] | None) -> dict[str, dict[str, Any]]:
    """Return the rows of the table, by name."""
    rows: dict[str, dict[str, Any]] = {}
    for key in sorted({key for column in compared for key in column.run.data.params}):
        params = {column.name: column.run.data.params.get(key) for column in compared}
        if len(set(params.values())) > 1:
            rows[f"params.{key}"] = params
    for key in sorted({key for column in compared for key in column.run.data.metrics}):
        values = {column.name: column.run.data.metrics[key] for column in compared if key in column.run.data.metrics}
        is_lower_better = prefers_lower(key) if lower is None else key in lower
        rows[f"metrics.{key}"] = {**values, **_summary(values, is_lower_better=is_lower_better)}
    return rows


def _summary(values: Mapping[str, float], *, is_lower_better: bool) -> dict[str, Any]:
    """Return difference, direction and best of some values. NaN is ignored; equal values have no best."""
    numbers = {name: value for name, value in values.items() if not math.isnan(value)}
    least, greatest = min(numbers.values(), default=math.nan), max(numbers.values(), default=math.nan)
    top = least if is_lower_better else greatest
    best = [name for name, value in numbers.items() if value == top]
    return {
        "difference": greatest - least if len(numbers) > 1 else math.nan,
        "better": "lower" if is_lower_better else "higher",
        "best": ", ".join(best) if least < greatest else None,
    }


def prefers_lower(key: str) -> bool:
    """Tell by a word in a metric's name, such as ``loss`` or ``seconds``, whether it is better when lower."""
    return not _LOWER_IS_BETTER.isdisjoint(_WORDS.findall(key.lower()))
