"""Commands that make, describe, tag, rename, delete and restore things."""

from collections.abc import Callable
from pathlib import Path

import pytest
from small_models import Doubling

import registry


@pytest.fixture
def run_id(doubling: Doubling) -> str:
    return doubling.run_id


@pytest.fixture
def client(run_id: str) -> registry.MlflowClient:
    return registry.MlflowClient()


def test_a_model_is_created_with_description_and_tags(cli: Callable, own_place: Path) -> None:
    outcome = cli("models", "create", "churn", "--description", "Who leaves", "--tag", "team=growth", "--tag", "a=b=c")

    assert (outcome.code, outcome.out, outcome.err) == (0, "churn\n", "churn: created.\n")
    model = registry.MlflowClient().get_registered_model("churn")
    assert (model.description, dict(model.tags)) == ("Who leaves", {"team": "growth", "a": "b=c"})


def test_a_name_that_is_taken_is_exit_code_5(cli: Callable, run_id: str) -> None:
    assert cli("models", "create", "churn").code == 5


def test_a_tag_without_equals_sign_is_a_wrong_command_line(cli: Callable, own_place: Path) -> None:
    outcome = cli("models", "create", "churn", "--tag", "team")

    assert outcome.code == 2
    assert "'team' is not KEY=VALUE" in outcome.err
    assert not Path("mlruns").exists()


def test_the_model_of_a_run_is_registered_and_its_number_printed(
    cli: Callable, run_id: str, client: registry.MlflowClient
) -> None:
    uri = f"runs:/{run_id[:7]}/model"
    outcome = cli("models", "register", "churn", uri, "--tag", "commit=abc", "--description", "v2", "--reason", "CI")

    assert (outcome.code, outcome.out) == (0, "2\n")
    version = client.get_model_version("churn", 2)
    assert (version.run_id, version.description, dict(version.tags)) == (run_id, "v2", {"commit": "abc"})


def test_registering_makes_the_model_if_it_is_missing(cli: Callable, run_id: str) -> None:
    assert cli("models", "register", "fresh", "churn/1", "--json").json["version"] == 1


def test_a_model_is_described_tagged_and_renamed(cli: Callable, run_id: str, client: registry.MlflowClient) -> None:
    for line in (
        ["edit", "churn", "--description", "new"],
        ["tag", "churn", "a=1", "b=2"],
        ["untag", "churn", "a"],
        ["rename", "churn", "leavers"],
    ):
        assert cli("models", *line).code == 0

    model = client.get_registered_model("leavers")
    assert (model.description, dict(model.tags)) == ("new", {"b": "2"})


def test_an_alias_is_set_by_number_or_by_target_and_removed(
    cli: Callable, run_id: str, client: registry.MlflowClient
) -> None:
    assert cli("models", "alias", "churn", "champion", "1").err == "churn@champion is version 1.\n"
    assert cli("models", "alias", "churn", "second", "churn@champion", "--expected-current", "none").code == 0
    assert client.get_registered_model("churn").aliases == {"champion": 1, "second": 1}
    assert cli("models", "alias", "churn", "champion", "1", "--expected-current", "7").code == 5

    assert cli("models", "unalias", "churn", "champion").code == 0
    assert client.get_registered_model("churn").aliases == {"second": 1}


def test_a_version_is_described_tagged_and_copied(cli: Callable, run_id: str, client: registry.MlflowClient) -> None:
    assert cli("versions", "edit", "churn/1", "--description", "first").code == 0
    assert cli("versions", "tag", "churn/latest", "a=1", "b=2").code == 0
    assert cli("versions", "untag", "models:/churn/1", "a").code == 0
    version = client.get_model_version("churn", 1)
    assert (version.description, dict(version.tags)) == ("first", {"b": "2"})

    copied = cli("versions", "copy", "churn/1", "--to", "sqlite:///other.db", "--as", "live")
    assert (copied.code, copied.out) == (0, "live/1\n")
    assert registry.MlflowClient("sqlite:///other.db").get_model_version("live", 1).digest == version.digest
    assert cli("versions", "copy", "churn/1").code == 2


def test_a_version_is_deleted_only_with_consent_and_restored(
    cli: Callable, run_id: str, client: registry.MlflowClient
) -> None:
    refused = cli("versions", "delete", "churn/1")
    assert (refused.code, refused.out) == (2, "")
    assert "churn/1" in refused.err
    assert "--yes" in refused.err
    assert cli("versions", "delete", "churn/1", "--dry-run").code == 0
    assert client.get_model_version("churn", 1).version == 1

    assert cli("versions", "delete", "churn/1", "--yes", "--reason", "leak").code == 0
    assert cli("versions", "show", "churn/1").code == 4
    assert cli("versions", "restore", "churn/1").code == 0
    assert cli("versions", "show", "churn/1").code == 0
    assert cli("versions", "restore", "churn@champion").code == 2


def test_a_version_in_a_stage_is_not_deleted(cli: Callable, run_id: str, client: registry.MlflowClient) -> None:
    client.transition_model_version_stage("churn", 1, "Production")

    assert "Production" in cli("versions", "delete", "churn/1", "--dry-run").err
    assert cli("versions", "delete", "churn/1", "--yes").code == 3
    assert cli("versions", "delete", "churn/1", "--yes", "--force").code == 0


def test_a_model_is_deleted_only_with_consent(cli: Callable, run_id: str) -> None:
    loss = "The model churn and its 1 version will be gone for good."
    assert cli("models", "delete", "churn", "--dry-run").err == f"{loss}\n"
    assert cli("models", "delete", "churn").code == 2
    assert cli("models", "delete", "churn", "--yes", "--json").json == {"model": "churn", "versions": 1}
    assert cli("models", "show", "churn").code == 4


def test_an_experiment_is_created_renamed_tagged_deleted_and_restored(cli: Callable, own_place: Path) -> None:
    made = cli("experiments", "create", "etl", "--tag", "team=data", "--artifact-location", str(own_place / "files"))
    assert (made.code, made.out) == (0, "1\n")
    assert cli("experiments", "create", "etl").code == 5
    assert cli("experiments", "rename", "etl", "nightly").code == 0
    assert cli("experiments", "tag", "nightly", "a=1").code == 0
    assert cli("experiments", "untag", "nightly", "team").code == 0
    experiment = registry.MlflowClient().get_experiment("1")
    assert (experiment.name, dict(experiment.tags)) == ("nightly", {"a": "1"})
    assert experiment.artifact_location == str(own_place / "files")

    assert cli("experiments", "delete", "nightly").code == 2
    assert "will be deleted" in cli("experiments", "delete", "nightly", "--dry-run").err
    assert cli("experiments", "delete", "nightly", "--yes").code == 0
    assert cli("experiments", "list", "-q").out == "0\n"
    assert cli("experiments", "restore", "nightly").code == 0
    assert cli("experiments", "list", "-q").out.split() == ["1", "0"]


def test_a_run_records_what_a_script_did(cli: Callable, own_place: Path) -> None:
    line = ["-e", "etl", "--name", "night", "--metric", "rows=12.5", "--param", "source=crm", "--tag", "by=cron"]
    outcome = cli("runs", "create", *line)

    assert outcome.code == 0
    run = registry.get_run(outcome.out.strip())
    assert (run.info.run_name, run.info.status) == ("night", "FINISHED")
    assert (run.data.metrics, run.data.params) == ({"rows": 12.5}, {"source": "crm"})
    assert run.data.tags["by"] == "cron"
    assert registry.MlflowClient().get_experiment(run.info.experiment_id).name == "etl"


def test_a_run_may_still_be_running_and_lie_in_the_experiment_of_the_environment(
    cli: Callable, own_place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGISTRY_EXPERIMENT_NAME", "from-env")
    run = cli("runs", "create", "--status", "running", "--json").json

    assert run["info"]["status"] == "RUNNING"
    assert registry.MlflowClient().get_experiment(run["info"]["experiment_id"]).name == "from-env"
    assert cli("runs", "create", "-e", "99").code == 4
    assert cli("runs", "create", "--metric", "a=b").code == 2


def test_a_status_that_there_is_not_records_no_run(cli: Callable, own_place: Path) -> None:
    made = cli("runs", "create", "--status", "DONE")

    assert (made.code, made.out) == (2, "")
    assert "There is no run status 'DONE'." in made.err
    assert registry.search_runs(output_format="list") == []


def test_runs_are_tagged_deleted_and_restored(cli: Callable, run_id: str, client: registry.MlflowClient) -> None:
    assert cli("runs", "tag", run_id[:6], "reviewed=yes", "by=ana").code == 0
    assert cli("runs", "untag", run_id, "by").code == 0
    tags = client.get_run(run_id).data.tags
    assert (tags.get("reviewed"), tags.get("by")) == ("yes", None)

    assert cli("runs", "delete", run_id).code == 2
    assert cli("runs", "delete", run_id, "--dry-run", "--json").json == {"run_ids": [run_id]}
    assert cli("runs", "delete", run_id[:6], "--yes").code == 0
    assert client.get_run(run_id).info.lifecycle_stage == "deleted"
    assert cli("runs", "restore", run_id[:6]).code == 0
    assert client.get_run(run_id).info.lifecycle_stage == "active"


def test_several_runs_are_counted_before_they_are_deleted(cli: Callable, own_place: Path) -> None:
    ids = [cli("runs", "create").out.strip() for _ in range(2)]

    assert cli("runs", "delete", *ids, "--dry-run").err.startswith("2 runs will be deleted")


def test_gc_removes_only_the_runs_and_experiments_that_are_named(cli: Callable, own_place: Path) -> None:
    first, second, third = (cli("runs", "create", "-e", name).out.strip() for name in ("a", "a", "b"))
    cli("runs", "delete", first, second, third, "--yes")

    removed = cli("gc", "--older-than", "0s", "--run-ids", first, "--apply", "--json").json
    assert [item["id"] for item in removed["items"]] == [first]
    removed = cli("gc", "--older-than", "0s", "--run-ids", second, "--experiment-ids", "", "--json").json
    assert [item["id"] for item in removed["items"]] == [second]
    assert cli("gc", "--older-than", "0s", "--run-ids", "0" * 32).code == 4
    assert cli("gc", "--older-than", "0s", "--experiment-ids", "2").code == 4  # it is not deleted

    cli("experiments", "delete", "b", "--yes")
    removed = cli("gc", "--older-than", "0s", "--experiment-ids", "2", "--apply", "--json").json
    assert sorted((item["kind"], item["id"]) for item in removed["items"]) == [("experiment", "2"), ("run", third)]


def test_a_curve_is_printed_point_by_point(cli: Callable, run_id: str) -> None:
    points = cli("runs", "metrics", run_id[:6], "loss", "--json").json

    assert [(point["key"], point["step"], point["value"]) for point in points[:2]] == [
        ("loss", 0, 1.0),
        ("loss", 1, 0.5),
    ]
    assert len(points) == 40


def test_a_curve_is_csv_with_at_most_so_many_points(cli: Callable, run_id: str) -> None:
    lines = cli("runs", "metrics", run_id, "loss", "--csv", "--max-points", "15").out.splitlines()

    assert lines[0] == "metric,step,value,time (UTC)"
    assert 5 < len(lines) <= 16
    assert lines[1].startswith("loss,0,1.0,")


def test_all_metrics_of_a_run_are_shown_unless_one_is_named(cli: Callable, run_id: str) -> None:
    lines = cli("runs", "metrics", run_id).out.splitlines()

    assert len(lines) == 41
    assert lines[0].startswith("auc\t0\t0.875\t")
    assert cli("runs", "metrics", cli("runs", "create").out.strip()).out == ""


def test_a_misspelt_metric_is_exit_code_4_and_names_the_nearest(cli: Callable, run_id: str) -> None:
    outcome = cli("runs", "metrics", run_id, "los")

    assert outcome.code == 4
    assert "Did you mean 'loss'?" in outcome.err
