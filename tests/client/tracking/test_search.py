"""Searches through the client: limits, orders, and runs as DataFrames and Arrow tables, on both databases."""

import math

import numpy as np
import pandas as pd
import pytest
from searched_runs import NAN, log_run

import registry
from registry import MlflowClient
from registry.entities import ViewType
from registry.exceptions import InvalidFilterError, InvalidParameterError, InvalidTypeError

INFO = ["run_id", "experiment_id", "status", "artifact_uri", "start_time", "end_time"]


def names(found) -> list[str]:
    return [each.name for each in found]


@pytest.fixture
def client(database_url: str) -> MlflowClient:
    """Use a local artifact store only: searches depend on the database."""
    return MlflowClient(database_url)


@pytest.fixture
def runs(client: MlflowClient) -> list[str]:
    return [
        log_run(
            client,
            "first",
            start=1_700_000_000_001,
            end=1_700_000_000_002,
            metrics={"b": 1.0 / 3.0, "a": NAN},
            params={"z": "1", "p": 'it\'s "quoted" \\ é'},
        ),
        log_run(client, "second", start=1_700_000_000_003, metrics={"b": math.inf, "c": 0.0}, params={"p": ""}),
    ]


def test_a_frame_has_its_columns_in_a_fixed_order_with_fixed_types(client, runs):
    frame = client.search_runs_frame(["0"])

    assert list(frame.columns) == [
        *INFO,
        "metrics.a",
        "metrics.b",
        "metrics.c",
        "params.p",
        "params.z",
        "tags.mlflow.runName",
    ]
    assert frame["run_id"].tolist() == [runs[1], runs[0]]
    assert frame["experiment_id"].tolist() == ["0", "0"]
    assert frame["status"].tolist() == ["RUNNING", "FINISHED"]
    assert frame["artifact_uri"].tolist() == [client.get_run(run_id).info.artifact_uri for run_id in reversed(runs)]
    assert [str(frame[name].dtype) for name in ("metrics.a", "metrics.b", "metrics.c")] == ["float64"] * 3
    assert frame["metrics.b"].tolist() == [math.inf, 1.0 / 3.0]
    assert frame["metrics.a"].isna().tolist() == [True, True]
    assert frame["metrics.c"].isna().tolist() == [False, True]
    assert frame["params.p"].tolist() == ["", 'it\'s "quoted" \\ é']
    assert frame["params.z"].isna().tolist() == [True, False]
    assert frame["tags.mlflow.runName"].tolist() == ["second", "first"]


def test_the_types_of_a_frame_are_those_that_pandas_gives_lists_of_such_values(client, runs):
    frame = client.search_runs_frame(["0"])
    times = [
        pd.to_datetime(milliseconds, unit="ms", utc=True) for milliseconds in (1_700_000_000_003, 1_700_000_000_001)
    ]

    assert frame["params.z"].dtype == pd.Series([None, "1"]).dtype
    assert frame["start_time"].tolist() == times
    assert str(frame["start_time"].dt.tz) == "UTC"
    assert frame["end_time"].isna().tolist() == [True, False]
    assert frame["end_time"][1] == pd.Timestamp("2023-11-14T22:13:20.002Z")


def test_a_frame_without_runs_has_the_six_columns(client):
    frame = client.search_runs_frame(["0"])

    assert list(frame.columns) == INFO
    assert len(frame) == 0
    assert list(client.search_runs_frame([]).columns) == INFO


def test_a_frame_may_have_the_columns_that_are_asked_for(client, runs):
    asked = ["metrics.c", "run_name", "params.none", "metrics.none", "params.*", "run_name"]
    frame = client.search_runs_frame(["0"], columns=asked, order_by=["start_time"])

    assert list(frame.columns) == ["metrics.c", "run_name", "params.none", "metrics.none", "params.p", "params.z"]
    assert frame["run_name"].tolist() == ["first", "second"]
    assert frame["metrics.none"].isna().all()
    assert frame["params.none"].isna().all()
    assert frame["metrics.none"].dtype == np.float64
    assert frame["params.none"].dtype == frame["params.p"].dtype


@pytest.mark.parametrize(
    ("columns", "error"),
    [
        (["metric.a"], InvalidParameterError),
        (["metrics."], InvalidParameterError),
        (["nothing"], InvalidParameterError),
        ("run_id", InvalidTypeError),
        ([1], InvalidTypeError),
    ],
)
def test_a_column_that_cannot_be_is_refused(client, columns, error):
    with pytest.raises(error):
        client.search_runs_frame(["0"], columns=columns)


@pytest.mark.slow
def test_a_frame_is_the_same_as_the_runs(client):
    for number in range(1_005):
        if number % 200 == 0:
            log_run(client, f"r{number}", start=number, metrics={"m": float(number)}, params={"p": str(number)})
        else:
            client.create_run("0", start_time=number, run_name=f"r{number}")
    found = [run for page in _pages(client) for run in page]

    frame = client.search_runs_frame(["0"])

    assert frame["run_id"].tolist() == [run.info.run_id for run in found]
    assert frame["metrics.m"].fillna(-1).tolist() == [run.data.metrics.get("m", -1) for run in found]
    assert frame["params.p"].fillna("-").tolist() == [run.data.params.get("p", "-") for run in found]
    assert frame["tags.mlflow.runName"].tolist() == [run.info.run_name for run in found]
    assert client.search_runs_frame(["0"], max_results=7)["run_id"].tolist() == frame["run_id"].tolist()[:7]


def _pages(client: MlflowClient):
    token = None
    while True:
        page = client.search_runs(["0"], max_results=500, page_token=token)
        yield page
        token = page.token
        if token is None:
            return


def test_an_arrow_table_tells_nan_from_missing(client, runs):
    pytest.importorskip("pyarrow", reason="pyarrow is an extra of its own")
    table = client.search_runs_frame(["0"], output_format="arrow")

    assert table.column_names == list(client.search_runs_frame(["0"]).columns)
    assert table["metrics.a"].null_count == 1
    assert math.isnan(table["metrics.a"][1].as_py())
    assert table["metrics.b"].to_pylist() == [math.inf, 1.0 / 3.0]
    assert table["params.z"].to_pylist() == [None, "1"]
    assert str(table.schema.field("start_time").type) == "timestamp[ms, tz=UTC]"
    assert table["end_time"].to_pylist()[0] is None


@pytest.mark.parametrize("method", ["search_experiments", "search_registered_models", "search_model_versions"])
def test_results_are_bounded(client, method):
    search = getattr(client, method)
    most = {"search_experiments": 50_000, "search_registered_models": 1_000, "search_model_versions": 200_000}[method]

    assert len(search(max_results=most)) == (1 if method == "search_experiments" else 0)
    for wrong in (most + 1, -1, "5", None, True, 1.5):
        with pytest.raises(InvalidParameterError) as caught:
            search(max_results=wrong)
        assert caught.value.error_code == "INVALID_PARAMETER_VALUE"


def test_no_registered_models_may_be_asked_for_but_not_no_runs_or_versions(client):
    client.create_registered_model("m")

    assert client.search_registered_models(max_results=0) == []
    assert client.search_registered_models(max_results=0).token is None
    for search in (
        client.search_model_versions,
        client.search_experiments,
        lambda **wanted: client.search_runs(["0"], **wanted),
    ):
        with pytest.raises(InvalidParameterError, match="positive integer"):
            search(max_results=0)
    with pytest.raises(InvalidParameterError, match="at most 50000"):
        client.search_runs(["0"], max_results=50_001)


def test_runs_are_searched_in_the_experiments_that_are_named(client):
    other = client.create_experiment("other")
    here, there = log_run(client, "here", start=1), log_run(client, "there", start=2, experiment=other)
    client.delete_run(there)

    def found(experiments, view=ViewType.ACTIVE_ONLY):
        return [run.info.run_id for run in client.search_runs(experiments, run_view_type=view)]

    assert found(["0", other]) == [here]
    assert found(["0", other], ViewType.ALL) == [there, here]
    assert found([other], ViewType.DELETED_ONLY) == [there]
    assert found("0") == [here]
    assert found([]) == []
    assert found(["77"]) == []
    with pytest.raises(InvalidParameterError):
        found(["nope"])
    with pytest.raises(InvalidTypeError):
        found(None)
    with pytest.raises(InvalidParameterError):
        found(["0"], 9)


def test_experiments_are_found_by_what_they_are_and_by_tags(client):
    first = client.create_experiment("first", tags={"team": "blue"})
    second = client.create_experiment("Second", tags={"team": "Red"})
    client.delete_experiment(client.create_experiment("gone"))

    assert names(client.search_experiments(order_by=["name"])) == ["Default", "Second", "first"]
    assert names(client.search_experiments(view_type=ViewType.DELETED_ONLY)) == ["gone"]
    assert names(client.search_experiments(filter_string="tags.team ILIKE 'r%'")) == ["Second"]
    assert names(client.search_experiments(filter_string="NOT tags.team = 'blue'", order_by=["name"])) == [
        "Default",
        "Second",
    ]
    assert names(
        client.search_experiments(filter_string=f"experiment_id IN ('{first}', '{second}')", order_by=["name"])
    ) == [
        "Second",
        "first",
    ]
    assert names(client.search_experiments(order_by=["experiment_id DESC"])) == ["Second", "first", "Default"]
    assert client.search_experiments(filter_string="name = 'first'")[0].tags == {"team": "blue"}
    page = client.search_experiments(max_results=2, order_by=["name"])
    assert names(client.search_experiments(max_results=2, order_by=["name"], page_token=page.token)) == ["first"]


@pytest.mark.parametrize("filter_string", ["metrics.a > 1", "nothing = 'x'", "name = 5", "name ==", ";", "   "])
def test_a_filter_that_is_wrong_is_an_error_before_anything_is_opened(tmp_path, filter_string):
    client = MlflowClient(f"sqlite:///{tmp_path / 'none.db'}")

    with pytest.raises(InvalidFilterError):
        client.search_experiments(filter_string=filter_string)
    assert not (tmp_path / "none.db").exists()


class TestFluent:
    """Return the module-level functions with the default store."""

    def test_runs_come_as_a_frame_a_list_or_an_arrow_table(self):
        with registry.start_run() as run:
            registry.log_metric("m", 1.0)

        assert registry.search_runs()["metrics.m"].tolist() == [1.0]
        assert [found.info.run_id for found in registry.search_runs(output_format="list")] == [run.info.run_id]
        with pytest.raises(InvalidParameterError, match="Unsupported output format: 'csv'"):
            registry.search_runs(output_format="csv")
        with pytest.raises(InvalidParameterError, match="columns= is for DataFrames"):
            registry.search_runs(output_format="list", columns=["run_id"])

    def test_experiments_are_the_active_one_or_those_named_or_all(self, caplog):
        ids = {name: registry.create_experiment(name) for name in ("a", "b", "gone")}
        for name in ids:
            registry.set_experiment(name)
            with registry.start_run(run_name=name):
                pass
        registry.delete_experiment(ids["gone"])
        registry.set_experiment("a")

        def found(**query):
            return sorted(run.info.run_name for run in registry.search_runs(output_format="list", **query))

        assert found() == ["a"]
        assert found(experiment_ids=[ids["b"]]) == ["b"]
        assert found(experiment_names=["a", "b", "nope"]) == ["a", "b"]
        assert "Cannot retrieve experiment by name nope" in caplog.text
        assert found(experiment_names=["nope"]) == []
        assert found(search_all_experiments=True) == ["a", "b"]
        assert found(search_all_experiments=True, experiment_ids=[ids["b"]]) == ["b"]
        with pytest.raises(InvalidParameterError, match="but not both"):
            found(experiment_ids=["0"], experiment_names=["a"])
        assert [each.name for each in registry.search_experiments(max_results=1, order_by=["name DESC"])] == ["b"]

    def test_all_pages_are_joined_up_to_what_is_asked_for(self):
        for number in range(3):
            registry.MlflowClient().create_run("0", start_time=number)

        assert len(registry.search_runs(output_format="list", max_results=2)) == 2
        assert len(registry.search_runs(output_format="list")) == 3
        with pytest.raises(InvalidParameterError, match="positive integer"):
            registry.search_runs(output_format="list", max_results=0)

    def test_models_are_searched_without_a_client(self):
        client = registry.MlflowClient()
        client.create_registered_model("churn")
        client.create_registered_model("risk")
        model = client.create_logged_model("0", "forest", params={"depth": "3"})

        assert names(registry.search_registered_models(filter_string="name LIKE 'c%'")) == ["churn"]
        assert names(registry.search_registered_models(max_results=1, order_by=["name DESC"])) == ["risk"]
        assert registry.search_model_versions(filter_string="name = 'churn'") == []
        assert names(registry.search_logged_models(filter_string="params.depth = '3'", output_format="list")) == [
            "forest"
        ]
        frame = registry.search_logged_models()
        assert frame[["model_id", "status"]].values.tolist() == [[model.model_id, "PENDING"]]
        with pytest.raises(InvalidParameterError, match="Unsupported output format"):
            registry.search_logged_models(output_format="csv")
