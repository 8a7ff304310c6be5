"""Metric series logged from arrays, on both databases."""

import math
import time
from typing import Any

import numpy as np
import pytest

from registry import MlflowClient
from registry.exceptions import InvalidParameterError, RunNotFoundError

NAN, INF = math.nan, math.inf


@pytest.fixture
def client(database_url: str) -> MlflowClient:
    return MlflowClient(database_url)


@pytest.fixture
def run_id(client: MlflowClient) -> str:
    return client.create_run("0").info.run_id


def points(client: MlflowClient, run_id: str, key: str = "loss") -> list[tuple[int, int, str]]:
    return [(m.timestamp, m.step, repr(m.value)) for m in client.get_metric_history(run_id, key)]


def test_arrays_become_points(client: MlflowClient, run_id: str) -> None:
    client.log_metric_history(run_id, "loss", np.arange(3), np.array([0.1, 1e300, -2.5]), np.array([7, 8, 9]))

    assert points(client, run_id) == [(7, 0, "0.1"), (8, 1, "1e+300"), (9, 2, "-2.5")]
    assert client.get_run(run_id).data.metrics == {"loss": -2.5}


def test_lists_do_as_well_and_the_time_is_now(client: MlflowClient, run_id: str) -> None:
    before = time.time_ns() // 1_000_000
    client.log_metric_history(run_id, "loss", [5, 6], [1, 2])

    found = client.get_metric_history(run_id, "loss")
    assert [(m.step, m.value) for m in found] == [(5, 1.0), (6, 2.0)]
    assert found[0].timestamp == found[1].timestamp >= before


def test_nan_and_infinities_are_kept(client: MlflowClient, run_id: str) -> None:
    client.log_metric_history(run_id, "loss", [0, 1, 2], [NAN, INF, -INF], [1, 2, 3])

    assert points(client, run_id) == [(1, 0, "nan"), (2, 1, "inf"), (3, 2, "-inf")]


@pytest.mark.parametrize(
    ("steps", "timestamps", "values", "latest"),
    [
        ([9, 1], [1, 2], [1.0, 2.0], 1.0),
        ([1, 1], [2, 1], [1.0, 2.0], 1.0),
        ([1, 1], [1, 1], [1.0, 2.0], 2.0),
        ([1, 1], [1, 1], [NAN, -2.0], -2.0),
        ([1, 1], [1, 1], [-2.0, NAN], -2.0),
    ],
)
def test_the_latest_is_by_step_then_time_then_value(
    client: MlflowClient, run_id: str, steps: Any, timestamps: Any, values: Any, latest: float
) -> None:
    client.log_metric_history(run_id, "loss", steps, values, timestamps)

    assert client.get_run(run_id).data.metrics == {"loss": latest}


def test_what_was_logged_before_stays_and_stays_latest_if_it_is(client: MlflowClient, run_id: str) -> None:
    client.log_metric(run_id, "loss", 7.0, timestamp=1, step=100)

    client.log_metric_history(run_id, "loss", [1, 2], [0.1, 0.2], [5, 6])

    assert points(client, run_id) == [(1, 100, "7.0"), (5, 1, "0.1"), (6, 2, "0.2")]
    assert client.get_run(run_id).data.metrics == {"loss": 7.0}


def test_more_points_than_go_in_one_piece(client: MlflowClient, run_id: str) -> None:
    steps = np.arange(45_001)
    client.log_metric_history(run_id, "loss", steps, steps / 4, steps)

    found = client.get_metric_history(run_id, "loss")
    assert len(found) == 45_001
    assert sum(m.value for m in found) == sum(range(45_001)) / 4


def test_no_points_are_nothing(client: MlflowClient, run_id: str) -> None:
    client.log_metric_history(run_id, "loss", [], [])

    assert client.get_run(run_id).data.metrics == {}


@pytest.mark.parametrize(
    ("steps", "values", "timestamps"),
    [
        ([1], [1.0, 2.0], None),
        ([1, 2], [1.0, 2.0], [1]),
        ([0.5], [1.0], None),
        ([NAN], [1.0], None),
        ([2.0**63], [1.0], None),
        (np.array([2**63], dtype=np.uint64), [1.0], None),
        ([2**70], [1.0], None),
        ([1], ["x"], None),
        ([1], [None], None),
        ([1], [1.0], [-1]),
        ([[1]], [[1.0]], None),
        ([1, 2], [[1.0], [2.0, 3.0]], None),
    ],
)
def test_what_is_no_series_is_refused_and_leaves_nothing(
    client: MlflowClient, run_id: str, steps: Any, values: Any, timestamps: Any
) -> None:
    with pytest.raises(InvalidParameterError):
        client.log_metric_history(run_id, "loss", steps, values, timestamps)

    assert points(client, run_id) == []


def test_a_run_must_be_there_and_active(client: MlflowClient, run_id: str) -> None:
    with pytest.raises(RunNotFoundError):
        client.log_metric_history("f" * 32, "loss", [1], [1.0])
    client.delete_run(run_id)
    with pytest.raises(InvalidParameterError, match="must be in the 'active' state"):
        client.log_metric_history(run_id, "loss", [1], [1.0])
    with pytest.raises(InvalidParameterError, match="must be in the 'active' state"):
        client.log_metric_history(run_id, "loss", [], [])
