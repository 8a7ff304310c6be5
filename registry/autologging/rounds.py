"""The metrics of boosting rounds: kept in memory, and written at most once a second while training goes on."""

import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from registry.autologging.training import metric_name, points
from registry.client import MlflowClient
from registry.entities import Metric
from registry.exceptions import UnavailableError

_PAUSE_SECONDS: Final = 1.0


class RoundMetrics:
    """The metrics of one training, by round. Nothing is lost while the database is away: `flush` tries again."""

    def __init__(self, client: MlflowClient, run_id: str) -> None:
        self._client = client
        self._run_id = run_id
        self._points: list[Metric] = []
        self._by_round: list[Mapping[str, Any]] = []
        self._points_lock = threading.Lock()
        self._writing = threading.Lock()
        self._last_written = time.monotonic()
        self._is_scheduled = False

    def __len__(self) -> int:
        return len(self._by_round)

    def add(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Keep the metrics of a round; every second, have them written in the background."""
        self._by_round.append(metrics)
        self._keep(points(metrics, step))
        if not self._is_scheduled and time.monotonic() - self._last_written > _PAUSE_SECONDS:
            self._is_scheduled = True
            self._client._backend_for_logging.tasks.put(self._flush_if_possible)

    def finish(self, best: int | None, reported: Mapping[str, Any]) -> list[str]:
        """Write the points that are left, and for a best round those of MLflow; return the names of all metrics.

        The metrics of the best round are repeated at the step after the last one, beside those that report of it.
        """
        if best is not None and 0 <= best < len(self._by_round):
            self._keep(points(reported, 0) + points(self._by_round[best], len(self._by_round)))
            self._by_round.append(reported)
        self.flush()
        return sorted({metric_name(name) for metrics in self._by_round for name in metrics})

    def flush(self) -> None:
        """Write the points that are not written yet."""
        with self._writing:
            with self._points_lock:
                batch, self._points = self._points, []
            try:
                if batch:
                    self._client.log_batch(self._run_id, batch, synchronous=True)
            except UnavailableError:
                with self._points_lock:
                    self._points = batch + self._points
                raise
            finally:
                self._last_written = time.monotonic()
                self._is_scheduled = False

    def _keep(self, new: list[Metric]) -> None:
        with self._points_lock:  # without it, a flush meanwhile would lose the points, or write others twice
            self._points += new

    def _flush_if_possible(self) -> None:
        with contextlib.suppress(UnavailableError):  # the flush after training tries again, and tells of it
            self.flush()


def guarded(function: Callable[..., None], note: Callable[[str, Exception], None]) -> Callable[..., None]:
    """Return a function that notes its first failure and then does nothing any more."""
    has_failed = False

    def call(*args: Any) -> None:
        nonlocal has_failed
        if has_failed:
            return
        try:
            function(*args)
        except Exception as error:  # noqa: BLE001 - training goes on
            has_failed = True
            note("metrics of some rounds were not logged", error)

    return call
