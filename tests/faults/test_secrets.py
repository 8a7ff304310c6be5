"""Passwords and keys appear in no message, log, row, pickle or output, whatever goes wrong."""

import contextlib
import copy
import importlib
import logging
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from file_trees import write_files
from governed_models import raw_sql
from sqlalchemy import inspect
from sqlalchemy.engine import make_url
from tblib import pickling_support

from registry import MlflowClient, exceptions, set_tracking_uri
from registry.client.maintenance.doctor import examine
from registry.exceptions import InvalidStateError, InvalidTypeError, RegistryError
from registry.settings import current_settings

PASSWORD = "hunter2-hunter2"
KEY = "wJalrXUtnFEMI-made-up-secret"
URL = f"postgresql://someone:{PASSWORD}@127.0.0.1:1/nothing"


def _texts(error: BaseException | None) -> Iterator[str]:
    while error is not None:
        yield from (str(error), repr(error))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


@pytest.fixture
def unreachable_s3(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "someone",
        "AWS_SECRET_ACCESS_KEY": KEY,
        "AWS_SESSION_TOKEN": KEY,
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "1",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("registry.blobs.s3.clients.ATTEMPTS", 1)


WRONG: dict[str, Callable[[], Any]] = {
    "a database that is not there": lambda: MlflowClient(URL).search_experiments(),
    "a database that is no registry's": lambda: MlflowClient(URL.replace("postgresql", "mysql")).search_experiments(),
    "a URL that does not parse": lambda: MlflowClient(URL.replace(":1/", ":port/")).search_experiments(),
    "an unknown driver": lambda: MlflowClient(URL.replace("postgresql", "postgresql+nothing")).search_experiments(),
    "another registry": lambda: MlflowClient("sqlite:///a.db", URL).search_experiments(),
    "gc": lambda: MlflowClient(URL).collect_garbage(),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_password_in_a_url_is_in_no_error(wrong: str) -> None:
    with pytest.raises(RegistryError) as caught:
        WRONG[wrong]()

    assert [text for text in _texts(caught.value) if PASSWORD in text] == []


@pytest.mark.usefixtures("unreachable_s3")
def test_keys_are_in_no_error_of_a_byte_store(own_place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_ARTIFACT_LOCATION", "s3://bucket/prefix")
    client = MlflowClient("sqlite:///a.db")

    with pytest.raises(RegistryError) as caught:
        client.register_model(str(write_files(own_place / "source", {"a": b"a"})), "churn")

    assert [text for text in _texts(caught.value) if KEY in text] == []


@pytest.mark.usefixtures("unreachable_s3")
def test_the_doctor_tells_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_ARTIFACT_LOCATION", "s3://bucket/prefix")
    set_tracking_uri(URL)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", URL.replace("nothing", "other"))

    told = repr(examine())

    assert PASSWORD not in told
    assert KEY not in told
    assert told.count("CheckStatus.FAIL") == 2


@pytest.mark.usefixtures("unreachable_s3")
@pytest.mark.parametrize("command", ["doctor", "gc", "models list", "db check"])
def test_the_command_line_prints_no_secret(command: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "registry", *command.split(), "--tracking-uri", URL],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"REGISTRY_ARTIFACT_LOCATION": "s3://bucket/prefix"},
    )

    assert ran.returncode == (3 if command == "doctor" else 1)
    assert PASSWORD not in ran.stdout + ran.stderr
    assert KEY not in ran.stdout + ran.stderr


@pytest.fixture
def used(
    postgres_url: str,
    own_place: Path,
    artifacts_on_s3: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> MlflowClient:
    """A client of a database with a password and a bucket with keys, that has done this and that while all was logged.

    The session token is left out: botocore itself logs the headers that it sends, and the token is one of them.
    """
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEY)
    url = make_url(postgres_url).set(password=PASSWORD).render_as_string(hide_password=False)
    monkeypatch.setenv("REGISTRY_TRACKING_URI", url)
    for module in ("boto3", "psycopg"):  # whose loggers are to be there
        importlib.import_module(module)
    for name in (None, *logging.root.manager.loggerDict):
        caplog.set_level(logging.DEBUG, logger=name)
    client = MlflowClient()
    run_id = client.create_run("0").info.run_id
    client.log_text(run_id, "text", "notes.txt")
    client.register_model(str(write_files(own_place / "source", {"a": b"a"})), "churn")
    client.transition_model_version_stage("churn", 1, "Production", reason="better")
    other = MlflowClient("sqlite:///other.db")
    client.copy_model_version("models:/churn/1", "copied", to=other.tracking_uri)
    other.copy_model_version("models:/copied/1", "returned", to=url)
    client.export_model("churn", own_place / "churn.zip")
    client.import_model(own_place / "churn.zip", name="imported")
    client.verify("churn", read_bytes=True)
    client.download_artifacts(run_id, "")
    for wrong in (
        lambda: client.get_run("0" * 32),
        lambda: client.register_model("s3://no-such-bucket/a", "churn"),
        lambda: client.collect_garbage(apply=True, older_than="0s") and client.download_artifacts(run_id, "none"),
    ):
        with pytest.raises(RegistryError):
            wrong()
    return client


def _logged(record: logging.LogRecord) -> str:
    return f"{logging.Formatter().format(record)} {record.__dict__}"


def test_no_logger_tells_a_secret(used: MlflowClient, caplog: pytest.LogCaptureFixture) -> None:
    told = [(record.name, _logged(record)) for phase in ("setup", "call") for record in caplog.get_records(phase)]

    heard = {name.split(".")[0] for name, _ in told}
    assert {"botocore", "sqlalchemy", "urllib3"} <= heard
    assert {name for name, text in told if PASSWORD in text or KEY in text} == set()


def test_no_row_of_the_database_has_a_secret(used: MlflowClient) -> None:
    database = used.backend.database
    sql = raw_sql(database.url.render_as_string(hide_password=False))
    rows = {name: sql(f"SELECT * FROM {name}") for name in inspect(database.engine).get_table_names()}

    assert (len(rows["history"]) > 4, len(rows["model_files"])) == (True, 3)
    assert [name for name, found in rows.items() if PASSWORD in str(found) or KEY in str(found)] == []


def test_nothing_shows_a_secret_or_takes_it_along_in_a_pickle(used: MlflowClient) -> None:
    backend = used.backend
    store = backend.blobs("s3://bucket/prefix")
    things = [
        used,
        backend,
        backend.place,
        backend.database,
        backend.database.engine,
        backend.models,
        backend.verification,
    ]
    for thing in (*things, store, current_settings()):
        pickled = b""
        with contextlib.suppress(RegistryError, AttributeError, TypeError):  # SQLAlchemy's engines are not pickled
            pickled = pickle.dumps(thing)
        assert (type(thing), [secret for secret in (PASSWORD, KEY) if secret in repr(thing)]) == (type(thing), [])
        assert (type(thing), [secret for secret in (PASSWORD, KEY) if secret.encode() in pickled]) == (type(thing), [])


def test_a_client_with_a_password_is_not_pickled_and_says_what_to_do(used: MlflowClient) -> None:
    for refused in (lambda: pickle.dumps(used), lambda: copy.deepcopy(used), lambda: pickle.dumps(MlflowClient(URL))):
        with pytest.raises(InvalidStateError, match="REGISTRY_TRACKING_URI"):
            refused()
    with pytest.raises(InvalidTypeError, match="not pickled"):
        pickle.dumps(used.backend)


def test_settings_travel_as_the_place_where_they_are_found(used: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> None:
    pickled = pickle.dumps(current_settings())
    monkeypatch.setenv("REGISTRY_TRACKING_URI", "sqlite:///there.db")

    assert pickle.loads(pickled).tracking_uri == "sqlite:///there.db"


def test_a_client_without_a_password_travels_and_opens_its_place_anew(sqlite_url: str) -> None:
    client = MlflowClient(sqlite_url)
    client.create_registered_model("churn")

    for other in (pickle.loads(pickle.dumps(client)), copy.copy(client)):
        assert "_backend" not in vars(other)
        assert [model.name for model in other.search_registered_models()] == ["churn"]


@pytest.mark.parametrize("wrong", WRONG)
def test_errors_travel_without_a_secret(wrong: str) -> None:
    with pytest.raises(RegistryError) as caught:
        WRONG[wrong]()
    pickled = pickle.dumps(caught.value)
    again = pickle.loads(pickled)

    assert PASSWORD.encode() not in pickled
    assert (type(again), str(again), again.error_code) == (
        type(caught.value),
        str(caught.value),
        caught.value.error_code,
    )


@pytest.mark.parametrize("name", [name for name in dir(exceptions) if name.endswith("Error")])
def test_every_error_of_ours_travels_whole(name: str) -> None:
    pickling_support.install()  # as Dask does: errors come back from its workers
    kind = getattr(exceptions, name)
    again = pickle.loads(pickle.dumps(kind("it broke", error_code="BAD_REQUEST", model="churn")))

    assert (type(again), str(again), again.error_code, again.json_kwargs) == (
        kind,
        "it broke",
        "BAD_REQUEST",
        {"model": "churn"},
    )
