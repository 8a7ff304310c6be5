"""What works with fewer rights on S3 than all: the right to get objects alone, or without the right to list."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from file_trees import read_files, write_files
from s3_faults import Wire, refuse, tap_requests
from s3_servers import S3Server

from registry import MlflowClient
from registry.exceptions import AccessDeniedError, IntegrityError

FILES = {"MLmodel": b"flavors: {}\n", "data.bin": b"weights", "code/a.py": b"pass\n"}


@pytest.fixture
def client(
    sqlite_url: str,
    moto_s3: S3Server,
    s3_environment: Callable[[S3Server], S3Server],
    monkeypatch: pytest.MonkeyPatch,
) -> MlflowClient:
    monkeypatch.setenv("REGISTRY_ARTIFACT_LOCATION", s3_environment(moto_s3).fresh_root())
    return MlflowClient(sqlite_url)


@pytest.fixture
def no_listing(client: MlflowClient) -> Iterator[Wire]:
    """The bucket, whose policy forbids to list from now on."""
    with tap_requests("artifacts") as wire:
        wire.always("list-type", refuse(403, "AccessDenied"))
        yield wire


@pytest.fixture
def version(client: MlflowClient, own_place: Path) -> str:
    return str(client.register_model(str(write_files(own_place / "source", FILES)), "churn").version)


def loaded(client: MlflowClient) -> dict[str, bytes]:
    from registry.client.models.loading import open_model
    from registry.uris import parse

    with open_model(client.backend, parse("models:/churn/1")) as directory:
        return read_files(directory)


def test_a_model_is_loaded_with_the_right_to_get_objects_alone(
    client: MlflowClient, version: str, no_listing: Wire
) -> None:
    no_listing.always("^(PUT|POST|DELETE)", refuse(403, "AccessDenied"))
    assert loaded(client) == FILES


def test_a_named_file_is_downloaded_with_the_right_to_get_objects_alone(
    client: MlflowClient, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    run_id = client.create_run("0").info.run_id
    client.log_text(run_id, "hello", "notes/a.txt")
    wire: Wire = request.getfixturevalue("no_listing")
    wire.always("^(PUT|POST|DELETE)", refuse(403, "AccessDenied"))
    assert Path(client.download_artifacts(run_id, "notes/a.txt", tmp_path)).read_text() == "hello"
    with pytest.raises(AccessDeniedError):
        client.download_artifacts(run_id, "notes", tmp_path)


def test_a_model_is_registered_without_the_right_to_list(
    client: MlflowClient, no_listing: Wire, own_place: Path
) -> None:
    client.register_model(str(write_files(own_place / "source", FILES)), "churn")
    assert loaded(client) == FILES


def test_verify_reads_what_was_sealed_and_says_where_listing_was_not_allowed(
    client: MlflowClient, version: str, no_listing: Wire
) -> None:
    location = client.get_model_version_download_uri("churn", version)
    assert client.verify("churn", read_bytes=True).unlisted == (location,)
    assert client.verify("churn").unlisted == ()


def test_verify_sees_a_file_that_changed_where_listing_was_not_allowed(
    client: MlflowClient, version: str, no_listing: Wire
) -> None:
    from registry.blobs import open_blob_store

    open_blob_store(client.get_model_version_download_uri("churn", version)).write("data.bin", b"WEIGHTS")
    with pytest.raises(IntegrityError, match=r"data\.bin is not what was recorded"):
        client.verify("churn", read_bytes=True)
