"""Settings: arguments, then REGISTRY_*, then MLFLOW_*; and what a tracking URI means."""

import os
from pathlib import Path
from typing import Any

import pytest

import registry
from registry import MlflowClient
from registry.exceptions import InvalidParameterError, InvalidUriError, RegistryError, UnsupportedStoreError
from registry.fluent import state
from registry.settings import Settings, _read, _warn_of_unheeded, actor_of, current_settings, place_of, redacted_uri


def place(uri: str) -> Any:
    return place_of(uri, current_settings())


def test_by_default_everything_is_below_mlruns(own_place: Path) -> None:
    assert registry.get_tracking_uri() == registry.get_registry_uri() == "file:./mlruns"
    assert not registry.is_tracking_uri_set()
    assert list(own_place.iterdir()) == []

    with registry.start_run() as run:
        registry.log_text("x", "a.txt")

    assert sorted(path.name for path in (own_place / "mlruns").iterdir()) == [".registry", "0", "registry.db"]
    assert (own_place / "mlruns" / "0" / run.info.run_id / "artifacts" / "a.txt").read_text() == "x"


@pytest.mark.parametrize(
    ("uri", "database", "root"),
    [
        ("file:./store", "sqlite:///{cwd}/store/registry.db", "{cwd}/store"),
        ("file:///data/store", "sqlite:////data/store/registry.db", "/data/store"),
        ("file://localhost/data/store", "sqlite:////data/store/registry.db", "/data/store"),
        ("./a b", "sqlite:///{cwd}/a b/registry.db", "{cwd}/a b"),
        ("file:///data/a%20b", "sqlite:////data/a b/registry.db", "/data/a b"),
        ("/data/100%25", "sqlite:////data/100%25/registry.db", "/data/100%25"),
        ("/data/x:y", "sqlite:////data/x:y/registry.db", "/data/x:y"),
        ("sqlite:///a.db", "sqlite:///{cwd}/a.db", "{cwd}/mlruns"),
        ("postgresql://me@host/db", "postgresql://me@host/db", "{cwd}/mlruns"),
    ],
)
def test_a_tracking_uri_says_where_rows_and_bytes_are(uri: str, database: str, root: str, own_place: Path) -> None:
    found = place(uri)

    assert found.database_url == database.format(cwd=own_place)
    assert found.artifact_root == root.format(cwd=own_place)


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("http://localhost:5000", "There is no server here"),
        ("https://me:secret@host", "There is no server here"),
        ("databricks", "A Databricks workspace cannot be used"),
        ("databricks://profile", "A Databricks workspace cannot be used"),
        ("mysql://me:secret@host/db", "A 'mysql' tracking URI cannot hold a registry"),
        ("mssql+pyodbc://me:secret@host/db", "A 'mssql\\+pyodbc' tracking URI cannot hold a registry"),
        ("gs://bucket", "A 'gs' tracking URI cannot hold a registry"),
        ("file://host/x", "names the host 'host'"),
        ("file:///a%2", "two hexadecimal digits"),
        ("file:///a?b", "written '%3F' and '%23'"),
        ("s3:/bucket", "'s3://<bucket>/<prefix>'"),
        ("s3://me:secret@bucket", "'s3://<bucket>/<prefix>'"),
        ("s3://My_Bucket", "'s3://<bucket>/<prefix>'"),
        ("s3a://bucket", "A 's3a' tracking URI cannot hold a registry"),
        ("file:", "names no directory"),
    ],
)
def test_other_uris_give_one_clear_error(uri: str, says: str, own_place: Path) -> None:
    with pytest.raises(UnsupportedStoreError, match=says) as caught:
        MlflowClient(uri).search_experiments()

    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"
    assert "secret" not in caught.value.message
    assert list(own_place.iterdir()) == []


def test_the_directory_that_is_set_may_have_any_name(own_place: Path) -> None:
    for number, name in enumerate(("100%25 b", "a b", "what?", "x:y", "hash#1")):
        registry.set_tracking_uri(own_place / name)
        with registry.start_run(run_name=str(number)):
            pass
        assert sorted(path.name for path in (own_place / name).iterdir()) == ["registry.db"]
        assert [run.info.run_name for run in MlflowClient().search_runs(["0"])] == [str(number)]


def test_bytes_on_s3_and_rows_in_a_database() -> None:
    with pytest.warns(UserWarning, match="Set REGISTRY_BACKEND_STORE_URI"):
        local = place("s3://bucket/prefix")
    assert place("s3://bucket/prefix") == local  # said once: a second warning would be an error here
    assert (local.artifact_root, local.database_url.endswith("/mlruns/registry.db")) == ("s3://bucket/prefix", True)

    settings = Settings(backend_store_uri="postgresql://me@host/db")
    shared = place_of("s3://bucket/prefix", settings)
    assert (shared.artifact_root, shared.database_url) == ("s3://bucket/prefix", "postgresql://me@host/db")


@pytest.mark.parametrize("location", ["s3://bucket/prefix", "s3://bucket/prefix/"])
def test_bytes_may_lie_elsewhere(location: str, monkeypatch: pytest.MonkeyPatch, own_place: Path) -> None:
    monkeypatch.setenv("MLFLOW_DEFAULT_ARTIFACT_ROOT", location)

    assert place("sqlite:///a.db").artifact_root == "s3://bucket/prefix"
    assert MlflowClient(f"sqlite:///{own_place}/a.db").get_experiment("0").artifact_location == "s3://bucket/prefix/0"


def test_registrys_variables_count_more_than_mlflows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    assert registry.get_tracking_uri() == "sqlite:///mlflow.db"
    monkeypatch.setenv("REGISTRY_TRACKING_URI", "sqlite:///ours.db")
    assert registry.get_tracking_uri() == "sqlite:///ours.db"
    registry.set_tracking_uri("sqlite:///set.db")
    assert registry.get_tracking_uri() == "sqlite:///set.db"
    assert registry.is_tracking_uri_set()
    assert MlflowClient("sqlite:///given.db").tracking_uri == "sqlite:///given.db"

    registry.set_tracking_uri(None)
    assert registry.get_tracking_uri() == "file:./mlruns"


def test_runs_and_models_share_one_database(own_place: Path) -> None:
    registry.set_tracking_uri("sqlite:///a.db")
    registry.set_registry_uri("sqlite:///a.db")
    assert registry.search_registered_models() == []

    registry.set_registry_uri("postgresql://me:s3cret@host/db")
    with pytest.raises(UnsupportedStoreError, match=r"copy_model_version\(source, name, to=") as caught:
        registry.search_registered_models()

    assert "s3cret" not in caught.value.message
    assert "me:***@host" in caught.value.message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REGISTRY_DEFAULT_TAGS", "not json"),
        ("REGISTRY_DEFAULT_TAGS", "[1]"),
        ("REGISTRY_ALLOW_CODE", "perhaps"),
        ("REGISTRY_CACHE_LIMIT_BYTES", "-1"),
        ("MLFLOW_TRUNCATE_LONG_VALUES", "maybe"),
    ],
)
def test_a_variable_that_does_not_parse_is_named(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(InvalidParameterError, match=f"A setting cannot be used: .*{name}"):
        current_settings()


def test_a_variable_that_is_neither_true_nor_false_is_told_what_to_write(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_ALLOW_CODE", "perhaps")

    with pytest.raises(InvalidParameterError) as caught:
        current_settings()
    assert caught.value.message == "A setting cannot be used: REGISTRY_ALLOW_CODE: write true or false."


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("postgresql://me:secret@host:5/db", "postgresql://me:***@host:5/db"),
        ("postgresql://me:se:c@ret/x@host/db", "postgresql://me:***@host/db"),
        ("postgresql://me@host/db?sslmode=a&password=secret&x=1", "postgresql://me@host/db?sslmode=a&password=***&x=1"),
        ("postgresql://me@host/db", "postgresql://me@host/db"),
        ("sqlite:////data/a@b.db", "sqlite:////data/a@b.db"),
        ("file:./mlruns", "file:./mlruns"),
    ],
)
def test_a_uri_is_shown_without_its_password(uri: str, shown: str) -> None:
    assert redacted_uri(uri) == shown


def test_no_repr_has_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REGISTRY_TRACKING_URI", "REGISTRY_REGISTRY_URI", "REGISTRY_BACKEND_STORE_URI"):
        monkeypatch.setenv(name, "postgresql://me:s3cret@127.0.0.1:1/db")
    settings = current_settings()
    client = MlflowClient()

    seen = [repr(settings), str(settings), repr(place_of(settings.tracking_uri, settings)), repr(client)]
    with pytest.raises(RegistryError) as caught:
        client.search_experiments()

    assert "s3cret" not in " ".join([*seen, repr(caught.value), str(caught.value.__context__)])


def test_the_actor_is_the_setting_or_the_user_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    assert actor_of(current_settings()) == "tester"
    monkeypatch.delenv("REGISTRY_ACTOR")
    monkeypatch.setenv("LOGNAME", "somebody")

    assert actor_of(current_settings()) == "somebody"


def test_a_variable_that_is_nearly_a_setting_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_ACTOR", "with a slip")  # settings are read anew when one of them has changed
    monkeypatch.setenv("REGISTRY_TRCKING_URI", "sqlite:///elsewhere.db")
    monkeypatch.setenv("REGISTRY_PORT_5000_TCP", "tcp://10.0.0.1:5000")  # a service of that name in Kubernetes

    with pytest.warns(UserWarning, match="TRCKING_URI is not a setting") as caught:
        assert current_settings().tracking_uri == "file:./mlruns"

    assert [str(warning.message) for warning in caught] == [
        "The variable REGISTRY_TRCKING_URI is not a setting and is ignored. Did you mean REGISTRY_TRACKING_URI?"
    ]


RELATIVE_PLACES = [
    *("sqlite:///registry.db", "sqlite+pysqlite:///a b/registry.db", "sqlite:///registry.db?journal_mode=wal"),
    *("file:./mlruns", "file:mlruns", "mlruns"),
]


@pytest.mark.parametrize("uri", RELATIVE_PLACES)
@pytest.mark.parametrize("way", ["set_tracking_uri", "REGISTRY_TRACKING_URI", "MLFLOW_TRACKING_URI", "client"])
def test_a_relative_place_stays_where_it_was_when_the_process_moves(
    way: str, uri: str, own_place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (own_place / "elsewhere").mkdir()
    client = None
    if way == "set_tracking_uri":
        registry.set_tracking_uri(uri)
        os.chdir("elsewhere")  # before the first use: it counts from where it was set
    elif way == "client":
        client = MlflowClient(uri)
        os.chdir("elsewhere")
    else:
        monkeypatch.setenv(way, uri)
    if client is None:
        with registry.start_run() as run:
            registry.log_metric("loss", 1.0)
            monkeypatch.chdir(own_place / "elsewhere")
            registry.log_metric("loss", 2.0, step=1)
            registry.log_text("text", "a.txt")
            run_id = run.info.run_id
        assert registry.get_run(run_id).data.metrics == {"loss": 2.0}
        client = MlflowClient()
        assert MlflowClient(registry.get_tracking_uri()).get_run(run_id).info == client.get_run(run_id).info
    else:
        run_id = client.create_run("0").info.run_id
        client.log_text(run_id, "text", "a.txt")

    artifacts = Path(client.get_run(run_id).info.artifact_uri)
    assert artifacts.is_relative_to(own_place / "mlruns")
    assert (artifacts / "a.txt").read_text() == "text"
    assert list((own_place / "elsewhere").iterdir()) == []
    os.chdir(own_place)
    assert client.get_run(run_id).info.artifact_uri == str(artifacts)


def test_a_relative_place_of_artifacts_stays_where_it_was(own_place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_ARTIFACT_LOCATION", "./files")
    registry.create_experiment("before")
    (own_place / "elsewhere").mkdir()
    os.chdir("elsewhere")

    registry.create_experiment("after")

    locations = [MlflowClient().get_experiment_by_name(name).artifact_location for name in ("before", "after")]
    assert [Path(location).parent for location in locations] == [own_place / "files"] * 2


def test_two_clients_of_one_relative_place_in_two_directories_are_two_places(own_place: Path) -> None:
    for name in ("one", "two"):
        (own_place / name).mkdir()
        os.chdir(own_place / name)
        MlflowClient("sqlite:///registry.db").create_experiment(name)

    assert [(own_place / name / "registry.db").is_file() for name in ("one", "two")] == [True, True]


def test_module_level_functions_see_settings_that_changed(own_place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry.MlflowClient().create_registered_model("first")
    before = state.client()
    opened = before.backend
    monkeypatch.setenv("REGISTRY_ACTOR", "somebody else")
    monkeypatch.setenv("REGISTRY_ARTIFACT_LOCATION", str(own_place / "files"))
    registry.create_experiment("new")
    (own_place / "model").mkdir()
    (own_place / "model" / "a").write_text("a")
    registry.register_model(str(own_place / "model"), "first")

    assert MlflowClient().get_experiment_by_name("new").artifact_location.startswith(f"{own_place}/files/")
    assert set(registry.history("first")["actor"]) == {"tester", "somebody else"}
    monkeypatch.setenv("REGISTRY_S3_ENDPOINT_URL", "http://127.0.0.1:1")
    assert state.client() is not before
    assert state.client().backend is MlflowClient().backend is not opened


@pytest.mark.parametrize("field", Settings.model_fields)
def test_an_empty_variable_is_an_unset_one(field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    alias: Any = Settings.model_fields[field].validation_alias
    for name in alias.choices:
        monkeypatch.delenv(name, raising=False)
    expected = current_settings()
    for name in alias.choices:
        monkeypatch.setenv(name, "")

    assert current_settings() == expected
    assert current_settings().model_fields_set == expected.model_fields_set


def test_an_empty_variable_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_TRACKING_URI", "")
    assert not registry.is_tracking_uri_set()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")

    assert registry.get_tracking_uri() == "sqlite:///mlflow.db"
    assert registry.is_tracking_uri_set()


def test_an_error_names_the_variable_that_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_ENABLE_ASYNC_LOGGING", "")
    monkeypatch.setenv("MLFLOW_ENABLE_ASYNC_LOGGING", "perhaps")

    with pytest.raises(InvalidParameterError, match="MLFLOW_ENABLE_ASYNC_LOGGING"):
        current_settings()


def test_a_variable_of_mlflow_that_has_no_effect_is_named_once(monkeypatch: pytest.MonkeyPatch) -> None:
    unheeded = ("MLFLOW_HTTP_REQUEST_TIMEOUT", "MLFLOW_SQLALCHEMYSTORE_POOL_SIZE", "MLFLOW_TRACKING_TOKEN")
    for name in (*unheeded, "MLFLOW_ENABLE_ASYNC_LOGGING", "MLFLOW_DISABLE_TELEMETRY", "MLFLOW_OF_MY_OWN"):
        monkeypatch.setenv(name, "1")
    _read.cache_clear()
    _warn_of_unheeded.cache_clear()
    with pytest.warns(UserWarning, match="has no effect here") as caught:
        current_settings()

    _read.cache_clear()
    current_settings()  # a second warning would be an error
    assert sorted(str(warning.message).split()[2] for warning in caught) == sorted(unheeded)


@pytest.mark.parametrize("variable", ["REGISTRY_ARTIFACT_LOCATION", "MLFLOW_DEFAULT_ARTIFACT_ROOT"])
@pytest.mark.parametrize(
    "location",
    [
        *("s3a://bucket", "s3:/bucket", "gs://bucket", "http://host/x", "mlflow-artifacts:/", "models:/churn/1"),
        *("s3://user:secret@bucket", "s3://My_Bucket", "s3://bucket/x?token=secret", "file://host/x", "runs:/a/b"),
    ],
)
@pytest.mark.parametrize("tracking_uri", ["file:./store", "sqlite:///store.db"])
def test_a_place_from_a_variable_is_read_by_the_grammar_of_arguments(
    variable: str, location: str, tracking_uri: str, monkeypatch: pytest.MonkeyPatch, own_place: Path
) -> None:
    monkeypatch.setenv(variable, location)
    with pytest.raises(InvalidUriError, match=f"^{variable} cannot be used") as caught:
        MlflowClient(tracking_uri).create_run("0")

    assert "secret" not in caught.value.message
    assert list(own_place.iterdir()) == []


def test_a_file_uri_as_artifact_location_is_decoded_once(monkeypatch: pytest.MonkeyPatch, own_place: Path) -> None:
    monkeypatch.setenv("REGISTRY_ARTIFACT_LOCATION", (own_place / "a b%20").as_uri())
    assert place("sqlite:///a.db").artifact_root == str(own_place / "a b%20")
    monkeypatch.setenv("REGISTRY_ARTIFACT_LOCATION", str(own_place / "a b%20"))
    assert place("sqlite:///a.db").artifact_root == str(own_place / "a b%20")


@pytest.mark.parametrize("variable", ["REGISTRY_TRACKING_URI", "MLFLOW_TRACKING_URI"])
def test_a_tracking_uri_from_a_variable_is_named_by_it(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "s3://me:secret@bucket")
    with pytest.raises(UnsupportedStoreError, match=f"^{variable} cannot be used") as caught:
        MlflowClient().search_experiments()
    assert "secret" not in caught.value.message


def test_a_database_from_a_variable_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_BACKEND_STORE_URI", "mysql://me:secret@host/db")
    with pytest.raises(UnsupportedStoreError, match="^MLFLOW_BACKEND_STORE_URI cannot be used: a 'mysql'") as caught:
        MlflowClient("s3://bucket/prefix").search_experiments()
    assert "secret" not in caught.value.message


def test_a_path_is_set_as_an_encoded_file_uri(own_place: Path) -> None:
    registry.set_tracking_uri(own_place / "a b")
    assert registry.get_tracking_uri() == f"file://{own_place}/a%20b"
