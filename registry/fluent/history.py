"""The record of a model as tables: what happened, and who held which stage or alias when.

Invariant: columns and their types do not depend on what is found; times are UTC datetimes of microseconds.
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

    from registry.client.registry.comparison import Comparison


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
    """Everything that happened to the models that bear or ever bore a name, one row per event, oldest first.

    Columns: model_uid, seq, time, kind, version, from, to, actor, session_user, reason, details (a dict), hash. `since`
    is included, `until` is not.

    Raises:
        ModelNotFoundError: no model ever bore the name.
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
    """Which version held which stage, or alias (``@alias``), from when until when, in order of their beginning.

    Columns: model_uid, stage, version, since, until (NaT while it lasts), actor and reason (of the beginning).

    Raises:
        ModelNotFoundError: no model ever bore the name.
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
    """Check that a model's history is whole and its tables are what it says; with `read_bytes` every file too.

    A `checkpoint` file is compared with the histories that it names, then brought up to date.

    Raises:
        IntegrityError: the first thing that is wrong.
    """
    return state.client().verify(name, read_bytes=read_bytes, checkpoint=checkpoint)


def _frame(rows: Sequence[tuple[Any, ...]], columns: dict[str, str]) -> "pd.DataFrame":
    import pandas as pd

    values = zip(*rows, strict=True) if rows else ([] for _ in columns)
    return pd.DataFrame(
        {name: pd.Series(list(found), dtype=kind) for (name, kind), found in zip(columns.items(), values, strict=True)}
    )


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
