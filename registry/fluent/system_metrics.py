"""Sample the machine while a run is active: processor, memory, disk and network, in a thread per run (psutil).

Guarantees: sampling never stops a program. While the database is away, the points are kept and written later.
"""

import contextlib
import logging
import os
import threading
from collections.abc import Mapping
from typing import Any, Final

from registry.client import MlflowClient
from registry.entities import Metric, Run
from registry.exceptions import InvalidParameterError, RegistryError, UnavailableError
from registry.package_name import install_command
from registry.settings import current_settings, set_variable
from registry.validation.names import check_key
from registry.validation.values import now_ms

PREFIX: Final = "system/"
_LARGEST: Final = 1_000_000
_logger = logging.getLogger("registry")


def enable_system_metrics_logging() -> None:
    """Sample the machine in every run that starts from now on, in this process and its children.

    Example:
        >>> import time
        >>> mlflow.enable_system_metrics_logging()
        >>> mlflow.set_system_metrics_sampling_interval(0.02)
        >>> with mlflow.start_run() as run:
        ...     time.sleep(0.3)
        >>> "system/cpu_utilization_percentage" in mlflow.get_run(run.info.run_id).data.metrics
        True
        >>> mlflow.disable_system_metrics_logging()
        >>> mlflow.set_system_metrics_sampling_interval(None)
    """
    set_variable("ENABLE_SYSTEM_METRICS_LOGGING", "true")


def disable_system_metrics_logging() -> None:
    """Sample nothing in runs that start from now on, unless ``start_run(log_system_metrics=True)`` asks for it.

    Example:
        >>> mlflow.disable_system_metrics_logging()
    """
    set_variable("ENABLE_SYSTEM_METRICS_LOGGING", "false")


def set_system_metrics_sampling_interval(interval: float | None) -> None:
    """Set the seconds between two samples.

    Args:
        interval: Seconds. None: 10.

    Raises:
        InvalidParameterError: It is not a positive number up to 1,000,000.

    Example:
        >>> mlflow.set_system_metrics_sampling_interval(2.5)
        >>> mlflow.set_system_metrics_sampling_interval(None)
    """
    _set_positive("SYSTEM_METRICS_SAMPLING_INTERVAL", interval)


def set_system_metrics_samples_before_logging(samples: int | None) -> None:
    """Set how many samples make one point: their mean.

    Args:
        samples: A number of samples. None: 1.

    Raises:
        InvalidParameterError: It is not a positive number up to 1,000,000.

    Example:
        >>> mlflow.set_system_metrics_samples_before_logging(3)
        >>> mlflow.set_system_metrics_samples_before_logging(None)
    """
    _set_positive("SYSTEM_METRICS_SAMPLES_BEFORE_LOGGING", samples, whole=True)


def set_system_metrics_node_id(node_id: str | None) -> None:
    """Name this machine in the keys of its metrics, as in ``system/node-3/disk_usage_percentage``.

    Args:
        node_id: A name, without characters that keys cannot have. None: no name.

    Raises:
        InvalidParameterError: A key cannot have the name.

    Example:
        >>> mlflow.set_system_metrics_node_id("node-3")
        >>> mlflow.set_system_metrics_node_id(None)
    """
    set_variable("SYSTEM_METRICS_NODE_ID", None if node_id is None else check_key(node_id, "node_id"))


def _set_positive(name: str, value: float | None, *, whole: bool = False) -> None:
    if value is not None and not (isinstance(value, int if whole else int | float) and 0 < value <= _LARGEST):
        kind = "integer" if whole else "number"
        what = name.lower().replace("_", " ")
        raise InvalidParameterError(f"{what} must be positive: a {kind} up to {_LARGEST:,}, got {value!r}.")
    set_variable(name, None if value is None else str(value))


class Sampler:
    """The thread that samples the machine for one run."""

    def __init__(self, client: MlflowClient, run_id: str, psutil: Any, first_step: int) -> None:
        settings = current_settings()
        self._client = client
        self._run_id = run_id
        self._psutil = psutil
        self._step = first_step
        self._interval = settings.system_metrics_sampling_interval
        self._samples = settings.system_metrics_samples_before_logging
        node = settings.system_metrics_node_id
        self._prefix = f"{PREFIX}{node}/" if node else PREFIX
        self._network = psutil.net_io_counters()
        self._unwritten: list[Metric] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="registry-system-metrics", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread and write what is left."""
        self._ended.set()
        self._thread.join()
        self._write()

    def _run(self) -> None:
        self._psutil.cpu_percent()  # it measures from the last call on
        while not self._ended.is_set():
            sums: dict[str, float] = {}
            for _ in range(self._samples):
                if self._ended.wait(self._interval):
                    return
                for key, value in self._sample().items():
                    sums[key] = sums.get(key, 0.0) + value
            means = {key: round(total / self._samples, 1) for key, total in sums.items()}
            now = now_ms()
            points = {**means, **self._sample_network()}
            self._unwritten += [Metric(f"{self._prefix}{key}", value, now, self._step) for key, value in points.items()]
            self._step += 1
            if not self._write():
                return

    def _sample(self) -> Mapping[str, float]:
        memory, disk = self._psutil.virtual_memory(), self._psutil.disk_usage(os.sep)
        return {
            "cpu_utilization_percentage": self._psutil.cpu_percent(),
            "system_memory_usage_megabytes": memory.used / 1e6,
            "system_memory_usage_percentage": memory.used / memory.total * 100,
            "disk_usage_percentage": disk.percent,
            "disk_usage_megabytes": disk.used / 1e6,
            "disk_available_megabytes": disk.free / 1e6,
        }

    def _sample_network(self) -> Mapping[str, float]:
        now = self._psutil.net_io_counters()
        return {
            "network_receive_megabytes": (now.bytes_recv - self._network.bytes_recv) / 1e6,
            "network_transmit_megabytes": (now.bytes_sent - self._network.bytes_sent) / 1e6,
        }

    def _write(self) -> bool:
        """Write the points. Return whether to go on: not if the run has ended, or does not take them."""
        try:
            self._client.log_batch(self._run_id, self._unwritten, synchronous=True)
            self._unwritten = []
            status: str = self._client.get_run(self._run_id).info.status
            return status == "RUNNING"
        except UnavailableError:
            return True
        except RegistryError as error:
            _logger.warning("System metrics of run %s are not sampled any more: %s", self._run_id, error)
            self._unwritten = []
            return False


_samplers: dict[str, Sampler] = {}


def start(client: MlflowClient, run: Run, log_system_metrics: bool | None) -> None:
    """Start to sample for a run, if it is wanted. A resumed run goes on after the last step that it has."""
    run_id = run.info.run_id
    wanted = current_settings().enable_system_metrics_logging if log_system_metrics is None else log_system_metrics
    if not wanted or run_id in _samplers:
        return
    try:
        import psutil
    except ImportError:
        _logger.warning(
            "System metrics are not sampled: the package 'psutil' is missing. Install it: %s",
            install_command("autologging"),
        )
        return
    keys = [key for key in run.data.metrics if key.startswith(PREFIX)]
    steps = [point.step for key in keys[:1] for point in client.get_metric_history(run_id, key)]
    _samplers[run_id] = Sampler(client, run_id, psutil, max(steps, default=-1) + 1)


def stop(run_id: str) -> None:
    """Stop to sample for a run that ends."""
    sampler = _samplers.pop(run_id, None)
    if sampler is not None:
        with contextlib.suppress(UnavailableError):
            sampler.stop()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_samplers.clear)  # the threads are the parent's
