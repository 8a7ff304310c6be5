"""Many metric series as one DataFrame, whole or sampled by the database, on both databases."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as npst
from searched_runs import sent_statements

import registry
from registry import MlflowClient
from registry.exceptions import InvalidNameError, InvalidParameterError, InvalidTypeError, RunNotFoundError

NAN, INF = math.nan, math.inf
LARGEST = 2**63 - 1


@pytest.fixture
def client(database_url: str) -> MlflowClient:
    return MlflowClient(database_url)


@pytest.fixture
def run_id(client: MlflowClient) -> str:
    return client.create_run("0").info.run_id


def points(frame: pd.DataFrame) -> list[tuple[int, str]]:
    return [(step, repr(value)) for step, value in zip(frame["step"].tolist(), frame["value"].tolist(), strict=True)]


def test_points_come_by_run_key_step_time_and_value_as_they_were_asked_for(client: MlflowClient, run_id: str) -> None:
    other = client.create_run("0").info.run_id
    client.log_metric_history(run_id, "loss", [2, 1, 1, 1], [0.5, NAN, -1.0, INF], [7, 8, 8, 3])
    client.log_metric_history(run_id, "acc", [0], [0.25], [5])
    client.log_metric(other, "loss", 1.5, timestamp=9, step=-3)

    frame = client.get_metric_history_frame([other, run_id], ["loss", "acc", "none"])

    assert list(frame.columns) == ["run_id", "key", "step", "timestamp", "value"]
    assert frame["run_id"].tolist() == [other] + [run_id] * 5
    assert frame["key"].tolist() == ["loss"] * 5 + ["acc"]
    assert points(frame) == [(-3, "1.5"), (1, "inf"), (1, "nan"), (1, "-1.0"), (2, "0.5"), (0, "0.25")]
    assert [moment.timestamp() for moment in frame["timestamp"]] == [0.009, 0.003, 0.008, 0.008, 0.007, 0.005]


def test_types_do_not_depend_on_what_is_found(client: MlflowClient, run_id: str) -> None:
    empty = client.get_metric_history_frame(run_id, "none")
    client.log_metric(run_id, "loss", 1.0)
    full = client.get_metric_history_frame(run_id)

    assert (len(empty), len(full)) == (0, 1)
    assert empty.dtypes.tolist() == full.dtypes.tolist()
    assert full["run_id"].dtype == pd.Series(["text"]).dtype
    assert [str(full[name].dtype) for name in ("step", "value")] == ["int64", "float64"]
    assert str(full["timestamp"].dt.tz) == "UTC"
    assert client.get_metric_history_frame([]).dtypes.tolist() == full.dtypes.tolist()


def test_without_keys_all_metrics_come_by_name_and_each_run_and_key_once(client: MlflowClient, run_id: str) -> None:
    for key in ("b", "a", "B"):
        client.log_metric(run_id, key, 1.0)
    runs = pd.Series([run_id, run_id])

    assert client.get_metric_history_frame(runs)["key"].tolist() == ["B", "a", "b"]
    assert client.get_metric_history_frame(runs, ["b", "b"])["key"].tolist() == ["b"]
    assert client.get_metric_history_frame(runs, [])["key"].tolist() == []


def test_a_deleted_run_has_its_points_and_a_missing_one_is_an_error(client: MlflowClient, run_id: str) -> None:
    client.log_metric(run_id, "loss", 1.0)
    client.delete_run(run_id)

    assert len(client.get_metric_history_frame(run_id)) == 1
    with pytest.raises(RunNotFoundError, match="Run with id=ffff not found"):
        client.get_metric_history_frame([run_id, "ffff"])


@pytest.mark.parametrize("wrong", [0, 14, -1, 2.5, "100", True])
def test_a_sample_has_at_least_fifteen_points(client: MlflowClient, run_id: str, wrong: Any) -> None:
    with pytest.raises(InvalidParameterError, match="whole number of at least 15"):
        client.get_metric_history_frame(run_id, "loss", max_points=wrong)


def test_a_moment_beyond_what_pandas_counts_in_small_units_is_kept(client: MlflowClient) -> None:
    far = 2**62
    run_id = client.create_run("0", start_time=far).info.run_id
    client.log_metric(run_id, "loss", 1.0, timestamp=far)

    for times in (client.get_metric_history_frame(run_id)["timestamp"], client.search_runs_frame(["0"])["start_time"]):
        assert times.astype("int64").tolist() == [far]
        assert str(times.dtype) == "datetime64[ms, UTC]"


def test_what_names_no_run_or_metric_is_refused(client: MlflowClient, run_id: str) -> None:
    for wrong in (5, None):
        with pytest.raises(InvalidTypeError):
            client.get_metric_history_frame(wrong)  # type: ignore[arg-type]
    with pytest.raises(InvalidNameError):
        client.get_metric_history_frame(run_id, "a//b")
    with pytest.raises(InvalidNameError):
        client.get_metric_history_frame(["x' OR '1'='1"])


def test_a_series_that_fits_comes_whole_beside_one_that_does_not(client: MlflowClient, run_id: str) -> None:
    client.log_metric_history(run_id, "short", list(range(20)), list(range(20)), list(range(20)))
    client.log_metric_history(run_id, "long", list(range(21)), list(range(21)), list(range(21)))

    frame = client.get_metric_history_frame(run_id, ["short", "long"], max_points=20)

    assert points(frame[frame["key"] == "short"]) == [(n, f"{n}.0") for n in range(20)]
    steps = [step for step, _ in points(frame[frame["key"] == "long"])]
    assert steps == [0, 1, 3, 4, 6, 7, 9, 10, 12, 13, 15, 16, 18, 19, 20]


def test_a_sample_has_the_extremes_of_each_stretch_at_their_steps(client: MlflowClient, run_id: str) -> None:
    values = np.sin(np.arange(30_000) / 500)
    values[[77, 20_001]] = 9.0, -9.0
    values[12_345] = NAN
    client.log_metric_history(run_id, "loss", np.arange(30_000), values, np.arange(30_000))

    with sent_statements(client.backend.database) as sent:
        frame = client.get_metric_history_frame(run_id, "loss", max_points=600)

    assert len(sent) == 4
    assert len(frame) == 399  # three of each stretch at most, if there is a NaN anywhere
    found = dict(zip(frame["step"].tolist(), frame["value"].tolist(), strict=True))
    assert {step: found[step] for step in (0, 77, 20_001, 29_999)} == {
        0: 0.0,
        77: 9.0,
        20_001: -9.0,
        29_999: values[29_999],
    }
    assert math.isnan(found[12_345])


def test_a_wide_gap_between_steps_is_passed_over(client: MlflowClient, run_id: str) -> None:
    steps = [*range(12_000), 10**12]
    client.log_metric_history(run_id, "loss", steps, [float(step) for step in steps])

    frame = client.get_metric_history_frame(run_id, "loss", max_points=10_000)

    assert frame["step"].tolist() == [0, 1, 11_999, 10**12]


def test_points_without_steps_are_sampled_over_time(client: MlflowClient, run_id: str) -> None:
    client.log_metric_history(run_id, "loss", [0] * 10_000, np.arange(10_000) % 7, np.arange(10_000) * 3)

    frame = client.get_metric_history_frame(run_id, "loss", max_points=100)

    assert 80 < len(frame) <= 100
    seconds = [moment.timestamp() for moment in frame["timestamp"]]
    assert (seconds[0], seconds[-1]) == (0.0, 29.997)
    assert max(after - before for before, after in pairwise(seconds)) < 1.5


def test_points_at_one_step_and_time_come_as_their_extremes(client: MlflowClient, run_id: str) -> None:
    client.log_metric_history(run_id, "loss", [5] * 40, [*range(38), NAN, NAN], [9] * 40)

    assert points(client.get_metric_history_frame(run_id, "loss", max_points=15)) == [
        (5, "nan"),
        (5, "0.0"),
        (5, "37.0"),
    ]


def test_the_widest_series_of_steps_can_be_sampled(client: MlflowClient, run_id: str) -> None:
    steps = [-LARGEST - 1, *range(-20, 20), LARGEST]
    client.log_metric_history(run_id, "loss", steps, list(range(42)))

    for most in (15, 16, 18, 30):
        frame = client.get_metric_history_frame(run_id, "loss", max_points=most)
        assert len(frame) <= most
        assert frame["step"].tolist()[:: len(frame) - 1] == [-LARGEST - 1, LARGEST]


VALUES = st.sampled_from([NAN, INF, -INF]) | st.floats(-5, 5)


@pytest.mark.slow
@settings(max_examples=60)
@given(
    npst.arrays(np.int64, st.integers(16, 200), elements=st.integers(-300, 300)),
    st.lists(VALUES, min_size=200, max_size=200),
    st.integers(15, 80),
)
def test_any_sample_is_points_of_the_series_within_its_size_with_its_extremes_and_ends(
    tmp_path_factory: pytest.TempPathFactory, steps: Any, values: list[float], most: int
) -> None:
    client = MlflowClient(f"sqlite:///{tmp_path_factory.getbasetemp()}/samples.db")
    run_id = client.create_run("0").info.run_id
    client.log_metric_history(run_id, "loss", steps, values[: len(steps)], np.arange(len(steps)))

    whole = client.get_metric_history_frame(run_id, "loss")
    sample = client.get_metric_history_frame(run_id, "loss", max_points=most)

    assert len(whole) == len(steps)
    assert len(sample) <= most
    assert set(points(sample)) <= set(points(whole))
    assert (sample["value"].min(), sample["value"].max()) == pytest.approx(
        (whole["value"].min(), whole["value"].max()), nan_ok=True
    )
    assert (sample["step"].min(), sample["step"].max()) == (whole["step"].min(), whole["step"].max())
    assert bool(sample["value"].isna().any()) == bool(whole["value"].isna().any())


def test_the_client_of_mlflow_still_has_its_own_history() -> None:
    with registry.start_run() as run:
        registry.log_metric("loss", 0.5, step=3)

    history = registry.MlflowClient().get_metric_history(run.info.run_id, "loss")
    assert [(point.step, point.value) for point in history] == [(3, 0.5)]
    assert points(registry.metric_history(run.info.run_id, "loss", max_points=100)) == [(3, "0.5")]
