"""A range of steps, a sketch of a long series, and extremes: what charts ask for, on both databases."""

import math
from typing import Any

import pytest

import registry
from registry import MlflowClient
from registry.exceptions import InvalidParameterError, RunNotFoundError
from registry.store.tracking.metrics.sample import ALL_STEPS, Series

NAN = math.nan


@pytest.fixture
def client(database_url: str) -> MlflowClient:
    return MlflowClient(database_url)


@pytest.fixture
def run_id(client: MlflowClient) -> str:
    return client.create_run("0").info.run_id


def sketch(client: MlflowClient, run_id: str, key: str, points: int, over: int, steps: Any = ALL_STEPS) -> Series:
    (series,) = client.backend.series.read([run_id], [key], points, steps, over)
    return series


def test_a_range_has_its_first_and_its_last_step(client: MlflowClient, run_id: str) -> None:
    client.log_metric_history(run_id, "loss", list(range(-5, 6)), [float(step) for step in range(-5, 6)])

    assert client.get_metric_history_frame(run_id, "loss", steps=(-2, 1))["step"].tolist() == [-2, -1, 0, 1]
    registry.set_tracking_uri(client.tracking_uri)
    assert registry.metric_history(run_id, "loss", steps=(4, 9))["step"].tolist() == [4, 5]
    assert client.get_metric_history_frame(run_id, "loss", steps=(3, 2))["step"].tolist() == []
    assert len(client.get_metric_history_frame(run_id, "loss", steps=(-(2**63) + 1, 2**63 - 1))) == 11


def test_a_sample_of_a_range_is_finer_than_one_of_all(client: MlflowClient, run_id: str) -> None:
    client.log_metric_history(run_id, "loss", list(range(10_000)), [float(step % 7) for step in range(10_000)])

    whole = client.get_metric_history_frame(run_id, "loss", max_points=100)
    part = client.get_metric_history_frame(run_id, "loss", max_points=100, steps=(200, 260))

    assert len(whole) <= 100
    assert part["step"].tolist() == list(range(200, 261))


@pytest.mark.parametrize(
    "steps", [(1,), (1, 2, 3), [1, 2], (1.0, 2), ("1", "2"), (True, 2), (0, 2**63), (-(2**64), 0), 5]
)
def test_steps_that_are_no_range_are_refused(client: MlflowClient, run_id: str, steps: Any) -> None:
    with pytest.raises(InvalidParameterError, match="the first and the last step"):
        client.get_metric_history_frame(run_id, "loss", steps=steps)


def test_a_sketch_has_the_first_point_of_each_stretch(client: MlflowClient, run_id: str) -> None:
    client.log_metric_history(run_id, "loss", list(range(1_000)), [float(step) for step in range(1_000)])

    found = sketch(client, run_id, "loss", 15, over=500)

    assert found.is_sketch
    assert list(found.steps) == [0, 1, 85, 169, 253, 337, 421, 505, 589, 673, 757, 841, 925, 999]
    assert list(found.values) == [float(step) for step in found.steps]


def test_a_sketch_of_a_range_stays_in_it(client: MlflowClient, run_id: str) -> None:
    client.log_metric_history(run_id, "loss", list(range(1_000)), [0.5] * 1_000)

    found = sketch(client, run_id, "loss", 15, over=50, steps=(100, 300))

    assert found.is_sketch
    assert (found.steps[0], found.steps[-1]) == (100, 300)
    assert not sketch(client, run_id, "loss", 15, over=500, steps=(100, 300)).is_sketch


def test_what_is_short_or_has_one_step_is_not_sketched(client: MlflowClient, run_id: str) -> None:
    client.log_metric_history(run_id, "short", [0, 1], [1.0, NAN])
    client.log_metric_history(run_id, "flat", [7] * 100, [float(n) for n in range(100)], list(range(100)))

    assert list(sketch(client, run_id, "short", 15, over=50).steps) == [0, 1]
    flat = sketch(client, run_id, "flat", 15, over=50)
    assert not flat.is_sketch
    assert (min(flat.values), max(flat.values), len(flat.steps) <= 15) == (0.0, 99.0, True)


def test_extremes_leave_out_long_series_and_nan(client: MlflowClient, run_id: str) -> None:
    client.log_metric_history(run_id, "loss", [0, 1, 2], [0.5, NAN, -1.5])
    client.log_metric_history(run_id, "long", list(range(20)), [1.0] * 20)
    client.log_metric_history(run_id, "nan", [0], [NAN])

    ends = client.backend.series.extremes(run_id, ["loss", "long", "nan", "none"], 10)

    assert ends["loss"] == (-1.5, 0.5)
    assert ends["long"] is None
    assert ends["nan"] is not None
    assert all(map(math.isnan, ends["nan"]))
    assert "none" not in ends


def test_runs_are_read_together_in_the_order_they_were_asked_for(client: MlflowClient) -> None:
    ids = [client.create_run("0", run_name=name).info.run_id for name in "abc"]
    client.log_param(ids[1], "depth", "3")
    client.delete_run(ids[2])

    runs = client.backend.runs.get_all([ids[2], ids[1], ids[0]])

    assert [run.info.run_name for run in runs] == ["c", "b", "a"]
    assert runs[1] == client.get_run(ids[1])
    assert client.backend.runs.get_all([]) == []
    with pytest.raises(RunNotFoundError, match="ffff"):
        client.backend.runs.get_all([ids[0], "ffff"])
