"""Versions, stages and aliases through the client, on both databases."""

from typing import Any

import pytest
from governed_models import raw_connection, register, sealed_model, stages

from registry import MlflowClient
from registry.exceptions import (
    AliasNotFoundError,
    InUseError,
    InvalidParameterError,
    RegistryError,
    StageConflictError,
    StageOccupiedError,
    VersionNotFoundError,
)


@pytest.fixture
def client(database_url: str) -> MlflowClient:
    return MlflowClient(database_url)


@pytest.fixture
def three(client: MlflowClient) -> MlflowClient:
    """A client of a registry whose model ``churn`` has the versions 1, 2 and 3."""
    register(client, "churn", 3)
    return client


def code_of(call: Any, *arguments: Any, **named: Any) -> str:
    with pytest.raises(RegistryError) as caught:
        call(*arguments, **named)
    return caught.value.error_code


def test_versions_are_numbered_from_1_and_never_again(client: MlflowClient) -> None:
    assert register(client, "churn", 3) == [1, 2, 3]
    client.delete_model_version("churn", 3)
    client.delete_model_version("churn", 1)

    assert register(client, "churn") == [4]
    assert register(client, "other") == [1]


def test_a_version_names_what_it_was_made_of(client: MlflowClient) -> None:
    run = client.create_run("0").info.run_id
    model = sealed_model(client, source_run_id=run)
    client.create_registered_model("churn")
    made = client.create_model_version(
        "churn", f"models:/{model}", run, {"a": 1}, "https://ci/7", "a first try", model_id=model
    )

    assert made == client.get_model_version("churn", 1)
    assert (made.name, made.version, made.current_stage, made.status) == ("churn", 1, "None", "READY")
    assert (made.run_id, made.run_link, made.source, made.model_id) == (run, "https://ci/7", f"models:/{model}", model)
    assert (made.description, made.tags, made.aliases, made.user_id) == ("a first try", {"a": "1"}, [], "tester")
    assert made.digest == client.get_logged_model(model).digest


@pytest.mark.parametrize("version", [2, "2", "02"])
def test_a_version_is_an_integer_or_its_digits(version: Any, three: MlflowClient) -> None:
    assert three.get_model_version("churn", version).version == 2
    assert three.transition_model_version_stage("churn", version, "Production").version == 2
    three.set_registered_model_alias("churn", "best", version)
    three.set_model_version_tag("churn", version, "a", "b")
    three.update_model_version("churn", version, "text")
    assert three.get_model_version_by_alias("churn", "best").description == "text"
    three.delete_model_version("churn", version, force=True)
    assert stages(three, "churn") == {1: "None", 3: "None"}


@pytest.mark.parametrize("version", ["x", "", None, "1.0", 1.0, "+1", " 1", "1_0", "²", "٣", "-1", -1, True, "9" * 30])
def test_what_is_no_version_number_is_refused(version: Any, three: MlflowClient) -> None:
    calls: list[tuple[Any, ...]] = [
        (three.get_model_version, version),
        (three.delete_model_version, version),
        (three.update_model_version, version, "text"),
        (three.transition_model_version_stage, version, "Production"),
        (three.get_model_version_download_uri, version),
    ]
    for call, *arguments in calls:
        assert code_of(call, "churn", *arguments) == "INVALID_PARAMETER_VALUE"
    assert code_of(three.set_registered_model_alias, "churn", "best", version) == "INVALID_PARAMETER_VALUE"
    assert stages(three, "churn") == {1: "None", 2: "None", 3: "None"}


@pytest.mark.parametrize("version", [0, 9, "999999999999999999"])
def test_a_missing_version_does_not_exist(version: Any, three: MlflowClient) -> None:
    calls: list[tuple[Any, ...]] = [
        (three.get_model_version, version),
        (three.delete_model_version, version),
        (three.update_model_version, version, "text"),
        (three.transition_model_version_stage, version, "Production"),
        (three.set_model_version_tag, version, "a", "b"),
        (three.delete_model_version_tag, version, "a"),
        (three.get_model_version_download_uri, version),
    ]
    for call, *arguments in calls:
        with pytest.raises(VersionNotFoundError, match=rf"Model Version \(name=churn, version={version}\) not found"):
            call("churn", *arguments)
    assert code_of(three.set_registered_model_alias, "churn", "best", version) == "RESOURCE_DOES_NOT_EXIST"


def test_an_update_without_a_value_changes_nothing(three: MlflowClient) -> None:
    three.update_model_version("churn", 1, "text")

    assert three.update_model_version("churn", 1).description == "text"
    assert three.update_model_version("churn", 1, "").description == ""


def test_tags_go_to_a_number_or_to_the_newest_of_a_stage(three: MlflowClient) -> None:
    three.set_model_version_tag("churn", 1, "a", 1)
    three.set_model_version_tag("churn", stage="none", key="b", value="newest")
    three.transition_model_version_stage("churn", 2, "Production")
    three.set_model_version_tag("churn", stage="Production", key="c", value="held")

    assert [three.get_model_version("churn", n).tags for n in (1, 2, 3)] == [{"a": "1"}, {"c": "held"}, {"b": "newest"}]
    three.delete_model_version_tag("churn", 1, "a")
    three.delete_model_version_tag("churn", 1, "a")
    three.delete_model_version_tag("churn", key="c", stage="production")
    assert [three.get_model_version("churn", n).tags for n in (1, 2)] == [{}, {}]


def test_a_tag_needs_exactly_one_version(three: MlflowClient) -> None:
    assert code_of(three.set_model_version_tag, "churn", key="a", value="b") == "INVALID_PARAMETER_VALUE"
    assert code_of(three.set_model_version_tag, "churn", 1, "a", "b", stage="None") == "INVALID_PARAMETER_VALUE"
    assert code_of(three.set_model_version_tag, "churn", key="a", value="b", stage="Prod") == "INVALID_PARAMETER_VALUE"
    with pytest.raises(VersionNotFoundError, match="any model version for Staging stage"):
        three.set_model_version_tag("churn", key="a", value="b", stage="Staging")


# Stages


@pytest.mark.parametrize(
    ("given", "canonical"),
    [("production", "Production"), ("STAGING", "Staging"), ("none", "None"), ("aRcHiVeD", "Archived")],
)
def test_a_stage_is_taken_in_any_case(given: str, canonical: str, three: MlflowClient) -> None:
    assert three.transition_model_version_stage("churn", 1, given).current_stage == canonical
    assert three.transition_model_version_stage("churn", 1, given).current_stage == canonical


@pytest.mark.parametrize("stage", ["Prod", "", None, 1, "Production ", "production;", "Deleted_Internal"])
def test_an_unknown_stage_is_refused(stage: Any, three: MlflowClient) -> None:
    with pytest.raises(InvalidParameterError, match="Value must be one of None, Staging, Production, Archived"):
        three.transition_model_version_stage("churn", 1, stage)
    assert code_of(three.get_latest_versions, "churn", [stage]) == "INVALID_PARAMETER_VALUE"
    assert stages(three, "churn") == {1: "None", 2: "None", 3: "None"}


@pytest.mark.parametrize("stage", ["Staging", "Production"])
def test_promoting_archives_the_holder_unless_told_not_to(stage: str, three: MlflowClient) -> None:
    three.transition_model_version_stage("churn", 1, stage)
    three.transition_model_version_stage("churn", 2, stage)
    assert stages(three, "churn") == {1: "Archived", 2: stage, 3: "None"}

    with pytest.raises(StageOccupiedError, match=f"Version 2 of 'churn' is in stage {stage}") as caught:
        three.transition_model_version_stage("churn", 3, stage, archive_existing_versions=False)
    assert caught.value.error_code == "RESOURCE_CONFLICT"
    assert stages(three, "churn") == {1: "Archived", 2: stage, 3: "None"}

    three.transition_model_version_stage("churn", 2, stage, archive_existing_versions=False)
    assert stages(three, "churn") == {1: "Archived", 2: stage, 3: "None"}


@pytest.mark.parametrize("stage", ["None", "Archived"])
@pytest.mark.parametrize("archive", [True, False])
def test_stages_that_are_not_active_have_room_for_many(stage: str, archive: bool, three: MlflowClient) -> None:
    for version in (1, 2, 3):
        three.transition_model_version_stage("churn", version, stage, archive_existing_versions=archive)

    assert stages(three, "churn") == {1: stage, 2: stage, 3: stage}


def test_moving_on_leaves_a_stage_empty(three: MlflowClient) -> None:
    three.transition_model_version_stage("churn", 1, "Staging")
    three.transition_model_version_stage("churn", 1, "Production")

    assert stages(three, "churn") == {1: "Production", 2: "None", 3: "None"}
    assert three.get_latest_versions("churn", ["Staging"]) == []


@pytest.mark.parametrize("stage", ["Staging", "Production"])
def test_raw_sql_cannot_make_a_second_holder(stage: str, three: MlflowClient, database_url: str) -> None:
    three.transition_model_version_stage("churn", 1, stage)

    with pytest.raises(Exception, match=r"(?i)unique") as caught, raw_connection(database_url) as connection:
        connection.execute(f"UPDATE model_versions SET current_stage = '{stage}' WHERE version = 2")
    assert type(caught.value).__name__ in ("IntegrityError", "UniqueViolation")
    with pytest.raises(Exception, match=r"(?i)check"), raw_connection(database_url) as connection:
        connection.execute("UPDATE model_versions SET current_stage = 'Prod' WHERE version = 2")
    assert stages(three, "churn") == {1: stage, 2: "None", 3: "None"}


def test_promoting_holds_only_if_the_expected_version_holds_it(three: MlflowClient) -> None:
    promote = three.transition_model_version_stage
    promote("churn", 1, "Production", expected_current=None)
    with pytest.raises(
        StageConflictError,
        match="Production of 'churn' is held by version 1; expected_current=None requires an empty stage",
    ) as caught:
        promote("churn", 2, "Production", expected_current=None)
    assert caught.value.error_code == "RESOURCE_CONFLICT"
    assert code_of(promote, "churn", 2, "Production", expected_current=3) == "RESOURCE_CONFLICT"
    assert stages(three, "churn") == {1: "Production", 2: "None", 3: "None"}

    promote("churn", 2, "Production", expected_current="1")
    assert stages(three, "churn") == {1: "Archived", 2: "Production", 3: "None"}
    assert code_of(promote, "churn", 3, "Archived", expected_current=None) == "INVALID_PARAMETER_VALUE"
    assert code_of(promote, "churn", 3, "Production", expected_current="x") == "INVALID_PARAMETER_VALUE"


def test_the_latest_version_of_each_stage(three: MlflowClient) -> None:
    register(three, "churn", 2)
    for version, stage in ((1, "Archived"), (2, "Archived"), (3, "Production")):
        three.transition_model_version_stage("churn", version, stage)

    def latest(wanted: list[str] | None = None) -> list[tuple[int, str]]:
        return [(v.version, v.current_stage) for v in three.get_latest_versions("churn", wanted)]

    assert latest() == latest([]) == [(2, "Archived"), (3, "Production"), (5, "None")]
    assert latest(["production", "NONE"]) == [(3, "Production"), (5, "None")]
    assert latest(["Staging"]) == []
    assert three.get_model_version_stages("churn", 1) == ["None", "Staging", "Production", "Archived"]


@pytest.mark.parametrize("stage", ["Staging", "Production"])
def test_a_holder_is_deleted_only_by_force(stage: str, three: MlflowClient) -> None:
    three.transition_model_version_stage("churn", 1, stage)

    with pytest.raises(InUseError, match=f"is in stage {stage}.*force=True"):
        three.delete_model_version("churn", 1)
    assert stages(three, "churn") == {1: stage, 2: "None", 3: "None"}

    three.delete_model_version("churn", 1, force=True)
    assert stages(three, "churn") == {2: "None", 3: "None"}
    assert three.get_latest_versions("churn", [stage]) == []
    three.transition_model_version_stage("churn", 2, stage, archive_existing_versions=False)
    with pytest.raises(VersionNotFoundError, match=r"version=1.* not found; it was deleted"):
        three.get_model_version("churn", 1)


# Aliases


@pytest.mark.parametrize("alias", ["best", "1", "a-b_c", "größe", "x" * 255, "Production", "vv1"])
def test_an_alias_names_one_version_and_can_be_moved(alias: str, three: MlflowClient) -> None:
    three.set_registered_model_alias("churn", alias, 1)
    three.set_registered_model_alias("churn", alias, 2)
    three.set_registered_model_alias("churn", alias, 2)

    assert three.get_model_version_by_alias("churn", alias).version == 2
    assert three.get_registered_model("churn").aliases == {alias: 2}
    assert three.resolve(f"models:/churn@{alias}").version == 2
    three.delete_registered_model_alias("churn", alias)
    three.delete_registered_model_alias("churn", alias)
    with pytest.raises(AliasNotFoundError, match=f"alias {alias} not found for 'churn'; no stage or alias is in use"):
        three.get_model_version_by_alias("churn", alias)


@pytest.mark.parametrize(
    "alias", ["", None, 5, "latest", "LATEST", "v1", "V20", "a b", "a@b", "a/b", "a\n", "a:b", "x" * 256]
)
def test_an_alias_outside_the_grammar_is_refused(alias: Any, three: MlflowClient) -> None:
    assert code_of(three.set_registered_model_alias, "churn", alias, 1) == "INVALID_PARAMETER_VALUE"
    assert code_of(three.delete_registered_model_alias, "churn", alias) == "INVALID_PARAMETER_VALUE"
    assert three.get_registered_model("churn").aliases == {}


def test_aliases_are_told_apart_by_case(three: MlflowClient) -> None:
    three.set_registered_model_alias("churn", "Best", 1)
    three.set_registered_model_alias("churn", "best", 2)

    assert three.get_registered_model("churn").aliases == {"Best": 1, "best": 2}


def test_latest_is_an_alias_of_the_highest_version(three: MlflowClient) -> None:
    assert three.get_model_version_by_alias("churn", "Latest").version == 3
    three.delete_model_version("churn", 3)
    assert three.get_model_version_by_alias("churn", "latest").version == 2


def test_an_alias_is_moved_only_if_the_expected_version_has_it(three: MlflowClient) -> None:
    three.set_registered_model_alias("churn", "best", 1, expected_current=None)

    with pytest.raises(
        StageConflictError, match="@best of 'churn' points to version 1; expected_current=2 requires version 2"
    ):
        three.set_registered_model_alias("churn", "best", 3, expected_current=2)
    assert code_of(three.delete_registered_model_alias, "churn", "best", expected_current=None) == "RESOURCE_CONFLICT"
    assert three.get_registered_model("churn").aliases == {"best": 1}
    three.delete_registered_model_alias("churn", "best", expected_current="1")
    assert three.get_registered_model("churn").aliases == {}


def test_aliases_go_with_their_version(three: MlflowClient) -> None:
    three.set_registered_model_alias("churn", "best", 2)
    three.set_registered_model_alias("churn", "other", 1)
    three.delete_model_version("churn", 2)

    assert three.get_registered_model("churn").aliases == {"other": 1}
    assert code_of(three.resolve, "models:/churn@best") == "RESOURCE_DOES_NOT_EXIST"
