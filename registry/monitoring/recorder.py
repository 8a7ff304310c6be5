"""`Recorder`: records the calls of a version in the background.

Guarantees: `put` never waits for storage and never fails because of it. What waits is bounded; what does not fit is
counted and left out. `flush` returns when everything before it is durable. A failure is told once, until it is over.
"""

import logging
import os
import random
import threading
import weakref
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from registry.client import MlflowClient
from registry.client.backend import before_close
from registry.entities.model_registry import ResolvedModel
from registry.exceptions import InvalidParameterError, InvalidTypeError
from registry.monitoring.columns import PrivacyRules
from registry.monitoring.observations import Call, observe
from registry.validation.values import now_ms

# A file is written when so many rows wait, or so many seconds after the first of them.
_ROWS_PER_FILE: Final = 100_000
_SECONDS: Final = 30.0
_MOST_WAITING: Final = 500_000
# A call takes memory beyond its rows: a small one counts as so many.
_LEAST_ROWS: Final = 4
# Where something of a file cannot be read, so many forms of calls are tried one by one.
_MOST_FORMS: Final = 16
_logger = logging.getLogger(__name__)


class Recorder:
    """A bounded queue and the thread that empties it. A fork begins with an empty queue and a thread of its own.

    Args:
        client: The client of the registry; it may write.
        resolved: The version that answers.
        share: The share of the calls that is recorded, up to 1.
        rules: Columns to leave out or hash.
        sample_rows: The rows of the sample per file.
    """

    def __init__(
        self, client: MlflowClient, resolved: ResolvedModel, *, share: float, rules: PrivacyRules, sample_rows: int
    ) -> None:
        self._client, self._resolved, self._rules, self._sample_rows = client, resolved, rules, sample_rows
        self._share = share
        self._random = random.Random()  # noqa: S311 - not a secret
        self._is_failing = False
        self.dropped = 0
        self._begin()
        _recorders.add(self)

    def _begin(self) -> None:
        self._process = os.getpid()
        self._calls: deque[Call] = deque()
        self._waiting = 0
        self._changed = threading.Condition()
        self._writing = threading.Lock()
        self._stops = False
        self._thread: threading.Thread | None = None

    def put(self, data: Any, predictions: Any) -> None:
        """Record a call later, if it is of the share and there is room."""
        if self._share < 1 and self._random.random() >= self._share:
            return
        rows = _count(predictions)
        weight = max(rows, _LEAST_ROWS)
        if os.getpid() != self._process:
            self._begin()
        with self._changed:
            if self._waiting + weight > _MOST_WAITING or self._stops:
                self.dropped += rows
                return
            self._calls.append(Call(_snapshot(data), _snapshot(predictions), timestamps=now_ms()))
            self._waiting += weight
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="registry-monitoring", daemon=True)
                self._thread.start()
            elif self._waiting >= _ROWS_PER_FILE:
                self._changed.notify_all()

    def flush(self) -> None:
        """Wait until the calls so far are stored, or counted in `dropped`."""
        if os.getpid() == self._process:
            self._write()

    def stop(self) -> None:
        """Write what waits, and end the thread."""
        if os.getpid() != self._process:
            return
        with self._changed:
            self._stops = True
            self._changed.notify_all()
        self._write()

    def _run(self) -> None:
        while not self._stops:
            with self._changed:
                self._changed.wait_for(lambda: self._stops or self._waiting >= _ROWS_PER_FILE, _SECONDS)
            self._write()

    def _write(self) -> None:
        with self._writing:
            with self._changed:
                calls = list(self._calls)
                self._calls.clear()
                self._waiting = 0
            try:
                if calls:
                    self._store(_join(calls))
            except Exception as error:  # noqa: BLE001 - whatever it is, the next rows are to be recorded
                self._fail(calls, error)

    def _store(self, calls: list[Call]) -> None:
        try:
            self._observe(calls)
        except (InvalidParameterError, InvalidTypeError):
            if len(calls) == 1:
                raise
            # What cannot be read must not take the rest with it.
            calls.sort(key=lambda call: _count(call.predictions), reverse=True)
            for call in calls[:_MOST_FORMS]:
                try:
                    self._observe([call])
                except Exception as error:  # noqa: BLE001 - as above
                    self._fail([call], error)
            if rest := calls[_MOST_FORMS:]:
                self._fail(rest, InvalidParameterError(f"there were {len(calls)} different forms of input."))

    def _observe(self, calls: Sequence[Call]) -> None:
        observe(self._client, self._resolved, calls, self._rules, self._sample_rows)
        if self._is_failing:
            _logger.info("%s is recorded again; %d rows were not.", self._shown, self.dropped)
        self._is_failing = False

    def _fail(self, calls: Sequence[Call], error: Exception) -> None:
        rows = sum(_count(call.predictions) for call in calls)
        with self._changed:
            self.dropped += rows
        if not self._is_failing:
            _logger.warning("%d rows of %s were not recorded: %s", rows, self._shown, error)
        self._is_failing = True

    @property
    def _shown(self) -> str:
        return f"{self._resolved.name}/{self._resolved.version}"


_recorders: "weakref.WeakSet[Recorder]" = weakref.WeakSet()


def _flush_all() -> None:
    for recorder in list(_recorders):
        recorder.flush()


before_close.append(_flush_all)


def _count(predictions: Any) -> int:
    try:
        return len(predictions)
    except TypeError:  # one number
        return 1


def _snapshot(data: Any) -> Any:
    """Return data that does not change when the caller changes theirs; pandas copies on write."""
    if isinstance(data, pd.DataFrame | pd.Series):
        return data.copy(deep=not _COPIES_ON_WRITE)
    return data.copy() if hasattr(data, "copy") else data


_COPIES_ON_WRITE: Final = int(pd.__version__.partition(".")[0]) >= 3


def _join(calls: Sequence[Call]) -> list[Call]:
    """Return fewer calls with the same rows: to read a thousand calls of one row takes as long as millions of rows."""
    groups: dict[Any, list[Call]] = {}
    for call in calls:
        inputs, predictions = _form(call.inputs), _form(call.predictions)
        fits = inputs is not None and predictions is not None and len(call.inputs) == len(call.predictions)
        groups.setdefault((inputs, predictions) if fits else id(call), []).append(call)
    return [group[0] if len(group) == 1 else _concatenate(group) for group in groups.values()]


def _form(data: Any) -> Any:
    """Return what data must have in common to be put together, or None if they cannot be."""
    if isinstance(data, pd.DataFrame):
        return "frame", tuple(data.columns), tuple(data.dtypes)
    if isinstance(data, pd.Series):
        return "series", data.name, data.dtype
    if isinstance(data, np.ndarray) and data.ndim:
        return "array", data.shape[1:], data.dtype
    return None


def _concatenate(calls: Sequence[Call]) -> Call:
    timestamps = np.repeat([call.timestamps for call in calls], [len(call.predictions) for call in calls])
    inputs, predictions = [call.inputs for call in calls], [call.predictions for call in calls]
    return Call(_stack(inputs), _stack(predictions), timestamps=timestamps)


def _stack(parts: Sequence[Any]) -> Any:
    return np.concatenate(parts) if isinstance(parts[0], np.ndarray) else pd.concat(parts, ignore_index=True)
