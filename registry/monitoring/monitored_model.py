"""`MonitoredModel`: a loaded model that records its predictions in the background.

Guarantees: `predict` never waits for storage and never fails because of it. What waits is bounded; what does not fit is
counted and left out. `flush` returns when everything before it is durable.
"""

import logging
import os
import threading
import weakref
from collections import deque
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pandas as pd

from registry.client import MlflowClient
from registry.client.backend import before_close
from registry.entities.model_registry import ResolvedModel
from registry.exceptions import InvalidParameterError, InvalidTypeError
from registry.flavors import PyFuncModel
from registry.flavors.optional_imports import optional_import
from registry.fluent import state
from registry.fluent.models import load_function
from registry.monitoring.columns import PrivacyRules, default_rules
from registry.monitoring.observations import Call, observe
from registry.monitoring.profiles import EXTRA
from registry.monitoring.storage import registered_version
from registry.settings import current_settings
from registry.validation.values import now_ms

# A file is written when so many rows wait, or so many seconds after the first of them.
_ROWS_PER_FILE: Final = 100_000
_SECONDS: Final = 30.0
_MOST_WAITING: Final = 500_000
_logger = logging.getLogger(__name__)


class MonitoredModel(PyFuncModel):
    """A loaded model whose calls of ``predict`` are recorded. Made by ``pyfunc.load_model(uri, monitor=True)``.

    Attributes:
        resolved_model: The version that answers, as the URI stood when the model was loaded.
        dropped: How many rows were not recorded, because too many waited or storing them failed.

    Example:
        >>> served = mlflow.pyfunc.load_model("models:/churn/Production", monitor=True)
        >>> served.predict(X).shape
        (40,)
        >>> served.flush()
        >>> served.resolved_model.version, served.dropped
        (2, 0)
    """

    def __init__(
        self,
        model: PyFuncModel,
        client: MlflowClient,
        resolved: ResolvedModel,
        *,
        share: float,
        rules: PrivacyRules,
        sample_rows: int,
    ) -> None:
        super().__init__(model._metadata, model._predictor, example=model._example, model_config=model._model_config)
        self._model = model  # its files stay as long as it lives
        self.resolved_model = resolved
        self._share = share
        self._recorder = _Recorder(client, resolved, rules, sample_rows)
        self._random = np.random.default_rng()
        weakref.finalize(self, self._recorder.stop)  # also at the end of the process

    def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> Any:
        """Predict as `PyFuncModel.predict` does, and record the call, or a share of the calls, in the background."""
        predictions = super().predict(data, params)
        if self._share == 1 or self._random.random() < self._share:
            self._recorder.put(data, predictions)
        return predictions

    def flush(self) -> None:
        """Wait until the calls so far are stored. What could not be stored is counted in `dropped`."""
        self._recorder.flush()

    @property
    def dropped(self) -> int:
        """Return how many rows were not recorded."""
        return self._recorder.dropped


def load_monitored(model_uri: str, monitor: bool | float, **options: Any) -> MonitoredModel:
    """Load the version that a URI stands for now, and record what it predicts.

    Raises:
        InvalidParameterError: The URI names no version of a registered model, or the share is out of range.
        MissingDependencyError: pyarrow is not installed.
    """
    share = check_share(monitor)
    # Imported now: it is used in the background, where nobody would see that it is missing.
    optional_import("pyarrow.parquet", EXTRA)
    client = state.client()
    resolved = client.resolve(model_uri)
    name, version = registered_version(resolved, model_uri)
    # The version is loaded by its number: what a stage stands for may change meanwhile.
    model = load_function(f"models:/{name}/{version}", **options)
    rows = current_settings().monitoring_sample_rows
    return MonitoredModel(model, client, resolved, share=share, rules=default_rules(), sample_rows=rows)


def check_share(share: Any) -> float:
    """Return the share of the calls that a monitored model records.

    Raises:
        InvalidTypeError: It is no number.
        InvalidParameterError: It is not above 0 and at most 1.
    """
    if not isinstance(share, bool | int | float):
        raise InvalidTypeError(f"monitor must be True, False or a share of the calls such as 0.1, got {share!r}.")
    if not 0 < share <= 1:
        raise InvalidParameterError(f"monitor must be a share of the calls above 0 and at most 1, got {share!r}.")
    return float(share)


class _Recorder:
    """A bounded queue and the thread that empties it. A fork begins with an empty queue and a thread of its own."""

    def __init__(self, client: MlflowClient, resolved: ResolvedModel, rules: PrivacyRules, sample_rows: int) -> None:
        self._client, self._resolved, self._rules, self._sample_rows = client, resolved, rules, sample_rows
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
        rows = len(predictions) if hasattr(predictions, "__len__") else 1
        if os.getpid() != self._process:
            self._begin()
        with self._changed:
            if self._waiting + rows > _MOST_WAITING or self._stops:
                self.dropped += rows
                return
            self._calls.append(Call(_snapshot(data), _snapshot(predictions), timestamps=now_ms()))
            self._waiting += rows
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="registry-monitoring", daemon=True)
                self._thread.start()
            elif self._waiting >= _ROWS_PER_FILE:
                self._changed.notify_all()

    def flush(self) -> None:
        if os.getpid() == self._process:
            self.write()

    def stop(self) -> None:
        """Write what waits, and end the thread."""
        if os.getpid() != self._process:
            return
        with self._changed:
            self._stops = True
            self._changed.notify_all()
        self.write()

    def _run(self) -> None:
        while not self._stops:
            with self._changed:
                self._changed.wait_for(lambda: self._stops or self._waiting >= _ROWS_PER_FILE, _SECONDS)
            self.write()

    def write(self) -> None:
        with self._writing:
            with self._changed:
                calls, rows = list(self._calls), self._waiting
                self._calls.clear()
                self._waiting = 0
            if not calls:
                return
            try:
                observe(self._client, self._resolved, calls, self._rules, self._sample_rows)
            except Exception as error:  # noqa: BLE001 - whatever it is, the next rows are to be recorded
                self.dropped += rows
                _logger.warning("%d rows of %s were not recorded: %s", rows, self._resolved.name, error)


_recorders: "weakref.WeakSet[_Recorder]" = weakref.WeakSet()


def _flush_all() -> None:
    for recorder in list(_recorders):
        recorder.flush()


before_close.append(_flush_all)


def _snapshot(data: Any) -> Any:
    """Return data that does not change when the caller changes theirs; pandas copies on write."""
    if isinstance(data, pd.DataFrame | pd.Series):
        return data.copy(deep=not _COPIES_ON_WRITE)
    return data.copy() if hasattr(data, "copy") else data


_COPIES_ON_WRITE: Final = int(pd.__version__.partition(".")[0]) >= 3
