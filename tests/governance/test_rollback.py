"""Rollback: twice goes further back, a promotion starts a new branch, deleted versions are skipped."""

import pytest
from governed_models import kinds, register, stages

from registry import MlflowClient
from registry.exceptions import InUseError, InvalidParameterError, NoPreviousHolderError, StageConflictError
from registry.rules import MetricAtLeast

PROMOTE, BACK, EMPTY, DELETE, RESTORE, STAGE = "promote", "back", "empty", "delete", "restore", "stage"


def _play(client: MlflowClient, steps: list[tuple[str, int]]) -> int | None:
    for step, version in steps:
        if step == PROMOTE:
            client.transition_model_version_stage("nba", version, "Production")
        elif step == EMPTY:
            client.transition_model_version_stage("nba", version, "Archived")
        elif step == STAGE:
            client.transition_model_version_stage("nba", version, "Staging")
        elif step == DELETE:
            client.delete_model_version("nba", version, force=True)
        elif step == RESTORE:
            client.restore_model_version("nba", version)
        else:
            client.rollback("nba", force=True)
    found = client.find_model_version_by_stage("nba", "Production")
    return None if found is None else found.version


ONE_TWO_THREE = [(PROMOTE, 1), (PROMOTE, 2), (PROMOTE, 3)]


@pytest.mark.parametrize(
    ("steps", "holder"),
    [
        pytest.param([*ONE_TWO_THREE, (BACK, 0)], 2, id="one step back"),
        pytest.param([*ONE_TWO_THREE, (BACK, 0), (BACK, 0)], 1, id="twice walks further back"),
        pytest.param([*ONE_TWO_THREE, (BACK, 0), (PROMOTE, 4), (BACK, 0)], 2, id="a promotion starts a branch"),
        pytest.param(
            [*ONE_TWO_THREE, (BACK, 0), (PROMOTE, 4), (BACK, 0), (BACK, 0)], 1, id="the old branch is not walked"
        ),
        pytest.param([(PROMOTE, 1), (PROMOTE, 2), (PROMOTE, 1), (BACK, 0)], 2, id="who came back is left again"),
        pytest.param([(PROMOTE, 1), (PROMOTE, 2), (PROMOTE, 1), (BACK, 0), (BACK, 0)], 1, id="and again"),
        pytest.param([*ONE_TWO_THREE, (DELETE, 2), (BACK, 0)], 1, id="deleted versions are passed over"),
        pytest.param([*ONE_TWO_THREE, (DELETE, 2), (RESTORE, 2), (BACK, 0)], 2, id="restored ones are not"),
        pytest.param([*ONE_TWO_THREE, (DELETE, 3), (BACK, 0)], 2, id="the deleted holder is not put back"),
        pytest.param([*ONE_TWO_THREE, (EMPTY, 3), (BACK, 0)], 3, id="an empty stage gets its last holder back"),
        pytest.param([*ONE_TWO_THREE, (EMPTY, 3), (BACK, 0), (BACK, 0)], 2, id="and from there it goes on"),
        pytest.param([(PROMOTE, 1), (EMPTY, 1), (PROMOTE, 2), (BACK, 0)], 1, id="over a gap"),
        pytest.param([(PROMOTE, 1), (PROMOTE, 2), (STAGE, 1), (BACK, 0)], 1, id="out of another stage"),
    ],
)
def test_rollback_walks_the_links(client: MlflowClient, steps: list[tuple[str, int]], holder: int) -> None:
    register(client, "nba", 4)
    assert _play(client, steps) == holder
    client.verify("nba")


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ([], "Production of 'nba' is empty, and no other"),
        ([(PROMOTE, 1)], "is held by version 1, and no other"),
        ([(PROMOTE, 1), (PROMOTE, 2), (BACK, 0)], "is held by version 1, and no other"),
        ([(PROMOTE, 1), (PROMOTE, 2), (DELETE, 1)], "is held by version 2, and no other"),
        ([(PROMOTE, 1), (DELETE, 1)], "is empty, and no other"),
        ([(STAGE, 1)], "is empty, and no other"),
    ],
)
def test_there_is_an_end_to_going_back(client: MlflowClient, steps: list[tuple[str, int]], words: str) -> None:
    register(client, "nba", 2)
    before = _play(client, steps)
    events = client.get_history("nba")
    with pytest.raises(NoPreviousHolderError, match=words):
        client.rollback("nba")
    assert client.get_history("nba") == events
    found = client.find_model_version_by_stage("nba", "Production")
    assert (found and found.version) == before


def test_a_rollback_leaves_the_stage_that_its_version_was_in(client: MlflowClient) -> None:
    register(client, "nba", 2)
    _play(client, [(PROMOTE, 1), (PROMOTE, 2), (STAGE, 1), (BACK, 0)])
    assert stages(client, "nba") == {1: "Production", 2: "Archived"}
    assert client.find_model_version_by_stage("nba", "Staging") is None


def test_a_rollback_that_would_empty_another_stage_is_refused(client: MlflowClient) -> None:
    register(client, "nba", 2)
    _play(client, [(PROMOTE, 1), (PROMOTE, 2), (STAGE, 1)])
    for dry_run in (True, False):
        with pytest.raises(InUseError, match="is in Staging now: .* would leave Staging empty.*force=True"):
            client.rollback("nba", dry_run=dry_run)
    assert stages(client, "nba") == {1: "Staging", 2: "Production"}


def test_a_rollback_goes_to_the_version_asked_for(client: MlflowClient) -> None:
    register(client, "nba", 4)
    _play(client, [*ONE_TWO_THREE])
    assert client.rollback("nba", to=1, dry_run=True).current_stage == "Archived"
    assert stages(client, "nba") == {1: "Archived", 2: "Archived", 3: "Production", 4: "None"}
    assert client.rollback("nba", to=1).version == 1
    with pytest.raises(NoPreviousHolderError, match="held by version 1, and version 4 never held it before"):
        client.rollback("nba", to=4)
    client.verify("nba")


def test_a_rollback_says_why_and_that_rules_were_not_judged(client: MlflowClient) -> None:
    register(client, "nba", 2)
    _play(client, [(PROMOTE, 1), (PROMOTE, 2)])
    client.set_promotion_rules("nba", "Production", [MetricAtLeast("f1", 0.8)])
    assert client.rollback("nba", "production", reason="it drifted").version == 1
    archived, back = client.get_history("nba")[-2:]
    assert (back.kind, back.reason, dict(back.details)) == ("rolled_back", "it drifted", {"rules": "not judged again"})
    assert (archived.kind, archived.version, archived.reason) == ("stage_changed", 2, "it drifted")


def test_compare_and_set_holds_for_rollback(client: MlflowClient) -> None:
    register(client, "nba", 2)
    _play(client, [(PROMOTE, 1), (PROMOTE, 2)])
    with pytest.raises(StageConflictError, match="is held by version 2; expected_current="):
        client.rollback("nba", expected_current=1)
    assert kinds(client, "nba").count("rolled_back") == 0
    assert client.rollback("nba", expected_current=2).version == 1


def test_a_stage_without_holders_cannot_be_rolled_back(client: MlflowClient) -> None:
    register(client, "nba")
    with pytest.raises(InvalidParameterError, match="The stage Archived has no holder"):
        client.rollback("nba", "Archived")


def test_staging_has_links_of_its_own(client: MlflowClient) -> None:
    register(client, "nba", 2)
    _play(client, [(STAGE, 1), (PROMOTE, 1), (STAGE, 2)])
    assert client.rollback("nba", "Staging", force=True).version == 1
    assert stages(client, "nba") == {1: "Staging", 2: "Archived"}
    assert client.rollback("nba", "Production", force=True).version == 1
