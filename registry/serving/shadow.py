"""A shadow: another model that answers a share of the requests too, after their answers were sent, and is compared.

Guarantees: no request waits for the shadow or fails because of it; what it cannot keep up with is left out and counted.
"""

import logging
import math
import queue
import random
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from registry.client import MlflowClient
from registry.entities.evidence import SHADOW
from registry.entities.shadow_comparison import ShadowComparison
from registry.exceptions import RegistryError
from registry.serving.follow import FollowedModel
from registry.serving.metrics import Metrics
from registry.serving.served_model import ServedModel

_logger = logging.getLogger(__name__)

_MOST_WAITING: Final = 256
# Records are few: one when the number of requests has doubled, and one after so many seconds.
_RECORD_SECONDS: Final = 600.0
_FIRST_RECORD: Final = 10


@dataclass(frozen=True, slots=True)
class Observation:
    """A request that was answered: what was asked, and what was predicted by which model in how many seconds."""

    served: ServedModel
    data: Any
    params: Any
    predictions: Any
    seconds: float


class Shadow:
    """Compares a followed model with what was served.

    Args:
        followed: The shadow.
        share: The share of the requests that it answers too, up to 1.
        name: The name of the served model in metrics.
        metrics: Where agreement, differences and seconds are counted.
        open_client: Opens a client that may write evidence.
    """

    def __init__(
        self,
        followed: FollowedModel,
        share: float,
        name: str,
        metrics: Metrics,
        open_client: Callable[[], MlflowClient] = MlflowClient,
    ) -> None:
        self.followed = followed
        self.dropped = 0
        self._share = share
        self._name = name
        self._metrics = metrics
        self._open_client = open_client
        self._session = uuid.uuid4().hex
        self._totals: dict[tuple[str, str], tuple[ShadowComparison, str]] = {}
        self._recorded: dict[tuple[str, str], int] = {}
        self._attempted: dict[tuple[str, str], tuple[int, float]] = {}
        self._waiting: queue.Queue[Observation | None] = queue.Queue(_MOST_WAITING)
        self._is_recordable = True
        self._thread = threading.Thread(target=self._run, name="registry-shadow", daemon=True)
        self._thread.start()

    def offer(self, observation: Observation) -> None:
        """Compare a request later, if it is of the share and the shadow keeps up."""
        if random.random() >= self._share:  # noqa: S311 - not a secret
            return
        try:
            self._waiting.put_nowait(observation)
        except queue.Full:
            self.dropped += 1
            self._metrics.count("registry_shadow_requests_total", {"model": self._name, "outcome": "dropped"})

    def close(self) -> None:
        """Compare what waits, and record everything."""
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (observation := self._waiting.get()) is not None:
            try:
                self._compare(observation)
            except Exception:
                _logger.exception("A shadow could not be compared with %s.", observation.served.uri)
            self._record()
        self._record(is_last=True)

    def _compare(self, observation: Observation) -> None:
        served = observation.served
        labels = {"model": self._name, "version": served.version or ""}
        try:
            with self.followed.lease() as shadow:
                if shadow.model_id is None or shadow.digest == served.digest:
                    return
                began = time.perf_counter()
                predictions, failure = None, None
                try:
                    predictions = shadow.predict(observation.data, observation.params)
                except Exception as error:  # noqa: BLE001 - what a model raises is what is compared
                    failure = error
                seconds = time.perf_counter() - began
                model_id, version = shadow.model_id, shadow.version or ""
        except RegistryError:
            return  # it is not loaded; its status says why
        found = ShadowComparison(self._session, served.digest, served.uri, failures=1)
        if failure is None:
            found = compare(self._session, served, observation.predictions, predictions)
            for who, taken in (("served", observation.seconds), ("shadow", seconds)):
                self._metrics.observe("registry_shadow_seconds", {**labels, "shadow": version, "of": who}, taken)
        else:
            _logger.warning("The shadow %s of %s failed: %s", version, served.uri, type(failure).__name__)
        key = served.digest, model_id
        before = self._totals.get(key)
        self._totals[key] = (found if before is None else before[0].plus(found), model_id)
        labels["shadow"] = version
        outcome = "failed" if found.failures else "differs" if found.differing_rows else "equal"
        self._metrics.count("registry_shadow_requests_total", {**labels, "outcome": outcome})
        self._metrics.count("registry_shadow_rows_total", labels, found.rows)
        self._metrics.count("registry_shadow_differing_rows_total", labels, found.differing_rows)
        if math.isfinite(found.difference):
            self._metrics.count("registry_shadow_difference_total", labels, found.difference)

    def _record(self, *, is_last: bool = False) -> None:
        """Write what was compared as evidence, where that is due."""
        now = time.monotonic()
        for key, (total, model_id) in list(self._totals.items()):
            count = total.requests + total.failures
            attempted, at = self._attempted.setdefault(key, (0, now))
            is_due = count >= max(2 * attempted, _FIRST_RECORD) or now - at >= _RECORD_SECONDS
            if count == self._recorded.get(key, 0) or not (is_due or is_last):
                continue
            self._attempted[key] = count, now
            try:
                self._open_client().log_evidence(model_id, SHADOW, total.to_content())
                self._recorded[key] = count
                self._is_recordable = True
            except RegistryError as error:
                if self._is_recordable:
                    _logger.warning("What the shadow of %s answered is not recorded: %s", total.holder_uri, error)
                self._is_recordable = False


def compare(session: str, served: ServedModel, predictions: Any, others: Any) -> ShadowComparison:
    """Return how two answers to one request differ."""
    first, second = _cells(predictions), _cells(others)
    rows = len(first) if first.ndim else 1
    if first.shape != second.shape:
        differences = np.full(rows, 1.0)
    else:
        differences = _differences(first, second).reshape(rows, -1).max(axis=1, initial=0.0)
    return ShadowComparison(
        session,
        served.digest,
        served.uri,
        requests=1,
        rows=rows,
        differing_rows=int((differences > 0).sum()),
        difference=float(differences.sum()),
        largest_difference=float(differences.max(initial=0.0)),
    )


def _cells(predictions: Any) -> "np.ndarray[Any, Any]":
    values = predictions.to_numpy() if hasattr(predictions, "to_numpy") else predictions
    try:
        return np.atleast_1d(np.asarray(values))
    except ValueError:  # lists of different lengths
        made = np.empty(len(values), dtype=object)
        made[:] = values
        return made


def _differences(first: "np.ndarray[Any, Any]", second: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    if first.dtype.kind in "fiu" and second.dtype.kind in "fiu":
        one, other = first.astype(np.float64), second.astype(np.float64)
        with np.errstate(invalid="ignore"):
            found = np.abs(one - other)
        is_same = (one == other) | (np.isnan(one) & np.isnan(other))
        return np.where(is_same, 0.0, np.where(np.isnan(found), np.inf, found))
    pairs = zip(first.reshape(-1).tolist(), second.reshape(-1).tolist(), strict=True)
    return np.array([0.0 if repr(a) == repr(b) else 1.0 for a, b in pairs])
