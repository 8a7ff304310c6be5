"""Files of versions and runs that are sent whole or in ranges: what is read of them, and what a digest promises."""

import hashlib
import tracemalloc
from pathlib import Path

import pytest
from page_client import PageClient, open_page

import registry
from registry import MlflowClient
from registry.blobs import open_blob_store
from registry.exceptions import IntegrityError
from registry.web.files import StoredFile

DIGITS = b"0123456789"
LARGE = 3_000_000


@pytest.fixture(params=["disk", "s3"])
def page(
    request: pytest.FixtureRequest, sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> PageClient:
    """Return a visitor of a page with version 1 of churn: digits.bin, empty.bin and large.bin, on disk or in S3."""
    if request.param == "s3":
        root = request.getfixturevalue("s3_environment")(request.getfixturevalue("moto_s3")).fresh_root()
        monkeypatch.setenv("REGISTRY_ARTIFACT_LOCATION", root)
    registry.set_tracking_uri(sqlite_url)
    client = MlflowClient()
    run = client.create_run(client.create_experiment("sent")).info
    directory = tmp_path / "model"
    directory.mkdir()
    for name, data in (("digits.bin", DIGITS), ("empty.bin", b""), ("large.bin", b"x" * LARGE)):
        (directory / name).write_bytes(data)
    client.log_artifacts(run.run_id, str(directory), "model")
    client.register_model(f"runs:/{run.run_id}/model", "churn")
    return open_page(sqlite_url)


def file_url(path: str) -> str:
    return f"/models/churn/1/file?path={path}"


def test_a_file_of_a_version_is_sent_whole_in_parts_or_by_its_head_alone(page: PageClient) -> None:
    etag = f'"{hashlib.sha256(DIGITS).hexdigest()}"'
    answers = {
        asked: page.get(file_url("digits.bin"), {"range": asked} if asked else {})
        for asked in ("", "bytes=3-5", "bytes=-4", "bytes=10-", "bytes=0-1,4-5")
    }
    assert {asked: (one.status, one.body, one.header("content-range")) for asked, one in answers.items()} == {
        "": (200, DIGITS, None),
        "bytes=3-5": (206, b"345", "bytes 3-5/10"),
        "bytes=-4": (206, b"6789", "bytes 6-9/10"),
        "bytes=10-": (416, b"", "bytes */10"),
        "bytes=0-1,4-5": (200, DIGITS, None),
    }
    assert answers["bytes=3-5"].header("etag") == etag
    assert answers["bytes=3-5"].header("content-disposition") == "attachment; filename*=UTF-8''digits.bin"
    head = page.ask("HEAD", file_url("large.bin"), {})
    assert (head.status, head.header("content-length"), head.body) == (200, str(LARGE), b"")
    empty = page.get(file_url("empty.bin"), {"range": "bytes=0-"})
    assert (empty.status, empty.body) == (200, b"")
    part = page.get(file_url("large.bin"), {"range": f"bytes={LARGE - 2}-"})
    assert (part.status, part.body) == (206, b"xx")


def test_a_download_goes_on_only_where_the_bytes_are_still_the_same(page: PageClient) -> None:
    etag = f'"{hashlib.sha256(DIGITS).hexdigest()}"'
    for condition, status, body in ((etag, 206, b"89"), ('"other"', 200, DIGITS), ("Sat, 1 Jan 2022", 200, DIGITS)):
        answer = page.get(file_url("digits.bin"), {"range": "bytes=8-", "if-range": condition})
        assert (answer.status, answer.body) == (status, body)


def test_a_file_that_was_changed_never_arrives_whole(page: PageClient, sqlite_url: str) -> None:
    location = MlflowClient(sqlite_url).resolve("models:/churn/1").location
    store = open_blob_store(location)
    store.write("digits.bin", b"01234x6789")
    answer = page.get(file_url("digits.bin"))
    assert answer.status == 500
    assert "is not what was recorded" in answer.text
    store.write("large.bin", b"x" * (LARGE - 1) + b"y")
    broken = page.get(file_url("large.bin"), raises=RuntimeError)
    assert broken.status == 200
    assert broken.header("content-length") == str(LARGE)
    assert 0 < len(broken.body) < LARGE
    store.write("large.bin", b"x" * 10)
    assert page.get(file_url("large.bin"), {"range": "bytes=20-30"}).status == 500
    store.delete(["large.bin", "digits.bin"])
    answer = page.get(file_url("large.bin"))
    assert answer.status == 500
    assert "is missing" in answer.text


@pytest.mark.parametrize("page", ["disk"], indirect=True)  # S3 runs in this process, too, and has it all
def test_a_file_is_read_in_bounded_memory(page: PageClient, sqlite_url: str) -> None:
    store = open_blob_store(MlflowClient(sqlite_url).resolve("models:/churn/1").location)
    file = StoredFile("large.bin", store, "large.bin", LARGE, hashlib.sha256(b"x" * LARGE).hexdigest())
    assert b"".join(file.chunks()) == b"x" * LARGE  # what is imported on first use is no part of the measure
    tracemalloc.start()
    try:
        assert sum(map(len, file.chunks())) == LARGE
        assert tracemalloc.get_traced_memory()[1] < 1_500_000
    finally:
        tracemalloc.stop()


def test_a_preview_is_of_checked_bytes_where_the_whole_file_is_read(page: PageClient, sqlite_url: str) -> None:
    store = open_blob_store(MlflowClient(sqlite_url).resolve("models:/churn/1").location)
    file = StoredFile("digits.bin", store, "digits.bin", 10, "0" * 64)
    assert file.read(4) == b"0123"
    with pytest.raises(IntegrityError, match=r"digits\.bin is not what was recorded: expected SHA-256 0{64}"):
        file.read(10)
