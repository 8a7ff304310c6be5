"""Module-level functions that return histories and comparisons as DataFrames.

Guarantees: columns and their types are the same with and without rows; times are in UTC with microseconds.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from registry.entities import Run
from registry.entities.history import moment_of
from registry.entities.model_registry import ModelVersion
from registry.fluent import state
from registry.store.registry.verify_history import VerificationReport

if TYPE_CHECKING:
    import pandas as pd

    from registry.client.registry.comparison_frame import Comparison


_TIME = "datetime64[us, UTC]"
_HISTORY = {
    "model_uid": "object",
    "seq": "int64",
    "time": _TIME,
    "kind": "object",
    "version": "Int64",
    "from": "object",
    "to": "object",
    "actor": "object",
    "session_user": "object",
    "reason": "object",
    "details": "object",
    "hash": "object",
}
_HOLDERS = {
    "model_uid": "object",
    "stage": "object",
    "version": "int64",
    "since": _TIME,
    "until": _TIME,
    "actor": "object",
    "reason": "object",
}


def history(
    name: str,
    *,
    version: int | str | None = None,
    kind: str | Sequence[str] | None = None,
    since: datetime | str | None = None,
    until: datetime | str | None = None,
) -> "pd.DataFrame":
    """Return the events of a registered model as a DataFrame, oldest first.

    Args:
        name: The model's name, now or at any time before.
        version: Only events of this version.
        kind: Only events of this kind or these kinds, such as ``stage_changed``.
        since: Only events at or after this time, a datetime or ISO text.
        until: Only events before this time.

    Returns:
        A row per event with the columns ``model_uid``, ``seq``, ``time``, ``kind``, ``version``, ``from``, ``to``,
        ``actor``, ``session_user``, ``reason``, ``details`` (a dict) and ``hash``.

    Raises:
        ModelNotFoundError: No model has or had this name.
        InvalidParameterError: A time or a kind cannot be parsed.

    Example:
        >>> events = mlflow.history("churn", version=2, kind="stage_changed")
        >>> events[["from", "to", "actor", "reason"]]
           from          to actor      reason
        0  None  Production   ann  better auc
    """
    events = state.client().get_history(name, version=version, kind=kind, since=since, until=until)
    rows = [
        (
            event.model_uid,
            event.seq,
            event.time,
            str(event.kind),
            event.version,
            event.from_value,
            event.to_value,
            event.actor,
            event.session_user,
            event.reason,
            dict(event.details),
            event.hash,
        )
        for event in events
    ]
    return _frame(rows, _HISTORY)


def stage_holders(name: str) -> "pd.DataFrame":
    """Return which version held each stage and alias, and when, as a DataFrame.

    Args:
        name: The model's name, now or at any time before.

    Returns:
        A row per period, by its start, with the columns ``model_uid``, ``stage`` (an alias is ``@alias``), ``version``,
        ``since``, ``until`` (NaT while it lasts), and the ``actor`` and ``reason`` of its start.

    Raises:
        ModelNotFoundError: No model has or had this name.

    Example:
        >>> mlflow.stage_holders("churn")[["stage", "version", "reason"]]
                stage  version      reason
        0  Production        1        None
        1  Production        2  better auc
        2   @champion        2        None
    """
    rows = [
        (
            hold.model_uid,
            hold.stage,
            hold.version,
            moment_of(hold.since),
            None if hold.until is None else moment_of(hold.until),
            hold.actor,
            hold.reason,
        )
        for hold in state.client().get_holdings(name)
    ]
    return _frame(rows, _HOLDERS)


def verify(name: str, *, read_bytes: bool = False, checkpoint: str | Path | None = None) -> VerificationReport:
    """Check that a model's history is intact and agrees with its tables.

    Args:
        name: The registered model's name.
        read_bytes: Also read every file of every version and compare its digest.
        checkpoint: A JSON file that remembers the end of each history. It is compared first, then updated, so that a
            history that was cut off is found.

    Returns:
        A report of what was checked.

    Raises:
        ModelNotFoundError: No model has this name.
        IntegrityError: The first thing that is wrong.

    Example:
        >>> report = mlflow.verify("churn", read_bytes=True)
        >>> report.events, report.versions
        (8, 3)
    """
    return state.client().verify(name, read_bytes=read_bytes, checkpoint=checkpoint)


def _frame(rows: Sequence[tuple[Any, ...]], columns: dict[str, str]) -> "pd.DataFrame":
    import pandas as pd

    values = zip(*rows, strict=True) if rows else ([] for _ in columns)
    typed = zip(columns.items(), values, strict=True)
    return pd.DataFrame({name: pd.Series(list(column), dtype=dtype) for (name, dtype), column in typed})


def metric_history(
    run_ids: str | Iterable[str],
    keys: str | Iterable[str] | None = None,
    *,
    max_points: int | None = None,
    steps: tuple[int, int] | None = None,
) -> "pd.DataFrame":
    """Return the points of metrics of one or many runs as one DataFrame, for plots.

    Args:
        run_ids: One run id, or several.
        keys: One metric key, or several. Default: all metrics of these runs.
        max_points: The most points per series, at least 15; a longer series is sampled with its extremes. Default: all.
        steps: The first and the last step to return. Default: all.

    Returns:
        A row per point with the columns ``run_id``, ``key``, ``step`` (int64), ``timestamp`` (UTC) and ``value``
        (float64), ordered by run, key and step.

    Raises:
        RunNotFoundError: A run does not exist.
        InvalidParameterError: `max_points` is not an integer of at least 15, or `steps` is not a pair of integers.

    Example:
        >>> mlflow.metric_history(run_id, "auc")[["key", "step", "value"]].round(2)
           key  step  value
        0  auc     0   0.78
        1  auc     1   0.79
        2  auc     2   0.80
    """
    return state.client().get_metric_history_frame(run_ids, keys, max_points=max_points, steps=steps)


def compare(
    runs_or_versions: Iterable[str | Run | ModelVersion], *, lower_is_better: Iterable[str] | None = None
) -> "Comparison":
    """Compare runs or model versions side by side: the params that differ, and all metrics with the best one marked.

    Args:
        runs_or_versions: Runs, run ids, model versions, or URIs such as ``models:/churn/Production``. A version stands
            for its run.
        lower_is_better: The metrics that are better when lower. Default: those whose name speaks of a loss, an error or
            a duration.

    Returns:
        A DataFrame with a row per ``params.<key>`` and ``metrics.<key>``, a column per run or version, then
        ``difference`` (of the greatest and the least value), ``better`` (``higher`` or ``lower``) and ``best`` (the
        column with the best value). Its ``plot()`` draws the metrics as bars.

    Raises:
        NotFoundError: A run or version does not exist.
        InvalidParameterError: The list is empty, or a version came from no run.

    Example:
        >>> table = mlflow.compare(["models:/churn/1", "models:/churn/Production"])
        >>> table
                         churn/1 churn/2  difference  better     best
        params.max_depth       2       3         NaN    None     None
        metrics.auc         0.76    0.78        0.02  higher  churn/2
        metrics.logloss      0.5    0.45        0.05   lower  churn/2
    """
    return state.client().compare(runs_or_versions, lower_is_better=lower_is_better)
