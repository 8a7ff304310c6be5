"""Copies of registered models to another registry: with their numbers, runs and history, once and again."""

from pathlib import Path

import pytest
from copied_runs import contents
from travelling_models import make_staged_registry, open_registry, train_version

import registry
from registry.exceptions import AlreadyExistsError, ConflictError, InvalidStateError, ModelNotFoundError

Client = registry.MlflowClient


@pytest.fixture
def team(database_url: str, own_place: Path) -> Client:
    return open_registry(database_url, f"{own_place}/team")


@pytest.fixture
def dev(team: Client, own_place: Path) -> Client:
    made = make_staged_registry("sqlite:///dev.db", f"{own_place}/dev")
    open_registry(team.tracking_uri, f"{own_place}/team")
    return made


def versions(client: Client, name: str = "churn") -> dict[int, tuple[object, ...]]:
    found = client.search_model_versions(f"name = '{name}'")
    return {
        v.version: (v.model_id, v.digest, v.run_id, v.description, v.tags, v.current_stage, v.aliases) for v in found
    }


def test_a_copied_model_is_the_same_with_stages(dev: Client, team: Client) -> None:
    copied = dev.copy_registered_model("churn", to=team.tracking_uri, with_stages=True, reason="season")

    assert versions(team) == versions(dev)
    assert (copied.aliases, copied.tags, copied.description) == ({"champion": 3}, {"team": "east"}, "who leaves")
    run_ids = [str(version.run_id) for version in dev.search_model_versions("name = 'churn'")]
    assert contents(team, run_ids) == contents(dev, run_ids)
    assert team.get_promotion_rules("churn", "Production") == dev.get_promotion_rules("churn", "Production")
    assert len(team.get_foreign_history("churn")) == 1
    assert team.verify("churn", read_bytes=True).versions == 3


def test_a_copied_model_has_no_stages_unless_asked(dev: Client, team: Client) -> None:
    copied = dev.copy_registered_model("churn", to=team.tracking_uri, new_name="churn-dev")

    assert (copied.name, copied.aliases) == ("churn-dev", {})
    assert {version.current_stage for version in team.search_model_versions("name = 'churn-dev'")} == {"None"}


def test_a_model_copied_again_gets_the_versions_made_since(dev: Client, team: Client) -> None:
    dev.copy_registered_model("churn", to=team.tracking_uri, with_stages=True)
    team.transition_model_version_stage("churn", 4, "Staging")
    assert dev.copy_registered_model("churn", to=team.tracking_uri).aliases == {"champion": 3}
    train_version(dev)

    dev.copy_registered_model("churn", to=team.tracking_uri)

    assert versions(team)[5] == versions(dev)[5]
    assert team.get_model_version("churn", 4).current_stage == "Staging"
    assert team.verify("churn", read_bytes=True).versions == 4


def test_numbers_that_went_apart_are_a_conflict(dev: Client, team: Client) -> None:
    dev.copy_registered_model("churn", to=team.tracking_uri)
    team.register_model("models:/churn/1", "churn")
    train_version(dev)

    with pytest.raises(ConflictError, match="would become version 6 of 'churn' here, not 5"):
        dev.copy_registered_model("churn", to=team.tracking_uri)


def test_a_name_that_another_model_has_is_refused(dev: Client, team: Client) -> None:
    team.create_registered_model("churn")

    with pytest.raises(AlreadyExistsError, match="already exists there and is no copy of this one"):
        dev.copy_registered_model("churn", to=team.tracking_uri)
    with pytest.raises(ModelNotFoundError):
        dev.copy_registered_model("nothing", to=team.tracking_uri)


def test_a_version_whose_run_and_model_were_deleted_is_copied(dev: Client, team: Client) -> None:
    first, third = dev.get_model_version("churn", 1), dev.get_model_version("churn", 3)
    dev.delete_run(str(first.run_id))
    dev.delete_logged_model(str(third.model_id))

    dev.copy_registered_model("churn", to=team.tracking_uri)

    assert [version[1] for version in versions(team).values()] == [version[1] for version in versions(dev).values()]
    assert team.get_run(str(first.run_id)).data.metrics == {"auc": 0.875, "val": 0.25}
    assert team.verify("churn", read_bytes=True).versions == 3


def test_a_model_whose_files_gc_removed_in_the_target_is_not_copied(dev: Client, team: Client) -> None:
    run_id = str(dev.get_model_version("churn", 3).run_id)
    dev.copy_runs([run_id], to=team.tracking_uri)
    team.delete_run(run_id)
    team.collect_garbage(apply=True, older_than="0s", grace="0s")

    with pytest.raises(InvalidStateError, match="of a version was removed in the target"):
        dev.copy_registered_model("churn", to=team.tracking_uri)
    with pytest.raises(ModelNotFoundError):
        team.get_registered_model("churn")
