"""An order by a key that no run has: MLflow's result, and a warning with the nearest key, on both databases."""

import logging

import pytest
from searched_runs import log_run

import registry
from registry import MlflowClient
from registry.entities import ViewType


@pytest.fixture
def client(database_url: str) -> MlflowClient:
    client = MlflowClient(database_url)
    log_run(client, "first", start=1, metrics={"accuracy": 0.5}, params={"depth": "3"})
    log_run(client, "second", start=2, metrics={"loss": 0.1}, params={"depth": "4"})
    return client


@pytest.mark.parametrize(
    ("order", "warnings"),
    [
        ("metrics.acuracy", ["No run in these experiments has the metric 'acuracy'; did you mean 'accuracy'?"]),
        ("params.dpth DESC", ["No run in these experiments has the param 'dpth'; did you mean 'depth'?"]),
        ("metrics.zzz", ["No run in these experiments has the metric 'zzz'; there are: accuracy, loss."]),
        (
            "tags.team",
            ["No run in these experiments has the tag 'team'; there are: mlflow.runName."],
        ),
        ("metrics.accuracy", []),
        ("params.depth", []),
        ("start_time", []),
    ],
)
@pytest.mark.parametrize("leading", [[], ["attributes.status"]])
def test_an_order_by_a_key_that_no_run_has_is_told_once(
    client: MlflowClient, order: str, warnings: list[str], leading: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    found = client.search_runs(["0"], order_by=[*leading, order])
    assert [record.getMessage() for record in caplog.records] == warnings
    caplog.clear()
    client.search_runs_frame(["0"], order_by=[*leading, order])
    assert [record.getMessage() for record in caplog.records] == warnings

    assert sorted(str(run.info.run_name) for run in found) == ["first", "second"]


def test_runs_without_the_key_come_newest_first_as_in_mlflow(client: MlflowClient) -> None:
    assert [run.info.run_name for run in client.search_runs(["0"], order_by=["metrics.nosuch"])] == ["second", "first"]


def test_a_key_that_only_runs_outside_of_the_filter_have_is_no_slip(
    client: MlflowClient, caplog: pytest.LogCaptureFixture
) -> None:
    client.search_runs(["0"], "metrics.loss > 0", order_by=["metrics.accuracy"])

    assert caplog.records == []


def test_deleted_runs_and_other_experiments_do_not_count(
    client: MlflowClient, caplog: pytest.LogCaptureFixture
) -> None:
    other = client.create_experiment("other")
    client.log_metric(client.create_run(other).info.run_id, "f1", 1.0)
    gone = client.create_run("0").info.run_id
    client.log_metric(gone, "recall", 1.0)
    client.delete_run(gone)

    client.search_runs(["0"], order_by=["metrics.f1", "metrics.recall"])
    assert [record.getMessage() for record in caplog.records] == [
        "No run in these experiments has the metric 'f1'; there are: accuracy, loss.",
        "No run in these experiments has the metric 'recall'; there are: accuracy, loss.",
    ]
    caplog.clear()
    client.search_runs(["0", other], run_view_type=ViewType.ALL, order_by=["metrics.f1", "metrics.recall"])
    assert caplog.records == []


def test_a_search_that_finds_nothing_and_a_later_page_say_nothing(
    client: MlflowClient, caplog: pytest.LogCaptureFixture
) -> None:
    assert client.search_runs([client.create_experiment("empty")], order_by=["metrics.nosuch"]) == []
    assert caplog.records == []
    page = client.search_runs(["0"], max_results=1, order_by=["metrics.nosuch"])
    caplog.clear()
    client.search_runs(["0"], max_results=1, order_by=["metrics.nosuch"], page_token=page.token)

    assert caplog.records == []


def test_the_module_level_search_warns_too(client: MlflowClient, caplog: pytest.LogCaptureFixture) -> None:
    registry.set_tracking_uri(client.tracking_uri)
    registry.search_runs(["0"], order_by=["metrics.acuracy"])
    registry.search_runs(["0"], order_by=["metrics.acuracy"], output_format="list")

    assert [(record.levelno, record.name) for record in caplog.records] == [(logging.WARNING, "registry")] * 2
