"""The record of a model as tables: what happened, and who held which stage or alias when.

Invariant: columns and their types do not depend on what is found; times are UTC datetimes of microseconds.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from registry.entities.history import moment_of
from registry.fluent import state
from registry.store.catalog.audit import AuditReport

if TYPE_CHECKING:
    import pandas as pd

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


def verify(name: str, *, read_bytes: bool = False, checkpoint: str | Path | None = None) -> AuditReport:
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
