"""Experiments through the client, on both databases: MLflow's behaviour and error codes."""

from pathlib import Path
from typing import Any

import pytest

from registry import MlflowClient
from registry.entities import ViewType
from registry.exceptions import RegistryError


@pytest.fixture
def client(database_url: str) -> MlflowClient:
    return MlflowClient(database_url)


def code_of(call: Any, *arguments: Any, **named: Any) -> str:
    with pytest.raises(RegistryError) as caught:
        call(*arguments, **named)
    return caught.value.error_code


def test_the_default_experiment_is_there_from_the_start(client: MlflowClient, own_place: Path) -> None:
    default = client.get_experiment("0")

    assert (default.name, default.lifecycle_stage, default.tags) == ("Default", "active", {})
    assert default.artifact_location == str(own_place / "mlruns" / "0")


def test_a_new_experiment_comes_back_as_it_was_made(client: MlflowClient, own_place: Path) -> None:
    made = client.create_experiment("nba", tags={"team": "east", "season": 2026})
    found = client.get_experiment(made)

    assert isinstance(made, str)
    assert (found.experiment_id, found.name) == (made, "nba")
    assert found.tags == {"season": "2026", "team": "east"}
    assert found.artifact_location == str(own_place / "mlruns" / made)
    assert found == client.get_experiment_by_name("nba")
    assert found.creation_time == found.last_update_time


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("s3://bucket/prefix", "s3://bucket/prefix"),
        ("file:///data/a", "/data/a"),
        ("/data/a b", "/data/a b"),
    ],
)
def test_bytes_lie_where_it_says(given: str, stored: str, client: MlflowClient) -> None:
    experiment = client.get_experiment(client.create_experiment("nba", artifact_location=given))
    run = client.create_run(experiment.experiment_id)

    assert experiment.artifact_location == stored
    assert run.info.artifact_uri == f"{stored}/{run.info.run_id}/artifacts"


def test_a_long_location_does_not_break_runs(client: MlflowClient) -> None:
    location = "s3://bucket/" + "/".join(["segment"] * 100)
    run = client.create_run(client.create_experiment("nba", artifact_location=location))

    assert client.get_run(run.info.run_id).info.artifact_uri == f"{location}/{run.info.run_id}/artifacts"


@pytest.mark.parametrize("given", ["runs:/abc/x", "models:/a/1", "http://host/x", "s3://", "", "s3://b/../c"])
def test_a_location_that_is_no_place_is_refused(given: str, client: MlflowClient) -> None:
    assert code_of(client.create_experiment, "nba", artifact_location=given) == "INVALID_PARAMETER_VALUE"
    assert client.get_experiment_by_name("nba") is None


@pytest.mark.parametrize("name", ["", None, 3, " ", "a\nb", "a\0b", "half \ud800", "x" * 501, " a", "a "])
def test_a_name_outside_the_grammar_is_refused(name: Any, client: MlflowClient) -> None:
    assert code_of(client.create_experiment, name) == "INVALID_PARAMETER_VALUE"
    assert [found.name for found in client.search_experiments()] == ["Default"]


@pytest.mark.parametrize(
    "name", ["x" * 500, "a/b:c", "it's; DROP TABLE runs --", 'a "b"', "Prognose für Köln", "篮球 🏀"]
)
def test_any_printable_name_comes_back(name: str, client: MlflowClient) -> None:
    made = client.create_experiment(name)

    found = client.get_experiment_by_name(name)
    assert found is not None
    assert (found.experiment_id, found.name) == (made, name)


def test_a_name_is_given_once_even_if_its_experiment_is_deleted(client: MlflowClient) -> None:
    made = client.create_experiment("nba")
    assert code_of(client.create_experiment, "nba") == "RESOURCE_ALREADY_EXISTS"

    client.delete_experiment(made)

    with pytest.raises(RegistryError, match="restore_experiment") as caught:
        client.create_experiment("nba")
    assert caught.value.error_code == "RESOURCE_ALREADY_EXISTS"


@pytest.mark.parametrize("experiment_id", ["99", "123456789012345678"])
def test_a_missing_experiment_does_not_exist(experiment_id: str, client: MlflowClient) -> None:
    for call in (client.get_experiment, client.delete_experiment, client.restore_experiment, client.create_run):
        assert code_of(call, experiment_id) == "RESOURCE_DOES_NOT_EXIST"
    assert code_of(client.rename_experiment, experiment_id, "new") == "RESOURCE_DOES_NOT_EXIST"
    assert code_of(client.set_experiment_tag, experiment_id, "a", "b") == "RESOURCE_DOES_NOT_EXIST"


@pytest.mark.parametrize("experiment_id", ["x", "", "-1", "1.0", "1; DROP TABLE runs", "²", "9" * 30])
def test_an_id_that_is_no_integer_is_refused(experiment_id: str, client: MlflowClient) -> None:
    assert code_of(client.get_experiment, experiment_id) == "INVALID_PARAMETER_VALUE"
    assert code_of(client.create_run, experiment_id) == "INVALID_PARAMETER_VALUE"


def test_a_missing_name_is_none(client: MlflowClient) -> None:
    assert client.get_experiment_by_name("nothing") is None


def test_names_are_told_apart_exactly(client: MlflowClient) -> None:
    client.create_experiment("nba")

    assert client.get_experiment_by_name("NBA") is None
    assert client.create_experiment("NBA") != "0"


def test_a_renamed_experiment_keeps_its_id_and_place(client: MlflowClient) -> None:
    made = client.create_experiment("nba")
    before = client.get_experiment(made)
    client.rename_experiment(made, "wnba")
    client.rename_experiment(made, "wnba")

    found = client.get_experiment(made)
    assert (found.name, found.artifact_location) == ("wnba", before.artifact_location)
    assert client.get_experiment_by_name("nba") is None


def test_a_name_that_is_taken_cannot_be_renamed_to(client: MlflowClient) -> None:
    made = client.create_experiment("nba")
    client.create_experiment("wnba")

    assert code_of(client.rename_experiment, made, "wnba") == "RESOURCE_ALREADY_EXISTS"
    assert code_of(client.rename_experiment, made, "a\nb") == "INVALID_PARAMETER_VALUE"
    assert client.get_experiment(made).name == "nba"


def test_deleting_and_restoring_takes_along_the_runs_that_were_active(client: MlflowClient) -> None:
    made = client.create_experiment("nba")
    kept, gone = (client.create_run(made).info.run_id for _ in range(2))
    client.delete_run(gone)

    client.delete_experiment(made)
    assert client.get_experiment(made).lifecycle_stage == "deleted"
    assert [client.get_run(run).info.lifecycle_stage for run in (kept, gone)] == ["deleted", "deleted"]
    assert code_of(client.create_run, made) == "INVALID_PARAMETER_VALUE"
    assert code_of(client.rename_experiment, made, "new") == "INVALID_STATE"
    assert code_of(client.set_experiment_tag, made, "a", "b") == "INVALID_STATE"
    assert code_of(client.delete_experiment, made) == "RESOURCE_DOES_NOT_EXIST"

    client.restore_experiment(made)
    assert client.get_experiment(made).lifecycle_stage == "active"
    assert [client.get_run(run).info.lifecycle_stage for run in (kept, gone)] == ["active", "deleted"]
    assert code_of(client.restore_experiment, made) == "RESOURCE_DOES_NOT_EXIST"


def test_an_experiment_is_deleted_only_in_its_own_view(client: MlflowClient) -> None:
    made = client.create_experiment("nba")
    client.delete_experiment(made)

    assert [e.name for e in client.search_experiments()] == ["Default"]
    assert [e.name for e in client.search_experiments(ViewType.DELETED_ONLY)] == ["nba"]
    assert {e.name for e in client.search_experiments(ViewType.ALL)} == {"Default", "nba"}


def test_tags_are_set_overwritten_and_deleted(client: MlflowClient) -> None:
    made = client.create_experiment("nba", tags={"a": "1"})
    client.set_experiment_tag(made, "a", 2)
    client.set_experiment_tag(made, "b/c.d", "")

    assert client.get_experiment(made).tags == {"a": "2", "b/c.d": ""}
    client.delete_experiment_tag(made, "a")
    assert client.get_experiment(made).tags == {"b/c.d": ""}
    assert code_of(client.delete_experiment_tag, made, "a") == "RESOURCE_DOES_NOT_EXIST"


@pytest.mark.parametrize(
    ("key", "value"),
    [("a@b", "x"), ("", "x"), ("../a", "x"), ("k" * 251, "x"), (None, "x"), ("a", "x" * 20_001), ("a", "n\0l")],
)
def test_a_tag_that_cannot_be_stored_is_refused(key: Any, value: str, client: MlflowClient) -> None:
    assert code_of(client.create_experiment, "nba", tags={key: value}) == "INVALID_PARAMETER_VALUE"
    assert code_of(client.set_experiment_tag, "0", key, value) == "INVALID_PARAMETER_VALUE"
    assert client.get_experiment("0").tags == {}
    assert client.get_experiment_by_name("nba") is None


def test_the_default_experiment_can_be_deleted_and_stays_so(client: MlflowClient, database_url: str) -> None:
    client.delete_experiment("0")

    assert MlflowClient(database_url).get_experiment("0").lifecycle_stage == "deleted"
