"""Registering: every kind of source becomes a sealed version, or nothing at all; on both databases."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from governed_models import raw_sql, register, sealed_model

import registry
from registry import MlflowClient
from registry.exceptions import RegistryError


@pytest.fixture
def client(database_url: str) -> MlflowClient:
    registry.set_tracking_uri(database_url)
    return MlflowClient()


@pytest.fixture
def source(own_place: Path) -> Path:
    """A directory of plain files without a flavor."""
    directory = own_place / "my model 100%"
    (directory / "inner").mkdir(parents=True)
    (directory / "MLmodel").write_text("flavors: {}\n")
    (directory / "inner" / "data.bin").write_bytes(b"\0\1\2")
    return directory


def files_of(client: MlflowClient, uri: str) -> dict[str, bytes]:
    place = Path(client.resolve(uri).location)
    return {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}


CONTENT = {"MLmodel": b"flavors: {}\n", "inner/data.bin": b"\0\1\2"}


def test_a_local_directory_is_sealed_as_a_copy(client: MlflowClient, source: Path) -> None:
    version = client.register_model(str(source), "churn", tags={"a": 1})
    shutil.rmtree(source)

    assert (version.version, version.source, version.tags) == (1, str(source), {"a": "1"})
    assert files_of(client, "models:/churn/1") == CONTENT
    assert client.get_model_version_download_uri("churn", 1) == client.resolve("models:/churn/1").location


@pytest.mark.parametrize("form", ["{}", "file:{}", "file://{}", "relative"])
def test_a_local_directory_may_be_written_in_every_form(form: str, client: MlflowClient, source: Path) -> None:
    plain = source.rename(source.parent / "plain")
    given = "./plain" if form == "relative" else form.format(plain)

    assert client.register_model(given, "churn").source == given
    assert files_of(client, "models:/churn/latest") == CONTENT


def test_a_path_object_may_be_given(client: MlflowClient, source: Path) -> None:
    client.create_registered_model("churn")

    assert client.create_model_version("churn", source).source == str(source)
    assert files_of(client, "models:/churn/1") == CONTENT


def test_plain_artifacts_of_a_run_are_sealed_as_a_copy(client: MlflowClient, source: Path) -> None:
    run = client.create_run("0").info.run_id
    client.log_artifacts(run, str(source), "some/model")

    version = client.register_model(f"runs:/{run}/some/model", "churn")
    shutil.rmtree(Path(client.get_run(run).info.artifact_uri))

    assert version.run_id == run
    assert files_of(client, "models:/churn/1") == CONTENT


def test_a_logged_model_of_a_run_is_named_and_not_copied(client: MlflowClient) -> None:
    run = client.create_run("0").info.run_id
    sealed_model(client, "older", name="model", source_run_id=run)
    newest = sealed_model(client, "newer", name="model", source_run_id=run)
    sealed_model(client, "other", name="other", source_run_id=run)

    version = client.register_model(f"runs:/{run}/model", "churn")

    assert (version.model_id, version.run_id) == (newest, run)
    assert files_of(client, "models:/churn/1") == {"data.txt": b"newer"}
    assert client.resolve(f"runs:/{run}/model").model_id == newest


@pytest.mark.parametrize(
    "uri", ["models:/a/1", "models:/a/Staging", "models:/a/latest", "models:/a@best", "models:/{}"]
)
def test_another_version_names_the_same_bytes(uri: str, client: MlflowClient) -> None:
    run = client.create_run("0").info.run_id
    model = sealed_model(client, source_run_id=run)
    register(client, "a", model_id=model)
    client.transition_model_version_stage("a", 1, "Staging")
    client.set_registered_model_alias("a", "best", 1)
    given = uri.format(model)

    version = client.register_model(given, "b")

    stored = given if model in given else "models:/a/1"  # what moves is stored as the version that it meant
    assert (version.source, version.model_id, version.run_id, version.current_stage) == (stored, model, run, "None")
    assert client.resolve("models:/b/1").digest == client.resolve("models:/a/1").digest
    client.rename_registered_model("a", "c")
    assert client.get_model_version("b", 1).source == stored


def test_deleting_its_run_does_not_break_production(client: MlflowClient, source: Path) -> None:
    run = client.create_run(client.create_experiment("nba")).info
    model = sealed_model(client, source_run_id=run.run_id)
    client.log_artifacts(run.run_id, str(source), "m")
    client.register_model(f"runs:/{run.run_id}/m", "churn")
    client.register_model(f"models:/{model}", "churn")
    client.transition_model_version_stage("churn", 1, "Staging")
    client.transition_model_version_stage("churn", 2, "Production")

    client.delete_run(run.run_id)
    client.delete_experiment(run.experiment_id)

    assert files_of(client, "models:/churn/Staging") == CONTENT
    assert files_of(client, "models:/churn/Production") == {"data.txt": b"content"}
    assert client.get_model_version("churn", 2).run_id == run.run_id


def rows(url: str) -> list[int]:
    count = raw_sql(url)
    tables = ("registered_models", "model_versions", "history", "logged_models", "model_files")
    return [count(f"SELECT count(*) FROM {table}")[0][0] for table in tables]


@pytest.mark.parametrize(
    ("uri", "code"),
    [
        ("/nowhere/at/all", "RESOURCE_DOES_NOT_EXIST"),
        ("nowhere", "RESOURCE_DOES_NOT_EXIST"),
        ("empty", "RESOURCE_DOES_NOT_EXIST"),
        ("file:///nowhere/at/all", "RESOURCE_DOES_NOT_EXIST"),
        ("runs:/{run}/nothing", "RESOURCE_DOES_NOT_EXIST"),
        ("runs:/{run}", "RESOURCE_DOES_NOT_EXIST"),
        ("runs:/" + "0" * 32 + "/model", "RESOURCE_DOES_NOT_EXIST"),
        ("models:/none/1", "RESOURCE_DOES_NOT_EXIST"),
        ("models:/none@best", "RESOURCE_DOES_NOT_EXIST"),
        ("models:/m-" + "0" * 32, "RESOURCE_DOES_NOT_EXIST"),
        ("models:/none", "INVALID_PARAMETER_VALUE"),
        ("models:/none/1/2/..", "INVALID_PARAMETER_VALUE"),
        ("runs:/{run}/../../etc", "INVALID_PARAMETER_VALUE"),
        ("runs:/{run}//etc", "INVALID_PARAMETER_VALUE"),
        ("runs:/../x", "INVALID_PARAMETER_VALUE"),
        ("http://169.254.169.254/latest", "INVALID_PARAMETER_VALUE"),
        ("mlflow-artifacts:/x", "INVALID_PARAMETER_VALUE"),
        ("file://host/x", "INVALID_PARAMETER_VALUE"),
        ("", "INVALID_PARAMETER_VALUE"),
        (None, "INVALID_PARAMETER_VALUE"),
        ("a\0b", "INVALID_PARAMETER_VALUE"),
    ],
)
def test_a_source_that_is_not_there_leaves_nothing(
    uri: str, code: str, client: MlflowClient, database_url: str, own_place: Path
) -> None:
    (own_place / "empty").mkdir()
    run = client.create_run("0").info.run_id
    before = rows(database_url)

    for register_it in (
        lambda: client.register_model(uri and uri.format(run=run), "churn"),
        lambda: registry.register_model(uri and uri.format(run=run), "churn"),
    ):
        with pytest.raises(RegistryError) as caught:
            register_it()
        assert caught.value.error_code == code
    assert rows(database_url) == before


def test_a_link_out_of_the_directory_is_not_followed(client: MlflowClient, source: Path, database_url: str) -> None:
    secret = source.parent / "secret.txt"
    secret.write_text("secret")
    (source / "link.txt").symlink_to(secret)
    before = rows(database_url)

    with pytest.raises(RegistryError, match="link") as caught:
        client.register_model(str(source), "churn")

    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"
    assert rows(database_url) == before


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"tags": {"a@b": "x"}}, "INVALID_PARAMETER_VALUE"),
        ({"tags": {"a": "n\0l"}}, "INVALID_PARAMETER_VALUE"),
        ({"reason": "n\0l"}, "INVALID_PARAMETER_VALUE"),
    ],
)
def test_a_wrong_argument_leaves_nothing(
    arguments: dict[str, Any], code: str, client: MlflowClient, source: Path, database_url: str
) -> None:
    before = rows(database_url)

    with pytest.raises(RegistryError) as caught:
        client.register_model(str(source), "churn", **arguments)

    assert caught.value.error_code == code
    assert rows(database_url) == before


@pytest.mark.parametrize(
    "arguments",
    [{"description": "n\0l"}, {"run_link": "n\0l"}, {"run_id": "n\0l"}, {"run_id": "../x"}, {"run_link": "\ud800"}],
)
def test_text_that_no_database_holds_leaves_nothing(
    arguments: dict[str, Any], client: MlflowClient, database_url: str
) -> None:
    model = sealed_model(client)
    client.create_registered_model("churn")
    before = rows(database_url)

    with pytest.raises(RegistryError) as caught:
        client.create_model_version("churn", f"models:/{model}", **arguments)

    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"
    assert rows(database_url) == before


def test_a_new_version_needs_its_model_unless_it_is_registered(client: MlflowClient, source: Path) -> None:
    with pytest.raises(RegistryError, match="name=churn not found"):
        client.create_model_version("churn", str(source))

    assert client.register_model(str(source), "churn").version == 1
    assert client.create_model_version("churn", str(source)).version == 2


def test_registering_says_what_it_did(client: MlflowClient, source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    registry.register_model(str(source), "churn")
    registry.register_model(str(source), "churn")

    assert capsys.readouterr().err.splitlines() == [
        "Successfully registered model 'churn'.",
        "Created version '1' of model 'churn'.",
        "Registered model 'churn' already exists. Creating a new version of this model...",
        "Created version '2' of model 'churn'.",
    ]


def test_a_part_of_a_model_cannot_be_registered(client: MlflowClient, source: Path) -> None:
    client.register_model(str(source), "churn")

    with pytest.raises(RegistryError, match="a whole model is expected here"):
        client.register_model("models:/churn/1/inner", "part")
    assert client.search_registered_models("name = 'part'") == []


@pytest.mark.parametrize("moving", ["models:/churn@champion", "models:/churn/Production", "models:/churn/latest"])
@pytest.mark.parametrize("how", ["register", "create", "copy"])
def test_a_moving_uri_is_stored_as_the_version_that_it_meant(client: MlflowClient, moving: str, how: str) -> None:
    register(client, "churn")
    client.set_registered_model_alias("churn", "champion", 1)
    client.transition_model_version_stage("churn", 1, "Production")
    client.create_registered_model("other")
    if how == "register":
        version = client.register_model(moving, "other")
    elif how == "create":
        version = client.create_model_version("other", moving)
    else:
        version = client.copy_model_version(moving, "other")
    register(client, "churn")

    assert (version.source, version.model_id) == ("models:/churn/1", client.get_model_version("churn", 1).model_id)
    assert client.get_model_version("other", 1).source == "models:/churn/1"
    event = next(event for event in client.get_history("other") if event.kind == "version_created")
    assert event.details["digest"] == client.resolve("models:/churn/1").digest
    assert b"champion" not in event.canonical()


@pytest.mark.parametrize("given_run", [True, False])
def test_a_place_below_a_runs_artifacts_means_its_logged_model(
    client: MlflowClient, own_place: Path, given_run: bool
) -> None:
    run = client.create_run("0")
    model = client.create_logged_model("0", name="model", source_run_id=run.info.run_id)
    (own_place / "files").mkdir()
    (own_place / "files" / "MLmodel").write_text("flavors: {}\n")
    client.log_model_artifacts(model.model_id, str(own_place / "files"))
    client.finalize_logged_model(model.model_id, "READY")
    client.create_registered_model("churn")
    source = f"{run.info.artifact_uri}/model"

    version = client.create_model_version("churn", source, run_id=run.info.run_id if given_run else None)

    assert (version.model_id, version.source) == (model.model_id, source)
    with pytest.raises(RegistryError, match=f"named by its name: 'runs:/{run.info.run_id}/other'"):
        client.create_model_version("churn", f"{run.info.artifact_uri}/other", run_id=run.info.run_id)


def test_files_below_a_runs_artifacts_are_taken_before_its_logged_model(client: MlflowClient, own_place: Path) -> None:
    run = client.create_run("0")
    client.log_text(run.info.run_id, "flavors: {}\n", "model/MLmodel")
    client.create_registered_model("churn")
    version = client.create_model_version("churn", f"{run.info.artifact_uri}/model", run_id=run.info.run_id)
    assert files_of(client, f"models:/churn/{version.version}") == {"MLmodel": b"flavors: {}\n"}


@pytest.mark.parametrize("path", ["modell", "mlflow-artifacts:/7/forest"])
def test_a_runs_uri_without_files_names_the_models_of_the_run(client: MlflowClient, path: str) -> None:
    run_id = client.create_run("0").info.run_id
    client.create_registered_model("churn")

    with pytest.raises(RegistryError) as without:
        client.create_model_version("churn", f"runs:/{run_id}/{path}")
    assert str(without.value).endswith("there is nothing to register.")

    sealed_model(client, name="forest", source_run_id=run_id)
    uri = f"runs:/{run_id}/{path}"
    way_out = f" The run has 'runs:/{run_id}/forest'."
    with pytest.raises(RegistryError) as registering:
        client.create_model_version("churn", uri)
    assert str(registering.value).endswith(f"there is nothing to register.{way_out}")
    with pytest.raises(RegistryError) as resolving:
        client.resolve(uri)
    assert str(resolving.value).endswith(way_out)
    assert client.search_model_versions("name = 'churn'") == []
