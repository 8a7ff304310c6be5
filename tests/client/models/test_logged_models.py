"""Logged models through the client: PENDING, then sealed; tags, params and metrics; on both databases."""

import math
from pathlib import Path
from typing import Any

import pytest
from governed_models import register, sealed_model

from registry import MlflowClient
from registry.entities import LoggedModelOutput, Metric
from registry.exceptions import RegistryError


@pytest.fixture
def client(database_url: str) -> MlflowClient:
    return MlflowClient(database_url)


@pytest.fixture
def files(own_place: Path) -> Path:
    """Create a directory with two files."""
    directory = own_place / "files"
    (directory / "inner").mkdir(parents=True)
    (directory / "a.txt").write_text("a")
    (directory / "inner" / "b.txt").write_text("bb")
    return directory


def code_of(call: Any, *arguments: Any, **named: Any) -> str:
    with pytest.raises(RegistryError) as caught:
        call(*arguments, **named)
    return caught.value.error_code


def test_a_model_is_pending_until_its_files_are_sealed(client: MlflowClient, files: Path) -> None:
    run = client.create_run("0").info.run_id
    client.log_param(run, "depth", 3)
    made = client.create_logged_model("0", "model", run, {"a": 1}, {"own": 2}, "classifier")
    assert (made.status, made.digest, made.size_bytes) == ("PENDING", None, None)
    assert (made.name, made.source_run_id, made.model_type) == ("model", run, "classifier")
    assert (made.tags, made.params) == ({"a": "1"}, {"depth": "3", "own": "2"})

    client.log_model_artifacts(made.model_id, files)
    client.log_model_artifact(made.model_id, files / "a.txt")
    sealed = client.finalize_logged_model(made.model_id, "READY")

    assert sealed == client.get_logged_model(made.model_id)
    assert (sealed.status, sealed.size_bytes) == ("READY", 3)
    assert sealed.digest is not None
    assert client.get_run(run).outputs.model_outputs == [LoggedModelOutput(made.model_id, 0)]
    assert sealed.model_uri == f"models:/{made.model_id}"


def test_a_model_without_a_name_gets_one(client: MlflowClient) -> None:
    made = client.create_logged_model("0")

    assert made.name == f"model-{made.model_id[2:10]}"


@pytest.mark.parametrize("name", ["a/b", "a:b", "a.b", "a%b", 'a"b', "a'b", "a\nb", "x" * 257, " ", 5])
def test_a_name_outside_mlflows_rule_is_refused(name: Any, client: MlflowClient) -> None:
    assert code_of(client.create_logged_model, "0", name) == "INVALID_PARAMETER_VALUE"
    assert client.search_logged_models(["0"]) == []


def test_a_missing_run_or_experiment_makes_no_model(client: MlflowClient) -> None:
    assert code_of(client.create_logged_model, "99") == "RESOURCE_DOES_NOT_EXIST"
    assert code_of(client.create_logged_model, "0", "m", "0" * 32) == "RESOURCE_DOES_NOT_EXIST"
    deleted = client.create_run("0").info.run_id
    client.delete_run(deleted)
    assert code_of(client.create_logged_model, "0", "m", deleted) == "INVALID_PARAMETER_VALUE"
    assert client.search_logged_models(["0"]) == []


@pytest.mark.parametrize("status", ["PENDING", "DONE", "", "ready"])
def test_a_model_ends_ready_or_failed(status: str, client: MlflowClient) -> None:
    made = client.create_logged_model("0")

    assert code_of(client.finalize_logged_model, made.model_id, status) == "INVALID_PARAMETER_VALUE"
    assert client.get_logged_model(made.model_id).status == "PENDING"


@pytest.mark.parametrize("status", ["READY", "FAILED"])
def test_a_model_that_ended_takes_no_more_files(status: str, client: MlflowClient, files: Path) -> None:
    made = client.create_logged_model("0").model_id
    client.log_model_artifacts(made, files)
    ended = client.finalize_logged_model(made, status)

    assert code_of(client.finalize_logged_model, made, "READY") == "INVALID_STATE"
    assert code_of(client.log_model_artifacts, made, files) == "INVALID_STATE"
    assert code_of(client.log_model_artifact, made, files / "a.txt") == "INVALID_STATE"
    assert client.get_logged_model(made) == ended


@pytest.mark.parametrize("status", ["PENDING", "FAILED"])
def test_only_a_ready_model_resolves_or_is_registered(status: str, client: MlflowClient) -> None:
    made = client.create_logged_model("0").model_id
    if status == "FAILED":
        client.finalize_logged_model(made, "FAILED")

    assert code_of(client.resolve, f"models:/{made}") == "INVALID_STATE"
    assert code_of(client.register_model, f"models:/{made}", "churn") == "INVALID_STATE"
    client.create_registered_model("held")
    assert code_of(client.create_model_version, "held", "anything", model_id=made) == "INVALID_STATE"
    assert [m.name for m in client.search_registered_models()] == ["held"]
    assert client.search_model_versions() == []


@pytest.mark.parametrize("model_id", ["m-" + "0" * 32, "x", "", "m-'; --"])
def test_a_missing_model_does_not_exist(model_id: str, client: MlflowClient) -> None:
    run = client.create_run("0").info.run_id
    calls: list[tuple[Any, ...]] = [
        (client.get_logged_model, model_id),
        (client.finalize_logged_model, model_id, "READY"),
        (client.delete_logged_model, model_id),
        (client.set_logged_model_tags, model_id, {"a": "b"}),
        (client.delete_logged_model_tag, model_id, "a"),
        (client.log_model_params, model_id, {"a": "b"}),
        (client.log_outputs, run, [LoggedModelOutput(model_id, 0)]),
        (client.log_batch, run, [Metric("m", 1.0, 0, 0, model_id=model_id)]),
    ]
    for call, *arguments in calls:
        assert code_of(call, *arguments) == "RESOURCE_DOES_NOT_EXIST"
    assert client.get_metric_history(run, "m") == []


def test_tags_and_params_may_be_added_to_a_sealed_model(client: MlflowClient) -> None:
    model = sealed_model(client, tags={"a": "1"})
    digest = client.get_logged_model(model).digest
    client.set_logged_model_tags(model, {"a": 2, "b": ""})
    client.log_model_params(model, {"depth": 3})
    client.delete_logged_model_tag(model, "b")

    found = client.get_logged_model(model)
    assert (found.tags, found.params, found.digest) == ({"a": "2"}, {"depth": "3"}, digest)
    assert code_of(client.delete_logged_model_tag, model, "b") == "RESOURCE_DOES_NOT_EXIST"
    assert code_of(client.set_logged_model_tags, model, {"a@b": "1"}) == "INVALID_PARAMETER_VALUE"


def test_points_of_a_model_are_the_models_and_the_runs(client: MlflowClient) -> None:
    run = client.create_run("0").info.run_id
    model = sealed_model(client)
    client.log_metric(run, "auc", 0.5, 10, 1, model_id=model, dataset_name="games", dataset_digest="d1")
    client.log_metric(run, "auc", math.inf, 11, 2, model_id=model)

    found = client.get_logged_model(model).metrics
    assert [(m.key, m.value, m.timestamp, m.step, m.run_id) for m in found] == [
        ("auc", 0.5, 10, 1, run),
        ("auc", math.inf, 11, 2, run),
    ]
    assert [(m.dataset_name, m.dataset_digest, m.model_id) for m in found] == [
        ("games", "d1", model),
        (None, None, model),
    ]
    assert len(client.get_metric_history(run, "auc")) == 2


def test_versions_of_a_deleted_model_go_on_resolving(client: MlflowClient) -> None:
    model = sealed_model(client)
    register(client, "churn", model_id=model)
    client.delete_logged_model(model)

    assert code_of(client.get_logged_model, model) == "RESOURCE_DOES_NOT_EXIST"
    assert code_of(client.resolve, f"models:/{model}") == "RESOURCE_DOES_NOT_EXIST"
    assert client.resolve("models:/churn/1").model_id == model


def test_threads_that_race_to_seal_leave_one_seal(client: MlflowClient, files: Path) -> None:
    import threading

    made = client.create_logged_model("0").model_id
    client.log_model_artifacts(made, files)
    results: list[str] = []

    def finalize() -> None:
        try:
            results.append(str(client.finalize_logged_model(made, "READY").status))
        except RegistryError as error:
            results.append(error.error_code)

    threads = [threading.Thread(target=finalize) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(results) == ["INVALID_STATE"] * 3 + ["READY"]


def test_files_of_a_pending_model_can_be_stored_below_a_directory_of_it(client: MlflowClient, files: Path) -> None:
    made = client.create_logged_model("0").model_id
    client.log_model_artifacts(made, files, "all")
    client.log_model_artifact(made, files / "a.txt", "one")
    client.log_model_artifact(made, files / "a.txt", "")
    sealed = client.finalize_logged_model(made, "READY")

    stored = Path(sealed.artifact_location)
    found = sorted(path.relative_to(stored).as_posix() for path in stored.rglob("*") if path.is_file())
    assert found == ["a.txt", "all/a.txt", "all/inner/b.txt", "one/a.txt"]


@pytest.mark.parametrize("path", ["..", "/a", "a/../b", "a\\b", "%2e%2e"])
def test_files_of_a_pending_model_stay_below_it(client: MlflowClient, files: Path, path: str) -> None:
    made = client.create_logged_model("0").model_id

    assert code_of(client.log_model_artifacts, made, files, path) == "INVALID_PARAMETER_VALUE"
    assert code_of(client.log_model_artifact, made, files / "a.txt", path) == "INVALID_PARAMETER_VALUE"
