"""Runs and their params, metrics and tags through the client, on both databases."""

import logging
import math
import threading
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

import registry
from registry import MlflowClient
from registry.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    LoggedModelInput,
    LoggedModelOutput,
    Metric,
    Param,
    RunStatus,
    RunTag,
)
from registry.exceptions import ParamConflictError, RegistryError

INF = math.inf


@pytest.fixture
def client(database_url: str) -> MlflowClient:
    return MlflowClient(database_url)


@pytest.fixture
def run_id(client: MlflowClient) -> str:
    return client.create_run("0").info.run_id


def code_of(call: Any, *arguments: Any, **named: Any) -> str:
    with pytest.raises(RegistryError) as caught:
        call(*arguments, **named)
    return caught.value.error_code


def points(client: MlflowClient, run_id: str, key: str = "m") -> list[tuple[int, int, float]]:
    return [(m.timestamp, m.step, m.value) for m in client.get_metric_history(run_id, key)]


# Creating, reading, ending


def test_a_new_run_comes_back_as_it_was_made(client: MlflowClient) -> None:
    made = client.create_run("0", start_time=123, tags={"a": 1, "mlflow.user": "ann"}, run_name="first")
    found = client.get_run(made.info.run_id)

    assert found == made
    assert (found.info.status, found.info.start_time, found.info.end_time) == ("RUNNING", 123, None)
    assert (found.info.run_name, found.info.user_id, found.info.lifecycle_stage) == ("first", "ann", "active")
    assert found.data.tags == {"a": "1", "mlflow.runName": "first", "mlflow.user": "ann"}
    assert (found.data.params, found.data.metrics) == ({}, {})
    assert len(found.info.run_id) == 32
    assert found.info.run_uuid == found.info.run_id


def test_a_run_without_a_name_gets_one_of_three_words(client: MlflowClient) -> None:
    run = client.create_run("0")

    adjective, noun, number = run.info.run_name.split("-")
    assert adjective.isalpha()
    assert noun.isalpha()
    assert 0 <= int(number) < 1000
    assert run.data.tags["mlflow.runName"] == run.info.run_name
    assert run.info.user_id == "unknown"


def test_a_name_may_come_as_a_tag_but_not_as_another(client: MlflowClient) -> None:
    assert client.create_run("0", tags={"mlflow.runName": "a"}).info.run_name == "a"
    assert client.create_run("0", tags={"mlflow.runName": "a"}, run_name="a").info.run_name == "a"
    assert code_of(client.create_run, "0", tags={"mlflow.runName": "a"}, run_name="b") == "INVALID_PARAMETER_VALUE"


def test_default_tags_are_added_to_every_run(client: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_DEFAULT_TAGS", '{"team": "east", "a": "default"}')

    run = client.create_run("0", tags={"a": "own"}, run_name="r")

    assert run.data.tags == {"a": "own", "mlflow.runName": "r", "team": "east"}


@pytest.mark.parametrize("run_id", ["0" * 32, "abc", "a" * 256])
def test_a_missing_run_does_not_exist(run_id: str, client: MlflowClient) -> None:
    calls: list[tuple[Any, tuple[Any, ...]]] = [
        (client.get_run, ()),
        (client.get_parent_run, ()),
        (client.update_run, ("FINISHED",)),
        (client.set_terminated, ()),
        (client.delete_run, ()),
        (client.restore_run, ()),
        (client.log_metric, ("m", 1.0)),
        (client.log_param, ("p", 1)),
        (client.set_tag, ("t", 1)),
        (client.delete_tag, ("t",)),
        (client.log_batch, ()),
        (client.log_inputs, ()),
        (client.get_metric_history, ("m",)),
    ]
    for call, arguments in calls:
        assert code_of(call, run_id, *arguments) == "RESOURCE_DOES_NOT_EXIST"


@pytest.mark.parametrize("run_id", ["", None, 5, "../x", "a/b", "a b", "a" * 257, "-a", "a\n", "a'; --"])
def test_an_id_outside_the_grammar_is_refused(run_id: Any, client: MlflowClient) -> None:
    assert code_of(client.get_run, run_id) == "INVALID_PARAMETER_VALUE"
    assert code_of(client.log_metric, run_id, "m", 1.0) == "INVALID_PARAMETER_VALUE"


@pytest.mark.parametrize("status", ["RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"])
def test_a_run_takes_every_status_by_name_and_number(status: str, client: MlflowClient, run_id: str) -> None:
    client.update_run(run_id, status=status, name="renamed")
    run = client.get_run(run_id)
    assert (run.info.status, run.info.run_name) == (status, "renamed")
    assert run.data.tags["mlflow.runName"] == "renamed"

    client.set_terminated(run_id, RunStatus.from_string(status), end_time=456)
    ended = client.get_run(run_id)
    assert (ended.info.status, ended.info.end_time) == (status, 456)


@pytest.mark.parametrize("status", ["DONE", "finished", 9, ""])
def test_an_unknown_status_is_refused(status: Any, client: MlflowClient, run_id: str) -> None:
    assert code_of(client.update_run, run_id, status=status) == "INVALID_PARAMETER_VALUE"
    assert client.get_run(run_id).info.status == "RUNNING"


def test_a_run_ends_as_finished_now(client: MlflowClient, run_id: str) -> None:
    client.set_terminated(run_id)

    run = client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.info.end_time is not None
    assert run.info.end_time >= run.info.start_time


def test_the_name_follows_its_tag(client: MlflowClient, run_id: str) -> None:
    client.set_tag(run_id, "mlflow.runName", "by tag")

    assert client.get_run(run_id).info.run_name == "by tag"


def test_a_nested_run_knows_its_parent(client: MlflowClient, run_id: str) -> None:
    child = client.create_run("0", tags={"mlflow.parentRunId": run_id})

    parent = client.get_parent_run(child.info.run_id)
    assert parent is not None
    assert parent.info.run_id == run_id
    assert client.get_parent_run(run_id) is None


def test_a_deleted_run_is_read_but_not_written_until_it_is_restored(client: MlflowClient, run_id: str) -> None:
    child = client.create_run("0", tags={"mlflow.parentRunId": run_id}).info.run_id
    client.log_param(run_id, "p", 1)
    client.delete_run(run_id)
    client.delete_run(run_id)

    assert client.get_run(run_id).info.lifecycle_stage == "deleted"
    assert client.get_run(child).info.lifecycle_stage == "active"
    with pytest.raises(RegistryError, match=r"must be in the 'active' state.*restore_run"):
        client.log_metric(run_id, "m", 1.0)
    for call, arguments in (
        (client.log_param, ("q", 1)),
        (client.set_tag, ("t", 1)),
        (client.delete_tag, ("t",)),
        (client.set_terminated, ()),
        (client.update_run, (None, "name")),
    ):
        assert code_of(call, run_id, *arguments) == "INVALID_PARAMETER_VALUE"

    client.restore_run(run_id)
    client.log_metric(run_id, "m", 1.0)
    assert client.get_run(run_id).data.params == {"p": "1"}


def test_a_finished_run_may_be_logged_to(client: MlflowClient, run_id: str) -> None:
    client.set_terminated(run_id)
    client.log_metric(run_id, "late", 1.0)

    assert client.get_run(run_id).data.metrics == {"late": 1.0}


# Params


def test_a_param_is_written_once(client: MlflowClient, run_id: str) -> None:
    assert client.log_param(run_id, "p", 1.5) == 1.5
    assert client.log_param(run_id, "p", "1.5") == "1.5"

    with pytest.raises(ParamConflictError) as caught:
        client.log_param(run_id, "p", 2)
    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"
    assert caught.value.message == (
        "Changing param values is not allowed. Param with key='p' was already logged with value='1.5' for run "
        f"ID='{run_id}'. Attempted logging new value '2'."
    )
    assert client.get_run(run_id).data.params == {"p": "1.5"}


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (None, "None"),
        (True, "True"),
        ("", ""),
        (" a ", " a "),
        ({"a": [1]}, "{'a': [1]}"),
        ("line\nbreak\ttab", "line\nbreak\ttab"),
        ("'; DROP TABLE params; --", "'; DROP TABLE params; --"),
        ("Größe 🏀", "Größe 🏀"),
        ("x" * 6000, "x" * 6000),
    ],
)
def test_a_param_is_stored_as_its_text(value: Any, stored: str, client: MlflowClient, run_id: str) -> None:
    client.log_param(run_id, "p", value)

    assert client.get_run(run_id).data.params == {"p": stored}


def test_too_long_values_are_cut_with_a_warning(
    client: MlflowClient, run_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="registry"):
        client.log_param(run_id, "p", "x" * 6001)
        client.set_tag(run_id, "t", "x" * 8001)

    run = client.get_run(run_id)
    assert (len(run.data.params["p"]), len(run.data.tags["t"])) == (6000, 8000)
    assert [record.getMessage() for record in caplog.records] == [
        "The value of param 'p' was cut from 6001 to 6000 characters.",
        "The value of tag 't' was cut from 8001 to 8000 characters.",
    ]


def test_too_long_values_are_refused_if_so_configured(
    client: MlflowClient, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRUNCATE_LONG_VALUES", "false")

    assert code_of(client.log_param, run_id, "p", "x" * 6001) == "INVALID_PARAMETER_VALUE"
    assert code_of(client.set_tag, run_id, "t", "x" * 8001) == "INVALID_PARAMETER_VALUE"


def test_thousands_of_params_go_in_one_call_and_again(client: MlflowClient, run_id: str) -> None:
    params = [Param(f"p{number}", str(number)) for number in range(5_000)]
    client.log_batch(run_id, params=params)
    client.log_batch(run_id, params=params)

    assert len(client.get_run(run_id).data.params) == 5_000
    changed = [*params[1:], Param("p0", "other")]
    with pytest.raises(
        ParamConflictError, match=r"already logged='\[{'key': 'p0', 'old_value': '0', 'new_value': 'oth"
    ):
        client.log_batch(run_id, params=changed)


def test_a_key_given_twice_must_have_one_value(client: MlflowClient, run_id: str) -> None:
    client.log_batch(run_id, params=[Param("a", "1"), Param("a", "1")])

    with pytest.raises(RegistryError, match="Duplicate parameter keys"):
        client.log_batch(run_id, params=[Param("b", "1"), Param("b", "2")])
    assert client.get_run(run_id).data.params == {"a": "1"}


def test_writers_that_race_for_a_param_agree_on_one_value(client: MlflowClient, run_id: str) -> None:
    results: list[str] = []

    def write(value: str) -> None:
        try:
            client.log_param(run_id, "p", value)
            results.append(value)
        except ParamConflictError:
            results.append("refused")

    threads = [threading.Thread(target=write, args=(str(number),)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert results.count("refused") == 7
    assert client.get_run(run_id).data.params["p"] in results


# Keys

GOOD_KEYS = ["a", "a/b", "a.b", "a-b_c", "a b", "ndcg:3", "größe", "x" * 250, "a/b/c.d", "a..b"]
BAD_KEYS = [
    "",
    "a@3",
    "a%",
    "a,b",
    "(a)",
    "a//b",
    "a/",
    "/a",
    "..",
    ".",
    "...",
    "../a",
    "a/../b",
    "./a",
    "a\n",
    "a\0",
    "x" * 251,
]


@pytest.mark.parametrize("key", GOOD_KEYS)
def test_a_key_inside_the_charset_is_taken(key: str, client: MlflowClient, run_id: str) -> None:
    client.log_batch(run_id, [Metric(key, 1.0, 0, 0)], [Param(key, "1")], [RunTag(key, "1")])

    data = client.get_run(run_id).data
    assert (data.metrics, data.params, data.tags[key]) == ({key: 1.0}, {key: "1"}, "1")


@pytest.mark.parametrize("key", [*BAD_KEYS, None, 3])
def test_a_key_outside_the_charset_is_refused_everywhere(key: Any, client: MlflowClient, run_id: str) -> None:
    assert code_of(client.log_metric, run_id, key, 1.0) == "INVALID_PARAMETER_VALUE"
    assert code_of(client.log_param, run_id, key, "1") == "INVALID_PARAMETER_VALUE"
    assert code_of(client.set_tag, run_id, key, "1") == "INVALID_PARAMETER_VALUE"
    assert code_of(client.create_run, "0", tags={key: "1"}) == "INVALID_PARAMETER_VALUE"
    assert client.get_run(run_id).data.metrics == {}


# Metrics


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (1, 1.0),
        (True, 1.0),
        ("0.5", 0.5),
        (INF, INF),
        (-INF, -INF),
        (np.float32(0.25), 0.25),
        (np.int64(3), 3.0),
        (np.array([0.5]), 0.5),
        (Decimal("0.5"), 0.5),
        (5e-324, 5e-324),
        (1.7976931348623157e308, 1.7976931348623157e308),
        (0.1 + 0.2, 0.30000000000000004),
    ],
)
def test_a_number_comes_back_as_it_was(value: Any, stored: float, client: MlflowClient, run_id: str) -> None:
    client.log_metric(run_id, "m", value)

    assert client.get_run(run_id).data.metrics == {"m": stored}


def test_nan_comes_back_as_nan(client: MlflowClient, run_id: str) -> None:
    client.log_metric(run_id, "m", math.nan)

    assert math.isnan(client.get_run(run_id).data.metrics["m"])
    assert math.isnan(client.get_metric_history(run_id, "m")[0].value)


@pytest.mark.parametrize("value", ["abc", "", None, [1], np.array([1.0, 2.0]), {}, object(), 1j, b"\xff"])
def test_what_is_not_one_number_is_refused(value: Any, client: MlflowClient, run_id: str) -> None:
    assert code_of(client.log_metric, run_id, "m", value) == "INVALID_PARAMETER_VALUE"
    assert client.get_metric_history(run_id, "m") == []


def test_a_missing_value_is_told_as_mlflow_tells_it(client: MlflowClient, run_id: str) -> None:
    with pytest.raises(RegistryError, match=r"^Missing value for required parameter 'value'\.$"):
        client.log_metric(run_id, "m", None)


@pytest.mark.parametrize(
    ("step", "stored"),
    [
        (None, 0),
        (-5, -5),
        (1.5, 1),
        (True, 1),
        (np.int64(7), 7),
        (np.int64(2**60 + 1), 2**60 + 1),
        (2**63 - 1, 2**63 - 1),
    ],
)
def test_a_step_is_a_whole_number_of_64_bits(step: Any, stored: int, client: MlflowClient, run_id: str) -> None:
    client.log_metric(run_id, "m", 1.0, step=step, timestamp=1)

    assert points(client, run_id) == [(1, stored, 1.0)]


@pytest.mark.parametrize("step", ["1", 2**63, -(2**63) - 1, math.nan, INF, [1]])
def test_a_step_that_is_none_is_refused(step: Any, client: MlflowClient, run_id: str) -> None:
    assert code_of(client.log_metric, run_id, "m", 1.0, step=step) == "INVALID_PARAMETER_VALUE"


@pytest.mark.parametrize("timestamp", [-1, "now", 2**63, math.nan])
def test_a_timestamp_that_is_none_is_refused(timestamp: Any, client: MlflowClient, run_id: str) -> None:
    assert code_of(client.log_metric, run_id, "m", 1.0, timestamp=timestamp) == "INVALID_PARAMETER_VALUE"


def test_a_timestamp_of_zero_is_kept(client: MlflowClient, run_id: str) -> None:
    client.log_metric(run_id, "m", 1.0, timestamp=0)

    assert points(client, run_id) == [(0, 0, 1.0)]


def test_history_is_by_time_then_step_then_value(client: MlflowClient, run_id: str) -> None:
    logged = [(2, 0, 1.0), (1, 5, 2.0), (1, 5, 1.0), (1, 0, 9.0), (0, 9, math.nan), (1, 5, INF)]
    for timestamp, step, value in logged:
        client.log_metric(run_id, "m", value, timestamp, step)

    found = points(client, run_id)
    assert [point[:2] for point in found] == [(0, 9), (1, 0), (1, 5), (1, 5), (1, 5), (2, 0)]
    assert [point[2] for point in found[1:]] == [9.0, 1.0, 2.0, INF, 1.0]
    assert client.get_metric_history(run_id, "other") == []


def test_repeated_points_are_kept(client: MlflowClient, run_id: str) -> None:
    client.log_batch(run_id, [Metric("m", 1.0, 1, 1)] * 3)

    assert points(client, run_id) == [(1, 1, 1.0)] * 3


@pytest.mark.parametrize(
    ("logged", "latest"),
    [
        ([(0, 5, 1.0), (9, 1, 2.0)], 1.0),  # a later time at a lower step does not win
        ([(1, 1, 5.0), (2, 1, 1.0)], 1.0),
        ([(1, 1, 5.0), (1, 1, 7.0), (1, 1, 6.0)], 7.0),
        ([(1, 1, math.nan), (1, 1, -5.0)], -5.0),  # NaN loses to any number
        ([(1, 1, -5.0), (1, 1, math.nan)], -5.0),
        ([(1, 1, math.nan), (1, 1, -INF)], -INF),
        ([(1, 1, INF), (1, 2, math.nan)], math.nan),
        ([(0, -1, 3.0), (0, -2, 4.0)], 3.0),
    ],
)
@pytest.mark.parametrize("together", [True, False])
def test_the_latest_value_is_by_step_then_time_then_value(
    logged: list[tuple[int, int, float]], latest: float, together: bool, client: MlflowClient, run_id: str
) -> None:
    metrics = [Metric("m", value, timestamp, step) for timestamp, step, value in logged]
    for batch in [metrics] if together else [[metric] for metric in metrics]:
        client.log_batch(run_id, batch)

    found = client.get_run(run_id).data.metrics["m"]
    assert found == latest or (math.isnan(found) and math.isnan(latest))


POINTS = st.lists(
    st.tuples(
        st.sampled_from("ab"),
        st.sampled_from([0, 1, 2]),
        st.sampled_from([-1, 0, 1]),
        st.sampled_from([math.nan, -INF, -1.0, 0.0, 1.0, INF]),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(batches=st.lists(POINTS, min_size=1, max_size=3))
def test_latest_is_the_greatest_of_all_points_however_they_come(
    batches: list[list[tuple[str, int, int, float]]], client: MlflowClient
) -> None:
    run = client.create_run("0").info.run_id
    for batch in batches:
        client.log_batch(run, [Metric(key, value, time, step) for key, time, step, value in batch])

    everything = [point for batch in batches for point in batch]
    expected = {}
    for name in {point[0] for point in everything}:
        ranks = [(s, t, not math.isnan(v), 0.0 if math.isnan(v) else v) for k, t, s, v in everything if k == name]
        greatest = max(ranks)
        expected[name] = repr(greatest[3] if greatest[2] else math.nan)
    assert {key: repr(value) for key, value in client.get_run(run).data.metrics.items()} == expected
    assert sum(len(client.get_metric_history(run, name)) for name in expected) == len(everything)


def test_thousands_of_points_go_in_one_call(client: MlflowClient, run_id: str) -> None:
    client.log_batch(run_id, [Metric(f"m{number % 7}", float(number), number, number) for number in range(10_000)])

    assert client.get_run(run_id).data.metrics["m0"] == 9996.0
    assert sum(len(client.get_metric_history(run_id, f"m{key}")) for key in range(7)) == 10_000


def test_points_of_many_threads_are_all_kept(client: MlflowClient, run_id: str) -> None:
    def write(thread: int) -> None:
        for step in range(10):
            client.log_metric(run_id, "m", thread * 10 + step, timestamp=0, step=thread * 10 + step)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert points(client, run_id) == [(0, number, float(number)) for number in range(40)]
    assert client.get_run(run_id).data.metrics == {"m": 39.0}


# Batches and tags


@pytest.mark.parametrize(
    "bad",
    [
        {"metrics": [Metric("a@b", 1.0, 0, 0)]},
        {"metrics": [Metric("m", math.inf, 0, 2**70)]},
        {"params": [Param("p0", "other")]},
        {"tags": [RunTag("a@b", "x")]},
        {"tags": [RunTag("t", "n\0l")]},
        {"metrics": [Metric("m", 1.0, 0, 0, model_id="m-" + "0" * 32)]},
    ],
)
def test_a_batch_is_written_whole_or_not_at_all(bad: dict[str, Any], client: MlflowClient, run_id: str) -> None:
    client.log_param(run_id, "p0", "first")
    before = client.get_run(run_id)
    good: dict[str, Any] = {
        "metrics": [Metric("m1", 1.0, 0, 0)],
        "params": [Param("p1", "1")],
        "tags": [RunTag("t1", "1"), RunTag("mlflow.runName", "changed")],
    }

    with pytest.raises(RegistryError):
        client.log_batch(run_id, **{key: [*good[key], *bad.get(key, [])] for key in good})

    assert client.get_run(run_id) == before


def test_tags_are_overwritten_and_deleted(client: MlflowClient, run_id: str) -> None:
    client.set_tag(run_id, "t", 1)
    client.set_tag(run_id, "t", "")
    assert client.get_run(run_id).data.tags["t"] == ""

    client.delete_tag(run_id, "t")
    assert "t" not in client.get_run(run_id).data.tags
    assert code_of(client.delete_tag, run_id, "t") == "RESOURCE_DOES_NOT_EXIST"


def test_the_last_of_equal_tags_in_a_batch_counts(client: MlflowClient, run_id: str) -> None:
    client.log_batch(run_id, tags=[RunTag("t", "1"), RunTag("t", "2")])

    assert client.get_run(run_id).data.tags["t"] == "2"


# Inputs and outputs


def use(name: str, context: str | None = None, **tags: str) -> DatasetInput:
    own = [InputTag("mlflow.data.context", context)] if context else []
    dataset = Dataset(name, "d1", "local", "/data", '{"mlflow_colspec": []}', '{"num_rows": 2}')
    return DatasetInput(dataset, own + [InputTag(key, value) for key, value in tags.items()])


def test_a_data_set_is_recorded_once_per_context(client: MlflowClient, run_id: str) -> None:
    client.log_inputs(run_id, [use("games", "training", a="1"), use("games", "testing")])
    client.log_inputs(run_id, [use("games", "training", a="2", b="3"), use("players")])

    assert client.get_run(run_id).inputs.dataset_inputs == [
        use("games", "training", a="2", b="3"),
        use("games", "testing"),
        use("players"),
    ]


def test_runs_of_one_experiment_share_a_data_set(client: MlflowClient, run_id: str) -> None:
    other = client.create_run("0").info.run_id
    for run in (run_id, other):
        client.log_inputs(run, [use("games", "training")])

    for run in (run_id, other):
        assert client.get_run(run).inputs.dataset_inputs == [use("games", "training")]


def test_models_go_into_and_come_out_of_runs(client: MlflowClient, run_id: str) -> None:
    used, made = (client.create_logged_model("0", name).model_id for name in ("used", "made"))
    client.log_inputs(run_id, models=[LoggedModelInput(used)])
    client.log_outputs(run_id, [LoggedModelOutput(made, 7)])
    client.log_outputs(run_id, [LoggedModelOutput(made, 8)])

    run = client.get_run(run_id)
    assert run.inputs.model_inputs == [LoggedModelInput(used)]
    assert run.outputs.model_outputs == [LoggedModelOutput(made, 8)]


def test_a_missing_model_leaves_no_input(client: MlflowClient, run_id: str) -> None:
    assert (
        code_of(client.log_inputs, run_id, [use("games")], [LoggedModelInput("m-" + "0" * 32)])
        == "RESOURCE_DOES_NOT_EXIST"
    )
    assert client.get_run(run_id).inputs.dataset_inputs == []


# In the background


def test_what_is_queued_is_there_after_waiting(client: MlflowClient, run_id: str) -> None:
    tickets = [client.log_metric(run_id, "m", float(step), 0, step, synchronous=False) for step in range(50)]
    tickets.append(client.log_param(run_id, "p", 1, synchronous=False))
    for ticket in tickets:
        assert ticket is not None
        ticket.wait()

    assert len(client.get_metric_history(run_id, "m")) == 50
    assert client.get_run(run_id).data.params == {"p": "1"}


def test_a_ticket_carries_its_error_and_no_other(
    client: MlflowClient, run_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    client.log_param(run_id, "p", 1)
    bad = client.log_batch(run_id, params=[Param("p", "2")], synchronous=False)
    good = client.log_batch(run_id, params=[Param("q", "2")], synchronous=False)
    assert bad is not None
    assert good is not None

    with pytest.raises(ParamConflictError):
        bad.wait()
    good.wait()
    client.flush_async_logging()
    assert client.get_run(run_id).data.params == {"p": "1", "q": "2"}
    assert "could not be logged" in caplog.text


def test_ending_a_run_waits_for_what_is_queued(client: MlflowClient, run_id: str) -> None:
    for step in range(20):
        client.log_metric(run_id, "m", 1.0, step=step, synchronous=False)
    client.set_terminated(run_id)

    assert len(client.get_metric_history(run_id, "m")) == 20


@pytest.mark.parametrize("where", ["metric", "step", "timestamp", "param", "tag", "params"])
def test_an_int_of_more_digits_than_python_writes_is_an_error_of_ours(
    where: str, client: MlflowClient, run_id: str
) -> None:
    huge = 10**5_000
    log: Any = {
        "metric": lambda: client.log_metric(run_id, "m", huge),
        "step": lambda: client.log_metric(run_id, "m", 1.0, step=huge),
        "timestamp": lambda: client.log_metric(run_id, "m", 1.0, timestamp=huge),
        "param": lambda: client.log_param(run_id, "p", huge),
        "tag": lambda: client.set_tag(run_id, "t", huge),
        "params": lambda: registry.log_params(huge),  # type: ignore[arg-type]
    }[where]
    assert code_of(log) == "INVALID_PARAMETER_VALUE"
