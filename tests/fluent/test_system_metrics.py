"""System metrics: when they are sampled, under which names, and when sampling ends."""

import sys
import threading
import time

import pytest

import registry
from registry.exceptions import InvalidParameterError
from registry.fluent import system_metrics

NAMES = [
    "system/cpu_utilization_percentage",
    "system/disk_available_megabytes",
    "system/disk_usage_megabytes",
    "system/disk_usage_percentage",
    "system/network_receive_megabytes",
    "system/network_transmit_megabytes",
    "system/system_memory_usage_megabytes",
    "system/system_memory_usage_percentage",
]


def wait_for_points(run_id: str, key: str, count: int) -> list[int]:
    """Wait until a run has so many points of a metric; return their steps."""
    client = registry.MlflowClient()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        steps = [point.step for point in client.get_metric_history(run_id, key)]
        if len(steps) >= count:
            return steps
        time.sleep(0.02)
    raise AssertionError(f"no {count} points of {key}")


def test_a_run_gets_the_metrics_of_mlflow_if_it_asks_for_them() -> None:
    registry.set_system_metrics_sampling_interval(0.02)

    with registry.start_run(log_system_metrics=True) as run:
        wait_for_points(run.info.run_id, NAMES[0], 2)

    metrics = registry.get_run(run.info.run_id).data.metrics
    assert sorted(metrics) == NAMES
    assert 0 < metrics["system/system_memory_usage_percentage"] <= 100


def test_a_resumed_run_goes_on_after_its_last_step() -> None:
    registry.set_system_metrics_sampling_interval(0.02)
    with registry.start_run(log_system_metrics=True) as run:
        wait_for_points(run.info.run_id, NAMES[0], 2)
    before = len(registry.MlflowClient().get_metric_history(run.info.run_id, NAMES[0]))

    with registry.start_run(run.info.run_id, log_system_metrics=True):
        steps = wait_for_points(run.info.run_id, NAMES[0], before + 2)

    assert steps == list(range(len(steps)))


def test_the_settings_hold_for_runs_that_start_later() -> None:
    registry.set_system_metrics_sampling_interval(0.01)
    registry.set_system_metrics_samples_before_logging(2)
    registry.set_system_metrics_node_id("node-3")
    registry.enable_system_metrics_logging()

    with registry.start_run() as run:
        wait_for_points(run.info.run_id, "system/node-3/disk_usage_percentage", 1)
    with registry.start_run(log_system_metrics=False) as other:
        time.sleep(0.1)
    registry.disable_system_metrics_logging()
    with registry.start_run() as third:
        time.sleep(0.1)

    assert all(key.startswith("system/node-3/") for key in registry.get_run(run.info.run_id).data.metrics)
    assert registry.get_run(other.info.run_id).data.metrics == {}
    assert registry.get_run(third.info.run_id).data.metrics == {}


def test_no_thread_stays_after_the_run() -> None:
    with registry.start_run(log_system_metrics=True):
        assert "registry-system-metrics" in {thread.name for thread in threading.enumerate()}

    assert "registry-system-metrics" not in {thread.name for thread in threading.enumerate()}
    assert system_metrics._samplers == {}


def test_sampling_ends_when_another_client_ends_the_run() -> None:
    registry.set_system_metrics_sampling_interval(0.01)
    run = registry.start_run(log_system_metrics=True)
    sampler = system_metrics._samplers[run.info.run_id]

    registry.MlflowClient().set_terminated(run.info.run_id)
    sampler._thread.join(60)

    assert not sampler._thread.is_alive()
    registry.end_run()


def test_sampling_ends_with_a_warning_when_the_run_is_deleted(caplog: pytest.LogCaptureFixture) -> None:
    registry.set_system_metrics_sampling_interval(0.01)
    run = registry.start_run(log_system_metrics=True)
    sampler = system_metrics._samplers[run.info.run_id]

    registry.delete_run(run.info.run_id)
    sampler._thread.join(60)

    assert not sampler._thread.is_alive()
    assert f"System metrics of run {run.info.run_id} are not sampled any more" in caplog.text
    registry.restore_run(run.info.run_id)
    registry.end_run()


def test_without_psutil_a_warning_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "psutil", None)

    with registry.start_run(log_system_metrics=True):
        pass

    assert "Install it: pip install 'registry-ml[autologging]'" in caplog.text


@pytest.mark.parametrize("interval", [0, -1.0])
def test_an_interval_must_be_positive(interval: float) -> None:
    with pytest.raises(InvalidParameterError, match="system metrics sampling interval must be positive"):
        registry.set_system_metrics_sampling_interval(interval)
