"""Order and paging of runs, equal on both databases."""

import base64
import json

import pytest
from searched_runs import NAN, log_run

from registry import MlflowClient
from registry.exceptions import InvalidFilterError, InvalidParameterError

METRICS = {"a": 1.0, "b": NAN, "c": 3.0, "e": 1.0, "f": float("inf"), "g": NAN, "i": float("-inf")}
PARAMS = {"a": "x", "c": "Z", "d": "é", "e": "x", "h": ""}


@pytest.fixture
def runs(client: MlflowClient) -> dict[str, str]:
    return {
        name: log_run(
            client,
            name,
            start=1_000 + position // 2,
            metrics={"m": METRICS[name]} if name in METRICS else {},
            params={"p": PARAMS[name]} if name in PARAMS else {},
            end=9_000 - position if position % 3 == 0 else None,
        )
        for position, name in enumerate("abcdefghij")
    }


def names(runs) -> str:
    return "".join(run.info.run_name for run in runs)


def pages(client: MlflowClient, size: int, order_by: list[str], filter_string: str = "") -> list[str]:
    found, token = [], None
    while True:
        page = client.search_runs(["0"], filter_string, max_results=size, order_by=order_by, page_token=token)
        found.append(names(page))
        token = page.token
        if token is None:
            return found


def newest(client: MlflowClient, runs: dict[str, str], chosen: str) -> str:
    """Sort run ids by start time, newest first, and equal times by id."""
    keys = {name: (-client.get_run(runs[name]).info.start_time, runs[name]) for name in chosen}
    return "".join(sorted(chosen, key=keys.__getitem__))


def test_without_an_order_the_newest_come_first_and_then_the_smaller_id(client, runs):
    assert names(client.search_runs(["0"])) == newest(client, runs, "abcdefghij")


@pytest.mark.parametrize(("direction", "numbers"), [("ASC", "i(ae)cf"), ("DESC", "fc(ae)i")])
def test_metrics_come_as_numbers_then_nan_then_missing_in_both_directions(client, runs, direction, numbers):
    before, equal, after = numbers.replace(")", "(").split("(")
    expected = before + newest(client, runs, equal) + after + newest(client, runs, "bg") + newest(client, runs, "dhj")

    assert names(client.search_runs(["0"], order_by=[f"metrics.m {direction}"])) == expected


@pytest.mark.parametrize(("direction", "texts"), [("ASC", "hC(ae)d"), ("DESC", "d(ae)Ch")])
def test_params_come_by_code_point_and_missing_last_in_both_directions(client, runs, direction, texts):
    before, equal, after = texts.replace("C", "c").replace(")", "(").split("(")
    expected = before + newest(client, runs, equal) + after + newest(client, runs, "bfgij")

    assert names(client.search_runs(["0"], order_by=[f"params.p {direction}"])) == expected


def test_a_missing_end_time_comes_last_in_both_directions(client, runs):
    rest = newest(client, runs, "bcefhi")

    assert names(client.search_runs(["0"], order_by=["end_time ASC"])) == "jgda" + rest
    assert names(client.search_runs(["0"], order_by=["end_time DESC"])) == "adgj" + rest


def test_a_second_key_decides_where_the_first_is_equal(client, runs):
    by_name = names(client.search_runs(["0"], order_by=["metrics.m DESC", "run_name DESC"]))
    by_metric = names(client.search_runs(["0"], order_by=["status", "metrics.m DESC", "run_name"]))

    assert by_name == "fceaigbjhd"
    assert by_metric == "agdj" + "fceibh"


@pytest.mark.parametrize(
    "order_by",
    [
        [],
        ["metrics.m"],
        ["metrics.m DESC"],
        ["params.p DESC", "metrics.m"],
        ["end_time", "params.p"],
        ["status", "end_time DESC", "metrics.m DESC", "run_id DESC"],
        ["metrics.none", "start_time"],
        ["artifact_uri DESC"],
        ["experiment_id"],
    ],
)
def test_pages_joined_are_the_whole_order(client, runs, order_by):
    whole = names(client.search_runs(["0"], order_by=order_by))

    assert sorted(whole) == list("abcdefghij")
    for size in (1, 2, 3, 7, 10):
        assert pages(client, size, order_by) == [whole[start : start + size] for start in range(0, 10, size)]


def test_no_run_is_skipped_or_repeated_while_others_come_and_go(client, runs):
    first = client.search_runs(["0"], max_results=3, order_by=["metrics.m DESC"])
    assert names(first)[:2] == "fc"
    client.delete_run(runs["f"])
    client.delete_run(first[2].info.run_id)
    log_run(client, "new", start=5, metrics={"m": 99.0})
    log_run(client, "late", start=5, metrics={"m": -5.0})

    rest = client.search_runs(["0"], order_by=["metrics.m DESC"], page_token=first.token)

    last = ({"a", "e"} - {first[2].info.run_name}).pop()
    found = [run.info.run_name for run in rest]
    assert found == [last, "late", "i", *newest(client, runs, "bg"), *newest(client, runs, "dhj")]


def test_a_token_may_come_as_bytes(client, runs):
    first = client.search_runs(["0"], max_results=4)
    again = client.search_runs(["0"], max_results=6, page_token=first.token.encode())

    assert sorted(names(first) + names(again)) == list("abcdefghij")
    assert again.token is None


def test_no_token_means_the_beginning(client, runs):
    assert [len(client.search_runs(["0"], page_token=token)) for token in ("", b"", None)] == [10, 10, 10]


def test_a_token_of_another_query_is_an_error(client, runs):
    query = {"experiment_ids": ["0"], "filter_string": "", "order_by": ["metrics.m DESC"], "max_results": 2}
    token = client.search_runs(**query).token

    for other in (
        {"filter_string": "metrics.m > 0"},
        {"order_by": ["metrics.m"]},
        {"order_by": []},
        {"run_view_type": 3},
        {"experiment_ids": ["0", "1"]},
    ):
        with pytest.raises(InvalidParameterError, match="damaged or belongs to another query") as caught:
            client.search_runs(**(query | other), page_token=token)
        assert caught.value.error_code == "INVALID_PARAMETER_VALUE"


def _changed(token: str, **fields) -> str:
    content = json.loads(base64.urlsafe_b64decode(token))
    return base64.urlsafe_b64encode(json.dumps(content | fields).encode()).decode()


SPOILED = [
    lambda token: "garbage",
    lambda token: token[:-3],
    lambda token: "é" + token,
    lambda token: "eyJvZmZzZXQiOiAyfQ==",  # MLflow's
    lambda token: base64.b64encode(b"[" * 100_000).decode(),
    lambda token: base64.b64encode(b"[1]").decode(),
    lambda token: _changed(token, after=[7, 1]),
    lambda token: _changed(token, after=[0, "x", 1, 2]),
    lambda token: _changed(token, after=[0]),
    lambda token: _changed(token, after=[]),
    lambda token: _changed(token, after=None),
    lambda token: _changed(token, check=None),
    lambda token: 7,
]


def test_a_token_that_is_none_is_an_error(client, runs):
    token = client.search_runs(["0"], max_results=2, order_by=["metrics.m"]).token

    for spoil in SPOILED:
        with pytest.raises(InvalidParameterError, match="page token"):
            client.search_runs(["0"], order_by=["metrics.m"], page_token=spoil(token))


@pytest.mark.parametrize("order_by", [["datasets.name"], ["metrics.m", "metrics.m DESC"], ["nothing"], "metrics.m"])
def test_an_order_that_cannot_be_is_refused(client, order_by):
    with pytest.raises((InvalidFilterError, InvalidParameterError)):
        client.search_runs(["0"], order_by=order_by)
