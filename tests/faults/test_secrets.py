"""Passwords and keys appear in no message, listing or output, whatever goes wrong."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from file_trees import planted

from registry import MlflowClient, set_tracking_uri
from registry.client.doctor import examine
from registry.exceptions import RegistryError

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
    monkeypatch.setattr("registry.blobs.s3.bucket.ATTEMPTS", 1)


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
        client.register_model(str(planted(own_place / "source", {"a": b"a"})), "churn")

    assert [text for text in _texts(caught.value) if KEY in text] == []


@pytest.mark.usefixtures("unreachable_s3")
def test_the_doctor_tells_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_ARTIFACT_LOCATION", "s3://bucket/prefix")
    set_tracking_uri(URL)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", URL.replace("nothing", "other"))

    told = repr(examine())

    assert PASSWORD not in told
    assert KEY not in told
    assert told.count("Verdict.FAIL") == 2


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

    assert ran.returncode == 1
    assert PASSWORD not in ran.stdout + ran.stderr
    assert KEY not in ran.stdout + ran.stderr
