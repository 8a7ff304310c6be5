"""Every request to S3 fails once, one after the other; then the same call succeeds."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from file_trees import read_files, write_files
from gc_places import Place
from governed_models import raw_sql
from s3_faults import Fault, Wire, behead_answer, lose_answer, lose_request, refuse, tap_requests
from soundness import FILES, check_bytes, check_versions

from registry import MlflowClient
from registry.blobs.s3 import clients, errors
from registry.exceptions import RegistryError

Call = Callable[[], object]
FAULTS: dict[str, Fault] = {
    "done, but the answer is lost": lose_answer,
    "lost": lose_request,
    "refused": refuse(403, "AccessDenied"),
    "busy": refuse(503, "SlowDown"),
    "answered without a length": behead_answer("content-length", "etag"),
}


@pytest.fixture
def place(
    sqlite_url: str,
    artifacts_on_s3: str,
    own_place: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Place]:
    """A registry with a version on S3, whose client does not retry, so that no failure is hidden."""
    monkeypatch.setattr(clients, "ATTEMPTS", 1)
    monkeypatch.setattr(errors.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(clients, "_clients", {})
    client = MlflowClient(sqlite_url)
    client.register_model(str(write_files(own_place / "source", FILES)), "churn")
    return Place(sqlite_url, artifacts_on_s3, client, raw_sql(sqlite_url))


@pytest.fixture
def other(place: Place, tmp_path: Path) -> Place:
    """A second registry with its files below the same root."""
    url = f"sqlite:///{tmp_path / 'other.db'}"
    client = MlflowClient(url)
    client.get_experiment("0")
    return Place(url, place.root, client, raw_sql(url))


def _registering(place: Place, other: Place, directory: Path) -> Call:
    return lambda: place.client.register_model(str(directory / "source"), "churn")


def _copying(place: Place, other: Place, directory: Path) -> Call:
    names = count()
    return lambda: place.client.copy_model_version("models:/churn/1", f"copied-{next(names)}", to=other.url)


def _exporting(place: Place, other: Place, directory: Path) -> Call:
    def export() -> None:
        (directory / "churn.zip").unlink(missing_ok=True)
        place.client.export_model("churn", directory / "churn.zip")

    return export


def _importing(place: Place, other: Place, directory: Path) -> Call:
    exported = place.client.export_model("churn", directory / "churn.zip")
    names = count()
    return lambda: other.client.import_model(exported, name=f"imported-{next(names)}")


def _logging(place: Place, other: Place, directory: Path) -> Call:
    run_id = place.run(experiment="0")
    return lambda: place.client.log_artifacts(run_id, str(directory / "source"))


def _downloading(place: Place, other: Place, directory: Path) -> Call:
    run_id = place.run(experiment="0")
    write_files(directory / "target", {"mine.txt": b"mine"})

    def download() -> None:
        try:
            place.client.download_artifacts(run_id, "", str(directory / "target"))
        except RegistryError:
            assert read_files(directory / "target") == {"mine.txt": b"mine"}
            raise
        assert read_files(directory / "target") == {"mine.txt": b"mine", "notes.txt": b"scratch"}
        (directory / "target" / "notes.txt").unlink()

    return download


def _collecting(place: Place, other: Place, directory: Path) -> Call:
    for _ in range(4):
        place.upload({"data.bin": b"never became a model"})
    return lambda: place.client.collect_garbage(apply=True, older_than="0s", grace="0s")


OPERATIONS = {
    "register": _registering,
    "copy": _copying,
    "export": _exporting,
    "import": _importing,
    "log_artifacts": _logging,
    "download_artifacts": _downloading,
    "gc": _collecting,
}


@pytest.mark.parametrize("operation", list(OPERATIONS))
@pytest.mark.parametrize(
    "fault", [pytest.param(name, marks=pytest.mark.storm if number else ()) for number, name in enumerate(FAULTS)]
)
def test_a_request_that_fails_is_one_error_and_leaves_nothing_half_done(
    operation: str, fault: str, place: Place, other: Place, own_place: Path
) -> None:
    call = OPERATIONS[operation](place, other, own_place)
    with tap_requests(place.root.split("/")[2]) as wire:
        failed = _fail_each_request(wire, FAULTS[fault], call, lambda: (check_versions(place), check_versions(other)))

    assert failed >= 1
    check_bytes(place, other)
    assert check_versions(place) >= 1


def _fail_each_request(wire: Wire, fault: Fault, call: Call, check: Call) -> int:
    """Let each request of a call fail once; return how many it makes."""
    number = 0
    while True:
        number += 1
        wire.fail(number, fault)
        try:
            call()
        except RegistryError:
            if not wire.met:
                raise
        if not wire.met:
            return number - 1
        wire.fail(0, fault)
        check()
