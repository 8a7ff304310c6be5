"""Registered models through the client, on both databases."""

import unicodedata
from typing import Any

import pytest
from governed_models import register, stages

from registry import MlflowClient
from registry.exceptions import (
    AlreadyExistsError,
    InUseError,
    InvalidNameError,
    ModelNotFoundError,
    RegistryError,
    VersionNotFoundError,
)


@pytest.fixture
def client(database_url: str) -> MlflowClient:
    return MlflowClient(database_url)


def code_of(call: Any, *arguments: Any, **named: Any) -> str:
    with pytest.raises(RegistryError) as caught:
        call(*arguments, **named)
    return caught.value.error_code


def names(client: MlflowClient) -> list[str]:
    return [model.name for model in client.search_registered_models()]


def test_a_new_model_comes_back_as_it_was_made(client: MlflowClient) -> None:
    made = client.create_registered_model("churn", {"team": 1}, "who leaves")

    assert client.get_registered_model("churn") == made
    assert (made.name, made.description, made.tags) == ("churn", "who leaves", {"team": "1"})
    assert (made.latest_versions, made.aliases) == ([], {})
    assert made.creation_timestamp > 0


def test_a_name_is_given_once(client: MlflowClient) -> None:
    client.create_registered_model("churn")

    with pytest.raises(AlreadyExistsError, match=r"^Registered Model \(name=churn\) already exists\.$") as caught:
        client.create_registered_model("churn", description="other")
    assert caught.value.error_code == "RESOURCE_ALREADY_EXISTS"
    assert client.get_registered_model("churn").description is None


GOOD_NAMES = [
    "a b",
    "it's",
    'the "best"',
    "100%",
    "None",
    "latest",
    "Production",
    "1",
    "m-abc",
    "größe",
    "篮球 🏀",
    "x" * 256,
    "'; DROP TABLE registered_models; --",
    "a\\b",
    "a*b",
]
BAD_NAMES = [
    "",
    None,
    5,
    " ",
    ".",
    "..",
    "a/b",
    "a:b",
    "a@b",
    "a?b",
    "a\nb",
    "a\0b",
    "a\u202eb",
    "a\u200bb",
    " a",
    "a ",
    "half \ud800",
    "x" * 257,
    "m-" + "0" * 32,
    unicodedata.normalize("NFD", "größe"),
]


@pytest.mark.parametrize("name", GOOD_NAMES)
def test_a_printable_name_can_be_used_everywhere(name: str, client: MlflowClient) -> None:
    client.create_registered_model(name)
    register(client, name)
    client.transition_model_version_stage(name, 1, "Production")
    client.set_registered_model_alias(name, "best", 1)

    assert client.get_registered_model(name).aliases == {"best": 1}
    assert client.resolve(f"models:/{name}/1") == client.resolve(f"models:/{name}/production")
    assert client.resolve(f"models:/{name}@best").name == name


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_outside_the_grammar_is_refused_everywhere(name: Any, client: MlflowClient) -> None:
    with pytest.raises(InvalidNameError if name != 5 else RegistryError) as caught:
        client.create_registered_model(name)
    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"
    for call in (client.get_registered_model, client.delete_registered_model, client.get_latest_versions):
        assert code_of(call, name) == "INVALID_PARAMETER_VALUE"
    assert code_of(client.get_model_version, name, 1) == "INVALID_PARAMETER_VALUE"
    assert code_of(client.register_model, "m-x", name) == "INVALID_PARAMETER_VALUE"
    client.create_registered_model("a")
    assert code_of(client.rename_registered_model, "a", name) == "INVALID_PARAMETER_VALUE"
    assert names(client) == ["a"]


def test_a_missing_name_is_told_as_mlflow_tells_it(client: MlflowClient) -> None:
    with pytest.raises(InvalidNameError, match=r"^Missing value for required parameter 'name'\.$"):
        client.create_registered_model("")


@pytest.mark.parametrize(
    ("first", "twin"), [("churn", "Churn"), ("churn", "ｃhurn"), ("straße", "STRASSE"), ("ﬁt", "fit"), ("Å", "å")]
)
def test_a_name_that_cannot_be_told_from_another_is_refused(first: str, twin: str, client: MlflowClient) -> None:
    client.create_registered_model(first)
    client.create_registered_model("other")

    for call in (
        lambda: client.create_registered_model(twin),
        lambda: client.rename_registered_model("other", twin),
        lambda: register(client, twin),
    ):
        with pytest.raises(AlreadyExistsError, match=f"is too similar to the existing '{first}'"):
            call()
    with pytest.raises(ModelNotFoundError):
        client.get_registered_model(twin)
    assert sorted(names(client)) == sorted([first, "other"])


def test_a_name_may_be_renamed_to_its_own_twin(client: MlflowClient) -> None:
    client.create_registered_model("churn")

    assert client.rename_registered_model("churn", "Churn").name == "Churn"
    assert names(client) == ["Churn"]


def test_a_missing_model_does_not_exist(client: MlflowClient) -> None:
    calls: list[tuple[Any, ...]] = [
        (client.get_registered_model, "none"),
        (client.rename_registered_model, "none", "other"),
        (client.update_registered_model, "none", "text"),
        (client.delete_registered_model, "none"),
        (client.set_registered_model_tag, "none", "a", "b"),
        (client.delete_registered_model_tag, "none", "a"),
        (client.get_latest_versions, "none"),
        (client.get_model_version, "none", 1),
        (client.create_model_version, "none", "/nowhere"),
        (client.transition_model_version_stage, "none", 1, "Production"),
        (client.set_registered_model_alias, "none", "best", 1),
        (client.delete_registered_model_alias, "none", "best"),
        (client.get_model_version_by_alias, "none", "best"),
        (client.get_model_version_download_uri, "none", 1),
    ]
    for call, *arguments in calls:
        with pytest.raises(ModelNotFoundError, match="Registered Model with name=none not found") as caught:
            call(*arguments)
        assert caught.value.error_code == "RESOURCE_DOES_NOT_EXIST"


def test_a_missing_model_is_told_with_the_nearest_names(client: MlflowClient) -> None:
    for name in ("home-win", "away-win", "Home-total", "gone"):
        client.create_registered_model(name)
    client.delete_registered_model("gone")

    for call in (client.get_registered_model, client.get_history):
        with pytest.raises(ModelNotFoundError, match=r"\. Did you mean 'home-win'") as caught:
            call("home_win")
        assert caught.value.message.startswith("Registered Model with name=home_win not found")
    with pytest.raises(ModelNotFoundError) as unlike:
        client.get_registered_model("gonee")
    assert unlike.value.message == "Registered Model with name=gonee not found"


def test_a_missing_version_is_told_with_those_that_exist(client: MlflowClient) -> None:
    client.create_registered_model("empty")
    register(client, "churn", 2)
    register(client, "price", 1)

    said = {}
    for name in ("empty", "churn", "price"):
        with pytest.raises(VersionNotFoundError) as caught:
            client.get_model_version(name, 7)
        said[name] = caught.value.message.partition(" not found; ")[2]
    assert said == {
        "empty": "it has none.",
        "churn": "the newest that exist are 2, 1.",
        "price": "only 1 exists.",
    }


def test_versions_tags_and_aliases_follow_a_renamed_model(client: MlflowClient) -> None:
    register(client, "churn", 2)
    client.set_registered_model_tag("churn", "a", "b")
    client.set_registered_model_alias("churn", "best", 2)
    client.transition_model_version_stage("churn", 1, "Production")

    renamed = client.rename_registered_model("churn", "leavers")

    assert (renamed.name, renamed.tags, renamed.aliases) == ("leavers", {"a": "b"}, {"best": 2})
    assert stages(client, "leavers") == {1: "Production", 2: "None"}
    assert client.get_model_version("leavers", 2).name == "leavers"
    with pytest.raises(ModelNotFoundError, match="it was renamed to 'leavers'"):
        client.get_registered_model("churn")
    client.create_registered_model("churn")
    assert client.rename_registered_model("leavers", "leavers").name == "leavers"


def test_a_name_that_is_taken_cannot_be_renamed_to(client: MlflowClient) -> None:
    client.create_registered_model("a")
    client.create_registered_model("b")

    assert code_of(client.rename_registered_model, "a", "b") == "RESOURCE_ALREADY_EXISTS"
    assert sorted(names(client)) == ["a", "b"]


def test_an_update_without_a_value_changes_nothing(client: MlflowClient) -> None:
    client.create_registered_model("churn", description="text")

    assert client.update_registered_model("churn").description == "text"
    assert client.update_registered_model("churn", "").description == ""
    assert client.update_registered_model("churn", "new 'text' 🏀\n").description == "new 'text' 🏀\n"


@pytest.mark.parametrize("text", ["n\0l", "x" * 100_001])
def test_a_description_that_cannot_be_stored_is_refused(text: str, client: MlflowClient) -> None:
    assert code_of(client.create_registered_model, "churn", description=text) == "INVALID_PARAMETER_VALUE"
    client.create_registered_model("churn")
    assert code_of(client.update_registered_model, "churn", text) == "INVALID_PARAMETER_VALUE"
    assert client.get_registered_model("churn").description is None


def test_tags_are_text_and_deleting_a_missing_one_is_silent(client: MlflowClient) -> None:
    client.create_registered_model("churn")
    client.set_registered_model_tag("churn", "a", 1)
    client.set_registered_model_tag("churn", "a", None)
    client.set_registered_model_tag("churn", "long", "x" * 100_000)
    assert client.get_registered_model("churn").tags == {"a": "None", "long": "x" * 100_000}

    client.delete_registered_model_tag("churn", "a")
    client.delete_registered_model_tag("churn", "a")
    client.delete_registered_model_tag("churn", "long")
    assert client.get_registered_model("churn").tags == {}
    assert code_of(client.set_registered_model_tag, "churn", "a", "x" * 100_001) == "INVALID_PARAMETER_VALUE"
    assert code_of(client.set_registered_model_tag, "churn", "a@b", "x") == "INVALID_PARAMETER_VALUE"


@pytest.mark.parametrize("stage", ["Staging", "Production"])
def test_a_model_in_use_is_deleted_only_by_force(stage: str, client: MlflowClient) -> None:
    register(client, "churn")
    client.transition_model_version_stage("churn", 1, stage)

    with pytest.raises(InUseError, match=rf"{stage} \(version 1\).*force=True") as caught:
        client.delete_registered_model("churn")
    assert caught.value.error_code == "RESOURCE_CONFLICT"
    assert stages(client, "churn") == {1: stage}

    client.delete_registered_model("churn", force=True)
    assert names(client) == []


def test_a_name_used_again_is_another_model(client: MlflowClient) -> None:
    register(client, "churn", 2)
    client.set_registered_model_alias("churn", "best", 2)
    client.set_registered_model_tag("churn", "a", "b")
    first = client.get_registered_model("churn").model_uid
    client.delete_registered_model("churn")

    assert code_of(client.get_model_version, "churn", 1) == "RESOURCE_DOES_NOT_EXIST"
    assert client.search_model_versions() == []
    assert register(client, "churn") == [1]
    again = client.get_registered_model("churn")
    assert (again.aliases, again.tags) == ({}, {})
    assert again.model_uid != first


def test_searches_and_reads_have_the_aliases(client: MlflowClient) -> None:
    register(client, "churn", 2)
    client.set_registered_model_alias("churn", "best", 1)
    client.set_registered_model_alias("churn", "newest", 2)

    assert [dict(model.aliases) for model in client.search_registered_models()] == [{"best": 1, "newest": 2}]
    assert {v.version: v.aliases for v in client.search_model_versions("name = 'churn'")} == {
        1: ["best"],
        2: ["newest"],
    }
    assert [v.aliases for v in client.get_registered_model("churn").latest_versions] == [["newest"]]
