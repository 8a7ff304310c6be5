"""What was logged, side by side: whole series for plots, and runs or versions compared."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from registry.entities import Run
from registry.entities.model_registry import ModelVersion
from registry.fluent import state

if TYPE_CHECKING:
    import pandas as pd

    from registry.client.comparison import Comparison


def metric_history(
    run_ids: str | Iterable[str], keys: str | Iterable[str] | None = None, *, max_points: int | None = None
) -> "pd.DataFrame":
    """The points of some metrics, or of all, of one or many runs, as one DataFrame.

    Columns: run_id, key, step (int64), timestamp (UTC), value (float64); a row per point, ordered by run, key, step.
    With `max_points` the database answers a longer series with a sample of at most so many points that has its extremes
    (see `MlflowClient.get_metric_history_frame`): enough for a plot.

    Raises:
        RunNotFoundError: no such run. A metric that a run does not have is no error.
        InvalidParameterError: `max_points` is no whole number of at least 15.
    """
    return state.client().get_metric_history_frame(run_ids, keys, max_points=max_points)


def compare(
    runs_or_versions: Iterable[str | Run | ModelVersion], *, lower_is_better: Iterable[str] | None = None
) -> "Comparison":
    """Runs or model versions side by side: the params that differ, and all metrics with the best one marked.

    Each is a run or its id, a version, or a URI such as ``models:/churn/Production``; a version stands for its run.
    There is a row for each param, ``params.<key>``, and metric, ``metrics.<key>``, and a column for each of what is
    compared, then ``difference`` (of the greatest and the least), ``better`` (``higher`` or ``lower``) and ``best``
    (the column that has the best value). `lower_is_better` names the metrics that are better when lower; without it
    those are whose name speaks of a loss, an error or a duration. ``.plot()`` draws the metrics as bars.

    Raises:
        NotFoundError: no such run or version.
        InvalidParameterError: there is nothing to compare, or a version came from no run.
    """
    return state.client().compare(runs_or_versions, lower_is_better=lower_is_better)
