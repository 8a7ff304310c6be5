"""Searches for registered models, their versions and logged models, on both databases."""

from pathlib import Path

import pytest
from searched_runs import NAN, log_run

from registry import MlflowClient
from registry.exceptions import InvalidFilterError, InvalidParameterError


@pytest.fixture
def client(database_url: str) -> MlflowClient:
    """Use a local artifact store only: searches depend on the database."""
    return MlflowClient(database_url)


@pytest.fixture
def source(tmp_path: Path) -> str:
    """Create a directory that can be registered."""
    directory = tmp_path / "source"
    directory.mkdir()
    (directory / "weights.bin").write_bytes(b"1")
    return str(directory)


@pytest.fixture
def models(client: MlflowClient, source: str) -> dict[str, str]:
    """Register `churn` with versions 1 to 3 (f1 of their runs: 0.7, 0.9, none) and `risk` with version 1."""
    runs = {
        "low": log_run(client, "low", start=1, metrics={"f1": 0.7}, params={"depth": "3"}),
        "high": log_run(client, "high", start=2, metrics={"f1": 0.9}, params={"depth": "5"}),
    }
    client.create_registered_model("churn", tags={"team": "blue"}, description="Who leaves")
    client.create_registered_model("risk")
    client.create_model_version("churn", source, run_id=runs["low"], tags={"ok": "yes"})
    client.create_model_version("churn", source, run_id=runs["high"])
    client.create_model_version("churn", source)
    client.create_model_version("risk", source, run_id=runs["low"])
    client.transition_model_version_stage("churn", 1, "Staging")
    client.transition_model_version_stage("churn", 1, "Production")
    client.transition_model_version_stage("churn", 2, "Staging")
    client.set_registered_model_alias("churn", "champion", 1)
    client.set_registered_model_alias("churn", "best", 1)
    return runs


VERSIONS = {
    "": "c1 c2 c3 r1",
    "name = 'churn'": "c1 c2 c3",
    "name LIKE 'r%' OR version = 3": "c3 r1",
    "version_number >= 2": "c2 c3",
    "version_number = '3'": "c3",
    "version IN (1, 3) AND name = 'churn'": "c1 c3",
    "stage = 'production'": "c1",
    "current_stage != 'None'": "c1 c2",
    "stage IN ('Staging', 'Production')": "c1 c2",
    "ever_stage = 'Staging'": "c1 c2",
    "ever_stage = 'Staging' AND stage = 'Production'": "c1",
    "ever_stage IS NULL": "c3 r1",
    "NOT ever_stage = 'Production'": "c2 c3 r1",
    "alias = 'champion'": "c1",
    "aliases LIKE 'b%'": "c1",
    "alias IS NULL": "c2 c3 r1",
    "tags.ok = 'yes'": "c1",
    "NOT tags.ok = 'yes'": "c2 c3 r1",
    "status = 'READY'": "c1 c2 c3 r1",
    "status != 'READY'": "",
    "metrics.f1 > 0.8": "c2",
    "NOT metrics.f1 > 0.8": "c1 c3 r1",
    "metrics.f1 IS NULL": "c3",
    "params.depth = '3'": "c1 r1",
    "metrics.f1 >= 0.7 AND ever_stage = 'Staging' AND params.depth = '3'": "c1",
    "run_id IS NULL": "c3",
    "description IS NULL": "c1 c2 c3 r1",
    "creation_timestamp > 0": "c1 c2 c3 r1",
    "creation_timestamp < '2001-01-01T00:00:00Z'": "",
    "digest LIKE '%' AND model_id LIKE 'm-%'": "c1 c2 c3 r1",
}


def shown(found) -> str:
    return " ".join(sorted(f"{version.name[0]}{version.version}" for version in found))


def test_filters_find_these_versions(client, models):
    assert {text: shown(client.search_model_versions(text)) for text in VERSIONS} == VERSIONS
    assert shown(client.search_model_versions(f"run_id = '{models['low']}'")) == "c1 r1"


def test_versions_come_with_tags_and_aliases_last_updated_first(client, models):
    found = client.search_model_versions("version = 1 AND name = 'churn'")[0]
    everything = [(each.last_updated_timestamp, each.name, each.version) for each in client.search_model_versions()]

    assert (found.tags, found.aliases, found.current_stage) == ({"ok": "yes"}, ["best", "champion"], "Production")
    assert everything == sorted(everything, key=lambda key: (-key[0], key[1], -key[2]))


def test_the_best_version_that_was_ever_in_a_stage_comes_first(client, models):
    found = client.search_model_versions("ever_stage = 'Staging'", order_by=["metrics.f1 DESC"])
    ordered = client.search_model_versions("name = 'churn'", order_by=["metrics.f1"])

    assert [version.version for version in found] == [2, 1]
    assert [version.version for version in ordered] == [1, 2, 3]


def test_versions_are_ordered_by_what_they_are(client, models):
    def ordered(*order_by):
        found = client.search_model_versions(order_by=list(order_by))
        return " ".join(f"{version.name[0]}{version.version}" for version in found)

    assert ordered("name DESC", "version") == "r1 c1 c2 c3"
    assert ordered("current_stage", "version_number DESC", "name") == "c3 r1 c1 c2"
    assert ordered("status", "name", "version_number DESC") == "c3 c2 c1 r1"
    assert ordered("tags.ok", "name", "version") == "c1 c2 c3 r1"
    assert ordered("params.depth DESC", "name", "version") == "c2 c1 r1 c3"


def test_pages_of_versions_joined_are_the_whole_order(client, models):
    order_by = ["metrics.f1 DESC", "name", "version"]
    found, token = [], None
    for _ in range(4):
        page = client.search_model_versions(max_results=1, order_by=order_by, page_token=token)
        found += page
        token = page.token

    assert [(version.name, version.version) for version in found] == [
        ("churn", 2),
        ("churn", 1),
        ("risk", 1),
        ("churn", 3),
    ]
    assert token is None
    with pytest.raises(InvalidParameterError, match="another query"):
        client.search_model_versions("name = 'churn'", page_token=client.search_model_versions(max_results=1).token)


def test_deleted_versions_and_models_are_not_found(client, models):
    client.delete_model_version("churn", 3)
    client.delete_registered_model("risk")

    assert shown(client.search_model_versions()) == "c1 c2"
    assert [model.name for model in client.search_registered_models()] == ["churn"]


def test_models_are_found_with_tags_aliases_and_latest_versions(client, models):
    def found(filter_string, **query):
        return [model.name for model in client.search_registered_models(filter_string, **query)]

    churn = client.search_registered_models("name = 'churn'")[0]
    assert (churn.tags, churn.aliases) == ({"team": "blue"}, {"best": 1, "champion": 1})
    assert sorted((each.version, each.aliases) for each in churn.latest_versions) == [
        (1, ["best", "champion"]),
        (2, []),
        (3, []),
    ]
    assert found(None) == ["churn", "risk"]
    assert found("name ILIKE 'CH%'") == ["churn"]
    assert found("name NOT IN ('churn')") == ["risk"]
    assert found("tags.team != 'blue'") == []
    assert found("NOT tags.team = 'blue'") == ["risk"]
    assert found("alias = 'champion'") == ["churn"]
    assert found("description LIKE '%leaves'") == ["churn"]
    assert found(None, order_by=["name DESC"]) == ["risk", "churn"]
    assert found(None, order_by=["description"]) == ["churn", "risk"]
    assert found(None, order_by=["timestamp DESC", "name"]) == sorted(
        found(None), key=lambda name: (-client.get_registered_model(name).last_updated_timestamp, name)
    )
    with pytest.raises(InvalidFilterError):
        found("stage = 'Production'")


class TestLoggedModels:
    """Log a metric of logged models with several points on several data sets."""

    @pytest.fixture
    def logged(self, client: MlflowClient) -> dict[str, str]:
        made = {
            name: client.create_logged_model("0", name, params={"p": name}, tags={"t": name}, model_type=kind).model_id
            for name, kind in (("a", "agent"), ("b", None), ("c", None))
        }
        run = log_run(client, "measuring", start=1)
        points = [
            ("a", "acc", 0.5, 1, "train", "d1"),
            ("a", "acc", 0.9, 2, "test", "d2"),
            ("b", "acc", 0.7, 5, "train", "d1"),
            ("b", "acc", NAN, 3, "test", "d3"),
        ]
        for name, key, value, timestamp, dataset, digest in points:
            client.log_metric(
                run, key, value, timestamp, model_id=made[name], dataset_name=dataset, dataset_digest=digest
            )
        return made

    @staticmethod
    def found(client, filter_string=None, **query) -> str:
        return "".join(model.name for model in client.search_logged_models(["0"], filter_string, **query))

    def test_a_filter_on_a_metric_holds_if_one_point_does(self, client, logged):
        newest = [{"field_name": "name"}]
        cases = {
            "metrics.acc > 0.8": "a",
            "metrics.acc <= 0.7": "ab",
            "metrics.acc IS NULL": "c",
            "params.p = 'b' OR tags.t = 'c'": "bc",
            "model_type = 'agent'": "a",
            "NOT model_type = 'agent'": "bc",
            "status = 'PENDING' AND name != 'a'": "bc",
            f"model_id = '{logged['b']}'": "b",
            "creation_time > 0": "abc",
        }
        assert {text: self.found(client, text, order_by=newest) for text in cases} == cases

    def test_data_sets_say_which_points_count_in_the_filter(self, client, logged):
        by_name = [{"field_name": "name"}]
        train = [{"dataset_name": "train"}]

        assert self.found(client, "metrics.acc > 0.4", datasets=train, order_by=by_name) == "ab"
        assert self.found(client, "metrics.acc > 0.6", datasets=train, order_by=by_name) == "b"
        assert self.found(client, datasets=[{"dataset_name": "test", "dataset_digest": "d2"}]) == "a"
        with pytest.raises(InvalidParameterError, match="dataset_name"):
            self.found(client, datasets=[{"dataset_digest": "d2"}])

    def test_an_order_by_a_metric_goes_by_the_latest_point(self, client, logged):
        def ordered(**clause):
            return self.found(client, order_by=[{"field_name": "metrics.acc", **clause}])

        assert ordered() == "bac"
        assert ordered(ascending=False) == "abc"
        assert ordered(dataset_name="train") == "abc"
        assert ordered(dataset_name="test") == "abc"
        assert ordered(dataset_name="test", dataset_digest="d3")[0] == "b"
        for wrong in ({"dataset_digest": "d1"}, {"nothing": 1}, {"field_name": "alias"}, {"field_name": ""}):
            with pytest.raises(InvalidParameterError):
                ordered(**wrong)
        with pytest.raises(InvalidParameterError, match="not a metric"):
            ordered(field_name="name", dataset_name="train")

    def test_the_newest_come_first_in_pages(self, client, logged):
        whole = self.found(client)
        first = client.search_logged_models(["0"], max_results=2)
        rest = client.search_logged_models(["0"], max_results=2, page_token=first.token)

        assert "".join(model.name for model in [*first, *rest]) == whole
        assert sorted(whole) == ["a", "b", "c"]
        assert rest.token is None
        client.delete_logged_model(logged["b"])
        assert sorted(self.found(client)) == ["a", "c"]
        assert client.search_logged_models([]) == []
