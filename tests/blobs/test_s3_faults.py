"""S3 in bad weather: what is tried again, what is not, and what is left behind: nothing."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import peak_memory
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from s3_faults import (
    Fault,
    Wire,
    behead_answer,
    lose_answer,
    lose_request,
    refuse,
    send,
    tap_requests,
    tear_answer,
)
from s3_servers import S3Server
from volumes import volume

from registry.blobs import BlobStore, open_blob_store
from registry.blobs.s3 import bucket as bucket_module
from registry.entities.manifest import Manifest, ManifestEntry
from registry.exceptions import PathExistsError, StorageError, UnavailableError

Lead = Callable[[S3Server], S3Server]


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting between attempts is botocore's and ours; nothing here depends on how long it is."""
    monkeypatch.setattr("time.sleep", lambda _: None)


@pytest.fixture(params=["moto_s3", "seaweedfs"])
def server(request: pytest.FixtureRequest, s3_environment: Lead) -> S3Server:
    return s3_environment(request.getfixturevalue(request.param))


@pytest.fixture
def wire(server: S3Server) -> Iterator[Wire]:
    with tap_requests(server.bucket) as wire:
        yield wire


@pytest.fixture
def store(server: S3Server) -> BlobStore:
    return open_blob_store(server.fresh_root())


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return plant(tmp_path / "small", {"file": b"x" * 1000})


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A directory with one file of two parts."""
    return plant(tmp_path / "large", {"file": LARGE})


LARGE = b"".join(hashlib.sha256(b"%d" % number).digest() for number in range(280_000))
SEALED_SMALL = Manifest((ManifestEntry("file", 1000, hashlib.sha256(b"x" * 1000).hexdigest()),))
SEALED_LARGE = Manifest((ManifestEntry("file", len(LARGE), hashlib.sha256(LARGE).hexdigest()),))


def plant(directory: Path, files: dict[str, bytes]) -> Path:
    directory.mkdir()
    for path, data in files.items():
        (directory / path).write_bytes(data)
    return directory


def unfinished_uploads(server: S3Server, store: BlobStore) -> list[str]:
    prefix = store.root.split("/", 3)[3]
    listed = server.client().list_multipart_uploads(Bucket=server.bucket).get("Uploads", [])
    return [upload["Key"] for upload in listed if upload["Key"].startswith(prefix)]


TRANSIENT = {
    "SlowDown": refuse(503, "SlowDown"),
    "InternalError": refuse(500, "InternalError"),
    "ServiceUnavailable": refuse(503, "ServiceUnavailable"),
    "lost request": lose_request,
    "lost answer": lose_answer,
}


@pytest.mark.parametrize("fault", TRANSIENT.values(), ids=TRANSIENT)
@pytest.mark.parametrize("request_line", ["^PUT", "^HEAD", "list-type"])
def test_a_small_seal_survives_what_s3_says_to_repeat(
    store: BlobStore, wire: Wire, small: Path, fault: Fault, request_line: str
) -> None:
    wire.once(request_line, fault, times=2)
    assert store.seal(small) == SEALED_SMALL
    assert store.manifest() == SEALED_SMALL


@pytest.mark.parametrize("fault", TRANSIENT.values(), ids=TRANSIENT)
@pytest.mark.parametrize("request_line", [r"\?uploads", "partNumber=2", "^POST .*uploadId="])
def test_a_large_seal_survives_what_s3_says_to_repeat(
    store: BlobStore, wire: Wire, large: Path, server: S3Server, fault: Fault, request_line: str
) -> None:
    wire.once(request_line, fault)
    assert store.seal(large) == SEALED_LARGE
    assert store.manifest() == SEALED_LARGE
    # An answer to the very first request that is lost leaves an upload that nobody knows; it has no parts.
    lost = fault is lose_answer and request_line == r"\?uploads"
    assert len(unfinished_uploads(server, store)) == (1 if lost else 0)


@pytest.mark.parametrize(
    "fault", [*TRANSIENT.values(), tear_answer(100), tear_answer(0)], ids=[*TRANSIENT, "torn", "empty"]
)
@pytest.mark.parametrize("size", ["small", "large"])
def test_reading_survives_what_s3_says_to_repeat_and_torn_bodies(
    store: BlobStore, wire: Wire, request: pytest.FixtureRequest, tmp_path: Path, fault: Fault, size: str
) -> None:
    manifest = store.seal(request.getfixturevalue(size))
    whole = LARGE if size == "large" else b"x" * 1000
    wire.once("^GET .*/file", fault, times=2)
    store.fetch(manifest, tmp_path / "fetched")
    assert (tmp_path / "fetched" / "file").read_bytes() == whole
    wire.once("^GET .*/file", fault, times=2)
    store.download("file", tmp_path / "downloaded")
    assert (tmp_path / "downloaded" / "file").read_bytes() == whole
    wire.once("^GET .*/file", fault, times=2)
    assert store.read("file") == whole


def test_a_torn_body_is_asked_for_from_where_it_broke_off(store: BlobStore, wire: Wire) -> None:
    store.write("file", b"0123456789")
    ranges: list[object] = []

    def note(request: object) -> None:
        ranges.append(request.headers.get("Range"))  # type: ignore[attr-defined]  # botocore's, not public

    wire.once("^GET", tear_answer(4))
    wire.once("^GET", note)
    with store.open("file") as stream:
        assert stream.read() == b"0123456789"
    assert ranges == [b"bytes=4-9"] or ranges == ["bytes=4-9"]


@pytest.mark.parametrize("size", ["small", "large"])
def test_a_connection_that_always_breaks_ends_in_an_error_and_leaves_nothing(
    store: BlobStore, wire: Wire, request: pytest.FixtureRequest, tmp_path: Path, size: str
) -> None:
    manifest = store.seal(request.getfixturevalue(size))
    wire.always("^GET .*/file", tear_answer(0))
    for call in (
        lambda: store.fetch(manifest, tmp_path / "to"),
        lambda: store.download("file", tmp_path / "to"),
        lambda: store.read("file"),
    ):
        with pytest.raises(UnavailableError, match=r"broke off s3://.*/file 5 times"):
            call()
        assert not (tmp_path / "to" / "file").exists()
        assert not list(tmp_path.glob("to/*.part"))


def test_what_s3_does_not_serve_for_long_ends_in_an_error(store: BlobStore, wire: Wire, small: Path) -> None:
    wire.always("^PUT", refuse(503, "SlowDown"))
    with pytest.raises(UnavailableError, match="SlowDown"):
        store.seal(small)
    assert wire.count("^PUT") == 5


@pytest.mark.parametrize("code", ["AccessDenied", "NoSuchBucket", "InvalidRequest"])
def test_what_s3_refuses_for_good_is_tried_once(store: BlobStore, wire: Wire, small: Path, code: str) -> None:
    wire.always("^PUT", refuse(403, code))
    with pytest.raises(StorageError):
        store.seal(small)
    assert wire.count("^PUT") == 1


def shorten_mark(request: AWSPreparedRequest) -> AWSResponse:
    answer = send(request)
    headers = {name.lower(): value for name, value in answer.headers.items()}
    headers["x-amz-meta-registry-write"] = headers["x-amz-meta-registry-write"][:5]
    return AWSResponse(answer.url, answer.status_code, headers, answer.raw)


def test_our_own_object_is_known_again_though_the_proof_was_cut_off(store: BlobStore, wire: Wire, small: Path) -> None:
    wire.once("^PUT", lose_answer)  # botocore repeats it, and is told that something is there
    wire.once("^HEAD", behead_answer("x-amz-meta-registry-write"))
    wire.once("^HEAD", shorten_mark)
    manifest = store.seal(small)
    assert store.manifest() == manifest


def test_an_answer_without_length_is_asked_for_again(store: BlobStore, wire: Wire, small: Path, tmp_path: Path) -> None:
    wire.once("^HEAD", behead_answer("content-length"))
    manifest = store.seal(small)
    wire.once("^GET .*/file", behead_answer("content-length"))
    assert store.read("file") == b"x" * 1000
    wire.once("^GET .*/file", behead_answer("etag"))
    store.fetch(manifest, tmp_path / "to")
    assert wire.count("^GET .*/file") == 4


def test_a_body_that_ends_early_without_having_said_its_length_is_asked_for_again(
    store: BlobStore, wire: Wire, small: Path
) -> None:
    store.seal(small)
    wire.once("^GET .*/file", tear_answer(600))
    wire.once("^GET .*/file", lambda request: tear_answer(10)(request))
    assert store.read("file") == b"x" * 1000


def test_a_listing_that_is_cut_off_is_asked_for_again_and_then_an_error(
    store: BlobStore, wire: Wire, small: Path
) -> None:
    store.seal(small)
    wire.once("^GET .*list-type", tear_answer(60))
    assert [info.path for info in store.list()] == ["file"]
    wire.always("^GET .*list-type", tear_answer(60))
    with pytest.raises(UnavailableError, match="could not serve"):
        store.list()


def test_a_part_whose_answer_was_cut_off_ends_the_upload(store: BlobStore, wire: Wire, large: Path) -> None:
    wire.always("^PUT .*partNumber", behead_answer("etag"))
    with pytest.raises(UnavailableError, match="cut off"):
        store.seal(large)
    assert wire.count("^DELETE .*uploadId") == 1


def test_a_conflict_is_repeated(store: BlobStore, wire: Wire, small: Path) -> None:
    wire.once("^PUT", refuse(409, "ConditionalRequestConflict"), times=2)
    assert store.seal(small) == SEALED_SMALL
    assert wire.count("^PUT") == 3


def test_a_conflict_at_the_end_of_a_large_upload_sends_all_of_it_again(
    store: BlobStore, wire: Wire, large: Path, server: S3Server
) -> None:
    wire.once("^POST .*uploadId=", refuse(409, "ConditionalRequestConflict"))
    assert store.seal(large) == SEALED_LARGE
    assert wire.count(r"\?uploads") == 2
    assert unfinished_uploads(server, store) == []


def test_a_conflict_without_end_is_an_error(store: BlobStore, wire: Wire, small: Path) -> None:
    wire.always("^PUT", refuse(409, "ConditionalRequestConflict"))
    with pytest.raises(UnavailableError, match="conflicting writes"):
        store.seal(small)


@pytest.mark.parametrize("size", ["small", "large"])
def test_an_object_that_another_stored_first_is_never_taken_for_ours(
    store: BlobStore, wire: Wire, server: S3Server, request: pytest.FixtureRequest, size: str
) -> None:
    """Not even when it has the same bytes, and the answer to our own attempt was lost."""
    key = f"{store.root.split('/', 3)[3]}/file"
    directory: Path = request.getfixturevalue(size)

    def quicker(sent: object) -> None:
        server.client().put_object(Bucket=server.bucket, Key=key, Body=(directory / "file").read_bytes())
        return lose_request(sent)  # type: ignore[arg-type,return-value]  # as a fault does

    wire.once("^PUT .*/file$" if size == "small" else "^POST .*uploadId=", quicker)
    with pytest.raises(PathExistsError, match="file exists already"):
        store.seal(directory)
    assert unfinished_uploads(server, store) == []


@pytest.fixture
def without_conditions(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> Wire:
    """The server says that it does not know conditional writes."""
    monkeypatch.setattr(bucket_module, "_unconditional", set())

    def judge(request: object) -> object:
        conditional = "If-None-Match" in request.headers  # type: ignore[attr-defined]  # botocore's, not public
        return refuse(501, "NotImplemented")(request) if conditional else None  # type: ignore[arg-type]

    wire.always("^(PUT|POST)", judge)  # type: ignore[arg-type]
    return wire


@pytest.mark.parametrize("size", ["small", "large"])
def test_an_endpoint_without_conditional_writes_works_with_one_warning(
    store: BlobStore, without_conditions: Wire, server: S3Server, request: pytest.FixtureRequest, size: str
) -> None:
    directory = request.getfixturevalue(size)
    with pytest.warns(RuntimeWarning, match="has no conditional writes") as caught:
        assert store.seal(directory) == (SEALED_LARGE if size == "large" else SEALED_SMALL)
    assert len(caught) == 1
    open_blob_store(server.fresh_root()).seal(directory)  # a second warning would be an error
    with pytest.raises(PathExistsError):
        store.seal(directory)


@pytest.mark.parametrize("error", [KeyboardInterrupt, StorageError("as an example")])
def test_a_large_upload_that_fails_is_aborted(
    store: BlobStore, wire: Wire, server: S3Server, large: Path, error: BaseException
) -> None:
    def fail(_: object) -> None:
        raise error

    for call in (lambda: store.seal(large), lambda: store.upload(large)):
        wire.once("partNumber=2", fail)
        with pytest.raises(BaseException):  # noqa: B017,PT011  # whatever the fault was
            call()
        assert unfinished_uploads(server, store) == []
        assert list(store.walk()) == []


def test_a_large_upload_that_is_denied_midway_is_aborted(
    store: BlobStore, wire: Wire, server: S3Server, large: Path
) -> None:
    wire.once("partNumber=2", refuse(403, "InvalidAccessKeyId"))
    with pytest.raises(StorageError, match="InvalidAccessKeyId"):
        store.seal(large)
    assert unfinished_uploads(server, store) == []
    assert list(store.walk()) == []


def test_an_abort_that_fails_is_logged_and_hides_nothing(
    store: BlobStore, wire: Wire, large: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wire.once("partNumber=2", refuse(403, "InvalidAccessKeyId"))
    wire.once("^DELETE", refuse(403, "AccessDenied"))
    with pytest.raises(StorageError, match="InvalidAccessKeyId"):
        store.seal(large)
    assert [
        record.message.partition(" of s3://")[0][:21] for record in caplog.records if record.levelname == "WARNING"
    ] == ["The unfinished upload"]


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Python's own answer to SIGINT, which a process that was started in the background does not have."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_aborts_a_large_upload(store: BlobStore, wire: Wire, server: S3Server, large: Path) -> None:
    main = threading.main_thread().ident
    assert main is not None

    def interrupt(request: object) -> None:
        signal.pthread_kill(main, signal.SIGINT)

    wire.once("partNumber=1", interrupt)
    with pytest.raises(KeyboardInterrupt):
        store.seal(large)
    assert unfinished_uploads(server, store) == []
    assert list(store.walk()) == []


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_leaves_no_part_of_a_download(store: BlobStore, wire: Wire, large: Path, tmp_path: Path) -> None:
    main = threading.main_thread().ident
    assert main is not None
    manifest = store.seal(large)

    def interrupt(request: object) -> None:
        signal.pthread_kill(main, signal.SIGINT)

    for call in (lambda: store.download("file", tmp_path / "to"), lambda: store.fetch(manifest, tmp_path / "to")):
        wire.once("^GET .*/file", interrupt)
        with pytest.raises(KeyboardInterrupt):
            call()
        assert list((tmp_path / "to").iterdir()) == []


def test_of_many_seals_of_one_place_one_wins(server: S3Server, small: Path) -> None:
    root = server.fresh_root()
    won: list[Manifest] = []
    lost: list[BaseException] = []

    def seal() -> None:
        try:
            won.append(open_blob_store(root).seal(small))
        except PathExistsError as error:
            lost.append(error)

    threads = [threading.Thread(target=seal) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (won, len(lost)) == ([SEALED_SMALL], 7)


MEMORY = """
import pathlib, sys
sys.path.append(sys.argv[4])
from peak_memory import peak_memory
from registry.blobs import open_blob_store
store, source, size = open_blob_store(sys.argv[1]), pathlib.Path(sys.argv[2]), int(sys.argv[3])
small = source / "small"; small.mkdir(); (small / "x").write_bytes(b"x")
open_blob_store(sys.argv[1] + "-warm").seal(small)
before = peak_memory()
large = source / "large"; large.mkdir()
with (large / "sparse").open("wb") as file:
    file.truncate(size)
manifest = store.seal(large)
store.fetch(manifest, source / "to")
print((peak_memory() - before) // 2**20)
"""


@pytest.mark.slow
@pytest.mark.parametrize("mebibytes", [200, pytest.param(volume(5 * 1024, 512), marks=pytest.mark.storm)])
def test_memory_stays_flat_however_large_the_file(
    seaweedfs: S3Server, s3_environment: Lead, tmp_path: Path, mebibytes: int
) -> None:
    server = s3_environment(seaweedfs)
    arguments = [
        server.fresh_root(),
        str(tmp_path),
        str(mebibytes * 1024 * 1024),
        str(Path(peak_memory.__file__).parent),
    ]
    done = subprocess.run([sys.executable, "-c", MEMORY, *arguments], capture_output=True, text=True, env=os.environ)
    assert done.stderr == ""
    assert int(done.stdout) < 80


def test_a_large_file_that_grows_while_it_is_sent_is_stored_as_far_as_it_was_read(
    store: BlobStore, wire: Wire, large: Path
) -> None:
    def grow(_: AWSPreparedRequest) -> None:
        with (large / "file").open("ab") as file:
            file.write(b"a line more")

    wire.once(r"^POST .*\?uploads", grow)  # when the parts have been read
    store.upload(large)
    assert store.read("file") == LARGE


def test_what_is_under_way_of_a_large_file_is_little(seaweedfs: S3Server, s3_environment: Lead, tmp_path: Path) -> None:
    store = open_blob_store(s3_environment(seaweedfs).fresh_root())
    source = tmp_path / "source"
    source.mkdir()
    with (source / "sparse").open("wb") as file:
        file.truncate(100_000_000)
    peaks = []
    for move in (lambda: store.seal(source), lambda: store.download("sparse", tmp_path / "to")):
        tracemalloc.start()
        try:
            move()
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()

    assert [peak < limit for peak, limit in zip(peaks, (60_000_000, 8_000_000), strict=True)] == [True, True]
