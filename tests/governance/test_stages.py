"""An active stage has at most one version, whichever program moves it."""

import sqlite3

import psycopg
import pytest
from governed_models import RawSql, kinds, register, stages

from registry import MlflowClient
from registry.exceptions import (
    AlreadyExistsError,
    InUseError,
    InvalidParameterError,
    StageConflictError,
    StageOccupiedError,
)


@pytest.mark.parametrize("stage", ["Staging", "Production"])
def test_entering_a_stage_archives_its_holder(client: MlflowClient, stage: str) -> None:
    register(client, "nba", 2)
    client.transition_model_version_stage("nba", 1, stage)
    moved = client.transition_model_version_stage("nba", 2, stage)
    assert moved.current_stage == stage
    assert stages(client, "nba") == {1: "Archived", 2: stage}


@pytest.mark.parametrize("written", ["production", "PRODUCTION", "Production", "pRoDuCtIoN"])
def test_a_stage_may_be_written_in_any_case(client: MlflowClient, written: str) -> None:
    register(client, "nba")
    assert client.transition_model_version_stage("nba", "1", written).current_stage == "Production"


def test_a_stage_that_is_none_of_the_four_is_refused(client: MlflowClient) -> None:
    register(client, "nba")
    with pytest.raises(InvalidParameterError, match="must be one of None, Staging, Production, Archived"):
        client.transition_model_version_stage("nba", 1, "Live")


def test_without_archiving_an_occupied_stage_stays_as_it_is(client: MlflowClient) -> None:
    register(client, "nba", 2)
    client.transition_model_version_stage("nba", 1, "Production")
    with pytest.raises(StageOccupiedError, match="Version 1 of 'nba' is in stage Production"):
        client.transition_model_version_stage("nba", 2, "Production", archive_existing_versions=False)
    assert stages(client, "nba") == {1: "Production", 2: "None"}


def test_a_stage_without_a_holder_may_be_many(client: MlflowClient) -> None:
    register(client, "nba", 3)
    for version in (1, 2, 3):
        client.transition_model_version_stage("nba", version, "Archived", archive_existing_versions=False)
    assert stages(client, "nba") == {1: "Archived", 2: "Archived", 3: "Archived"}


@pytest.mark.parametrize(
    ("holder", "expected", "words"),
    [
        (1, None, "is held by version 1; expected_current=None requires an empty stage"),
        (1, 3, "is held by version 1; expected_current=3 requires version 3"),
        (None, 1, "is empty; expected_current=1 requires version 1"),
    ],
)
def test_compare_and_set_names_the_version_in_the_stage(
    client: MlflowClient, holder: int | None, expected: int | None, words: str
) -> None:
    register(client, "nba", 3)
    if holder is not None:
        client.transition_model_version_stage("nba", holder, "Production")
    before = stages(client, "nba")
    with pytest.raises(StageConflictError) as caught:
        client.transition_model_version_stage("nba", 2, "Production", expected_current=expected)
    assert caught.value.message == f"Production of 'nba' {words}. Re-read the stage and retry."
    assert stages(client, "nba") == before


@pytest.mark.parametrize(("holder", "expected"), [(None, None), (1, 1), (1, "1")])
def test_compare_and_set_passes_when_it_is_right(
    client: MlflowClient, holder: int | None, expected: int | str | None
) -> None:
    register(client, "nba", 2)
    if holder is not None:
        client.transition_model_version_stage("nba", holder, "Production")
    client.transition_model_version_stage("nba", 2, "Production", expected_current=expected)
    assert stages(client, "nba")[2] == "Production"


def test_compare_and_set_of_a_stage_for_many_versions_is_refused(client: MlflowClient) -> None:
    register(client, "nba")
    with pytest.raises(InvalidParameterError, match="since Archived may have many versions"):
        client.transition_model_version_stage("nba", 1, "Archived", expected_current=None)


def test_an_alias_has_compare_and_set_too(client: MlflowClient) -> None:
    register(client, "nba", 2)
    client.set_registered_model_alias("nba", "champion", 1, expected_current=None)
    with pytest.raises(StageConflictError, match="points to version 1; expected_current=None requires no alias"):
        client.set_registered_model_alias("nba", "champion", 2, expected_current=None)
    with pytest.raises(StageConflictError) as caught:
        client.delete_registered_model_alias("nba", "champion", expected_current=2)
    assert caught.value.message == (
        "@champion of 'nba' points to version 1; expected_current=2 requires version 2. Re-read the alias and retry."
    )
    client.set_registered_model_alias("nba", "champion", 2, expected_current=1)
    assert client.get_model_version_by_alias("nba", "champion").version == 2


@pytest.mark.parametrize("stage", ["Staging", "Production"])
def test_raw_sql_cannot_make_a_second_holder(client: MlflowClient, sql: RawSql, stage: str) -> None:
    register(client, "nba", 2)
    client.transition_model_version_stage("nba", 1, stage)
    with pytest.raises((sqlite3.IntegrityError, psycopg.errors.UniqueViolation)):
        sql(f"UPDATE model_versions SET current_stage = '{stage}' WHERE version = 2")
    assert stages(client, "nba") == {1: stage, 2: "None"}


@pytest.mark.parametrize("value", ["'Live'", "'production'", "''"])
def test_raw_sql_cannot_make_up_a_stage(client: MlflowClient, sql: RawSql, value: str) -> None:
    register(client, "nba")
    with pytest.raises((sqlite3.IntegrityError, psycopg.errors.CheckViolation)):
        sql(f"UPDATE model_versions SET current_stage = {value}")


def test_a_version_in_an_active_stage_is_deleted_only_with_force(client: MlflowClient) -> None:
    register(client, "nba", 2)
    client.transition_model_version_stage("nba", 1, "Production")
    with pytest.raises(InUseError, match="Version 1 of 'nba' is in stage Production"):
        client.delete_model_version("nba", 1)
    with pytest.raises(InUseError, match=r"Production \(version 1\)"):
        client.delete_registered_model("nba")
    client.delete_model_version("nba", 1, force=True)
    assert stages(client, "nba") == {2: "None"}
    client.delete_registered_model("nba")
    assert kinds(client, "nba")[-2:] == ["version_deleted", "deleted"]


def test_registering_under_a_name_that_looks_like_another_is_refused_with_that_name(client: MlflowClient) -> None:
    register(client, "nba")
    with pytest.raises(AlreadyExistsError, match="'nba', which differs only in case"):
        register(client, "NBA")
