"""Pages of runs as columns, and the keys that runs have, on both databases."""

from collections.abc import Mapping, Sequence

import pytest

from registry import MlflowClient
from registry.client.tracking.search import run_scope, search_request
from registry.entities import ViewType
from registry.filters import Kind, Subject
from registry.store.search import TableColumns


@pytest.fixture
def experiment(client: MlflowClient) -> str:
    """An experiment with five runs; the number of each is a param and a metric."""
    experiment_id = client.create_experiment("games")
    for number in range(5):
        run = client.create_run(experiment_id, start_time=1_000 + number, run_name=f"run-{number}")
        client.log_param(run.info.run_id, "number", number)
        client.log_metric(run.info.run_id, "Score", float(number))
        if number == 4:
            client.log_param(run.info.run_id, "rare_key", "x")
    return experiment_id


def test_pages_follow_each_other_and_have_the_chosen_columns(client: MlflowClient, experiment: str) -> None:
    scope = run_scope([experiment], ViewType.ACTIVE_ONLY)
    offered: list[Mapping[Kind, Sequence[str]]] = []

    def choose(keys: Mapping[Kind, Sequence[str]]) -> TableColumns:
        offered.append(keys)
        return TableColumns(frozenset({"Score"}), frozenset({"number"}), frozenset())

    names, token = [], None
    for _ in range(3):
        request = search_request(Subject.RUNS, "", [], 2, token)
        table = client.backend.search.run_page(scope, request, choose)
        names.append(
            [(row.name, number) for row, number in zip(table.rows, table.text("params", "number"), strict=True)]
        )
        token = table.token
    assert names == [[("run-4", "4"), ("run-3", "3")], [("run-2", "2"), ("run-1", "1")], [("run-0", "0")]]
    assert token is None
    assert list(table.metric("Score")) == [0.0]
    assert list(offered[0][Kind.PARAM]) == ["number", "rare_key"]  # the more frequent first
    assert list(offered[0][Kind.METRIC]) == ["Score"]


@pytest.mark.parametrize("order", [[], ["attributes.start_time DESC"], ["attributes.start_time ASC"], ["run_name"]])
@pytest.mark.parametrize("view", [ViewType.ACTIVE_ONLY, ViewType.ALL])
@pytest.mark.parametrize("size", [1, 2, 3, 5, 50])
def test_pages_of_several_experiments_have_every_run_once_in_order(
    client: MlflowClient, order: list[str], view: int, size: int
) -> None:
    experiments = [client.create_experiment(name) for name in ("large", "small", "empty")]
    starts = [(0, 1), (0, 5), (0, 5), (0, 5), (0, 7), (0, 9), (1, 5), (1, 9), (0, 9), (0, 2)]
    runs = [
        client.create_run(experiments[place], start_time=start, run_name=f"{number:02d}").info.run_id
        for number, (place, start) in enumerate(starts)
    ]
    client.delete_run(runs[4])
    whole = client.search_runs(experiments, order_by=order, run_view_type=view)
    seen: list[str] = []
    token = None
    while token is not None or not seen:
        request = search_request(Subject.RUNS, "", order, size, token)
        table = client.backend.search.run_page(run_scope(experiments, view), request, lambda keys: TableColumns())
        assert len(table.rows) <= size
        seen += [row.run_id for row in table.rows]
        token = table.token
    assert seen == [run.info.run_id for run in whole]
    assert len(seen) == (9 if view == ViewType.ACTIVE_ONLY else 10)


def test_no_experiments_are_no_runs(client: MlflowClient) -> None:
    scope = run_scope([], ViewType.ACTIVE_ONLY)
    request = search_request(Subject.RUNS, "", [], 2, None)
    table = client.backend.search.run_page(scope, request, lambda keys: TableColumns())
    assert (list(table.rows), table.token) == ([], None)
    assert client.backend.search.recent_keys(scope, Kind.PARAM, "", 10) == []


@pytest.mark.parametrize(
    ("kind", "text", "keys"),
    [
        (Kind.PARAM, "", ["number", "rare_key"]),
        (Kind.PARAM, "NUMB", ["number"]),
        (Kind.PARAM, "_", ["rare_key"]),
        (Kind.PARAM, "%", []),
        (Kind.METRIC, "score", ["Score"]),
        (Kind.TAG, "runName", ["mlflow.runName"]),
    ],
)
def test_keys_contain_the_text_as_it_is(
    client: MlflowClient, experiment: str, kind: Kind, text: str, keys: list[str]
) -> None:
    scope = run_scope([experiment], ViewType.ACTIVE_ONLY)
    assert client.backend.search.recent_keys(scope, kind, text, 10) == keys


def test_keys_are_limited(client: MlflowClient, experiment: str) -> None:
    scope = run_scope([experiment], ViewType.ACTIVE_ONLY)
    assert client.backend.search.recent_keys(scope, Kind.PARAM, "", 1) == ["number"]
    assert client.backend.search.recent_keys(run_scope([experiment], ViewType.DELETED_ONLY), Kind.PARAM, "", 9) == []
