"""Settings: arguments, then REGISTRY_*, then MLFLOW_*; and what a tracking URI means."""

from pathlib import Path
from typing import Any

import pytest

import registry
from registry import MlflowClient
from registry.exceptions import InvalidParameterError, RegistryError, UnsupportedStoreError
from registry.settings import Settings, actor_of, current_settings, place_of, redacted_uri


def place(uri: str) -> Any:
    return place_of(uri, current_settings())


def test_by_default_everything_is_below_mlruns(own_place: Path) -> None:
    assert registry.get_tracking_uri() == registry.get_registry_uri() == "file:./mlruns"
    assert not registry.is_tracking_uri_set()
    assert list(own_place.iterdir()) == []

    with registry.start_run() as run:
        registry.log_text("x", "a.txt")

    assert sorted(path.name for path in (own_place / "mlruns").iterdir()) == ["0", "registry.db"]
    assert (own_place / "mlruns" / "0" / run.info.run_id / "artifacts" / "a.txt").read_text() == "x"


@pytest.mark.parametrize(
    ("uri", "database", "root"),
    [
        ("file:./store", "sqlite:///{cwd}/store/registry.db", "{cwd}/store"),
        ("file:///data/store", "sqlite:////data/store/registry.db", "/data/store"),
        ("file://localhost/data/store", "sqlite:////data/store/registry.db", "/data/store"),
        ("./a b", "sqlite:///{cwd}/a b/registry.db", "{cwd}/a b"),
        ("/data/100%25", "sqlite:////data/100%25/registry.db", "/data/100%25"),
        ("/data/x:y", "sqlite:////data/x:y/registry.db", "/data/x:y"),
        ("sqlite:///a.db", "sqlite:///a.db", "{cwd}/mlruns"),
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
        ("file:///a%20b", "percent-encoded, which is not decoded here"),
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
