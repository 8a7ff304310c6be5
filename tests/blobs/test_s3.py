"""What only the S3 store promises: requests, checksums, listings that are not trusted, errors that say what to set."""

import hashlib
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from s3_faults import Wire, behead_answer, flip_answer, flip_request, refuse, shorten_request, tap_requests
from s3_servers import S3Server

from registry.blobs import BlobStore, S3Options, open_blob_store
from registry.blobs.s3 import bucket as bucket_module, clients
from registry.entities.manifest import Manifest, ManifestEntry
from registry.entities.paging import FileInfo
from registry.exceptions import (
    AccessDeniedError,
    IntegrityError,
    InvalidPathError,
    PathExistsError,
    StorageError,
    UnavailableError,
)

Lead = Callable[[S3Server], S3Server]


@pytest.fixture
def moto(moto_s3: S3Server, s3_environment: Lead) -> S3Server:
    return s3_environment(moto_s3)


@pytest.fixture
def weed(seaweedfs: S3Server, s3_environment: Lead) -> S3Server:
    return s3_environment(seaweedfs)


@pytest.fixture(params=["moto_s3", "seaweedfs"])
def server(request: pytest.FixtureRequest, s3_environment: Lead) -> S3Server:
    return s3_environment(request.getfixturevalue(request.param))


@pytest.fixture
def wire(moto: S3Server) -> Iterator[Wire]:
    with tap_requests(moto.bucket) as wire:
        yield wire


@pytest.fixture
def store(moto: S3Server) -> BlobStore:
    return open_blob_store(moto.fresh_root())


def prefix(store: BlobStore) -> str:
    return store.root.split("/", 3)[3]


def plant(directory: Path, files: dict[str, bytes]) -> Path:
    for path, data in files.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_bytes(data)
    return directory


def big(size: int) -> bytes:
    return b"".join(hashlib.sha256(b"%d" % number).digest() for number in range(size // 32 + 1))[:size]


def entry(path: str, data: bytes) -> ManifestEntry:
    return ManifestEntry(path, len(data), hashlib.sha256(data).hexdigest())


@pytest.mark.parametrize("size", [10, 9_000_000])
def test_a_server_that_verifies_refuses_what_changed_on_the_way(weed: S3Server, tmp_path: Path, size: int) -> None:
    store = open_blob_store(weed.fresh_root())
    plant(tmp_path / "model", {"file": big(size)})
    with tap_requests(weed.bucket) as wire:
        wire.always("^PUT", flip_request)
        with pytest.raises(IntegrityError, match="do not have the checksum they were sent with"):
            store.seal(tmp_path / "model")
    assert list(store.walk()) == []


@pytest.mark.parametrize("size", [10, 9_000_000])
def test_the_checksum_itself_is_verified_not_only_the_signature(weed: S3Server, tmp_path: Path, size: int) -> None:
    from botocore.awsrequest import AWSRequest

    def wrong(request: AWSRequest, **_: object) -> None:
        request.headers["x-amz-checksum-sha256"] = "A" * 43 + "="

    store = open_blob_store(weed.fresh_root())
    plant(tmp_path / "model", {"file": big(size)})
    events = bucket_module.Bucket(weed.bucket, None).client.meta.events
    events.register("before-sign.s3", wrong)
    try:
        with pytest.raises((IntegrityError, StorageError)):
            store.seal(tmp_path / "model")
    finally:
        events.unregister("before-sign.s3", wrong)
    assert list(store.walk()) == []


def test_a_size_that_is_not_what_was_sent_is_an_integrity_error(store: BlobStore, wire: Wire, tmp_path: Path) -> None:
    plant(tmp_path / "model", {"file": b"0123456789"})
    wire.once("^PUT", shorten_request)  # moto verifies nothing
    with pytest.raises(IntegrityError, match=r"file is not what was sent: expected 10 bytes .* found 9 bytes"):
        store.seal(tmp_path / "model")


def test_a_body_is_hashed_once_for_checksum_and_signature(store: BlobStore, moto: S3Server) -> None:
    seen: list[tuple[str, bool, bool]] = []

    def note(request: object, **_: object) -> None:
        headers = request.headers  # type: ignore[attr-defined]  # botocore's request, which has no public type
        signed = b"x-amz-checksum-sha256" in headers["Authorization"]
        unhashed = headers["X-Amz-Content-SHA256"] in (b"UNSIGNED-PAYLOAD", "UNSIGNED-PAYLOAD")
        seen.append((request.method, signed, unhashed))  # type: ignore[attr-defined]

    events = bucket_module.Bucket(moto.bucket, None).client.meta.events
    events.register("before-send.s3", note)
    try:
        store.write("a", b"x")
        store.delete(["a"])
    finally:
        events.unregister("before-send.s3", note)
    assert seen == [("PUT", True, True), ("POST", False, False)]


def test_every_request_that_writes_carries_a_sha256(store: BlobStore, moto: S3Server, tmp_path: Path) -> None:
    sums: list[str | None] = []

    def note(request: object, **_: object) -> None:
        if request.method == "PUT":  # type: ignore[attr-defined]  # botocore's request, which has no public type
            sums.append(request.headers.get("x-amz-checksum-sha256"))  # type: ignore[attr-defined]

    events = bucket_module.Bucket(moto.bucket, None).client.meta.events
    events.register("before-send.s3", note)
    try:
        store.write("a", b"x")
        store.upload(plant(tmp_path / "model", {"big": big(9_000_000), "small": b"x"}))
    finally:
        events.unregister("before-send.s3", note)
    assert len(sums) == 4
    assert None not in sums


def test_reading_compares_with_the_checksum_that_s3_keeps(store: BlobStore, wire: Wire) -> None:
    store.write("a", b"x" * 100)
    wire.once("^GET", flip_answer)
    with pytest.raises(IntegrityError, match="do not have the checksum that S3 keeps"):
        store.read("a")


def test_a_model_that_arrives_damaged_is_an_integrity_error(store: BlobStore, wire: Wire, tmp_path: Path) -> None:
    manifest = store.seal(plant(tmp_path / "model", {"file": b"x" * 100}))
    wire.once("^GET", flip_answer)
    with pytest.raises(IntegrityError, match="file is not what was recorded"):
        store.fetch(manifest, tmp_path / "to")
    assert list((tmp_path / "to").iterdir()) == []


def test_sealing_small_files_takes_one_request_each_and_two_listings(
    store: BlobStore, wire: Wire, tmp_path: Path
) -> None:
    store.seal(plant(tmp_path / "model", {"a": b"1", "b": b"2"}))
    assert (wire.count("^PUT"), wire.count("^GET"), len(wire.requests)) == (2, 2, 4)


def test_an_object_that_a_listing_does_not_vouch_for_is_asked_about(
    store: BlobStore, wire: Wire, tmp_path: Path
) -> None:
    wire.once("^PUT .*/b", behead_answer("etag"))
    manifest = store.seal(plant(tmp_path / "model", {"a": b"1", "b": b"2", "c": b"3"}))
    assert (wire.count("^HEAD"), wire.count("^HEAD .*/b")) == (1, 1)
    assert store.manifest() == manifest


def test_an_object_that_another_replaced_before_the_row_appears_is_an_integrity_error(
    store: BlobStore, wire: Wire, moto: S3Server, tmp_path: Path
) -> None:
    def replace(_: object) -> None:
        moto.client().put_object(Bucket=moto.bucket, Key=f"{prefix(store)}/a", Body=b"2", ChecksumAlgorithm="SHA256")

    wire.once("list-type", lambda _: None)  # whether the place is free
    wire.once("list-type", replace)
    plant(tmp_path / "model", {"a": b"1", "b": b"2"})
    with pytest.raises(IntegrityError, match="a is not what was sent"):
        store.seal(tmp_path / "model")


def test_fetching_small_files_takes_one_request_each(store: BlobStore, wire: Wire, tmp_path: Path) -> None:
    manifest = store.seal(plant(tmp_path / "model", {"a": b"1", "b": b"2"}))
    wire.requests.clear()
    store.fetch(manifest, tmp_path / "to")
    assert (wire.count("^GET"), len(wire.requests)) == (2, 2)


def test_a_large_file_goes_up_in_parts_and_comes_down_in_ranges(store: BlobStore, wire: Wire, tmp_path: Path) -> None:
    data = big(17_000_000)
    store.upload(plant(tmp_path / "model", {"file": data}))
    assert (wire.count("partNumber="), wire.count("^POST .*uploadId=")) == (3, 1)
    store.download("file", tmp_path / "to")
    assert wire.count("^GET .*/file$") == 3
    assert (tmp_path / "to" / "file").read_bytes() == data


@pytest.mark.parametrize("part", [5 * 1024 * 1024, 128 * 1024 * 1024])
def test_a_large_object_is_copied_by_the_server(
    server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: int
) -> None:
    monkeypatch.setattr("registry.blobs.s3.server_side_copy.COPY_PART", part)
    source, target = open_blob_store(server.fresh_root()), open_blob_store(server.fresh_root())
    data = big(12_000_000)
    source.upload(plant(tmp_path / "model", {"file": data, "small": b"x"}), "run/model")
    with tap_requests(server.bucket) as wire:
        manifest = target.seal_from(source, "run/model")
    assert manifest == Manifest((entry("file", data), entry("small", b"x")))
    assert target.manifest() == manifest
    assert wire.count("partNumber=") == (3 if part < len(data) else 1)
    assert wire.count("^PUT .*/file$") == 0


def test_a_server_that_will_not_copy_is_given_the_bytes(
    store: BlobStore, wire: Wire, moto: S3Server, tmp_path: Path
) -> None:
    data = big(9_000_000)
    store.upload(plant(tmp_path / "model", {"file": data}))
    target = open_blob_store(moto.fresh_root())
    wire.requests.clear()
    wire.once("partNumber=1", refuse(403, "AccessDenied"))
    assert target.seal_from(store).entries == (entry("file", data),)
    assert target.read("file") == data
    assert wire.count("^DELETE .*uploadId=") == 1


@pytest.mark.parametrize("honours_the_condition", [True, False])
def test_a_source_that_changes_while_it_is_copied_is_never_sealed_as_another(
    request: pytest.FixtureRequest, s3_environment: Lead, tmp_path: Path, honours_the_condition: bool
) -> None:
    # moto takes no notice of CopySourceIfMatch; there the checksums show it.
    server = s3_environment(request.getfixturevalue("seaweedfs" if honours_the_condition else "moto_s3"))
    source, target = open_blob_store(server.fresh_root()), open_blob_store(server.fresh_root())
    source.upload(plant(tmp_path / "model", {"file": big(9_000_000)}))
    changed = big(9_000_000)[::-1]

    def change(_: object) -> None:
        server.client().put_object(Bucket=server.bucket, Key=f"{prefix(source)}/file", Body=changed)

    with tap_requests(server.bucket) as wire:
        wire.once("partNumber=1", change)
        if honours_the_condition:
            assert target.seal_from(source) == target.manifest() == Manifest((entry("file", changed),))
        else:
            with pytest.raises(IntegrityError, match="file is not what was sent"):
                target.seal_from(source)


def test_clients_are_shared_and_follow_the_settings(moto: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    first = bucket_module.Bucket("one", None).client
    assert bucket_module.Bucket("two", None).client is first
    assert bucket_module.Bucket("one", S3Options(endpoint_url=moto.endpoint_url)).client is not first
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "another")
    assert bucket_module.Bucket("one", None).client is not first


def test_an_endpoint_that_is_given_goes_before_the_environment(moto: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    root = moto.fresh_root()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    open_blob_store(root, s3=S3Options(endpoint_url=moto.endpoint_url)).write("a", b"x")
    assert open_blob_store(root, s3=S3Options(endpoint_url=moto.endpoint_url)).read("a") == b"x"


def test_a_forked_process_makes_a_client_of_its_own(moto: S3Server) -> None:
    script = """
import os, sys
from registry.blobs import open_blob_store
from registry.blobs.s3.bucket import Bucket
store = open_blob_store(sys.argv[1])
store.write("a", b"parent")
before = Bucket("b", None).client
child = os.fork()
if child == 0:
    assert Bucket("b", None).client is not before
    store.write("b", store.read("a"))
    os._exit(0)
status = os.waitpid(child, 0)[1]
assert status == 0, status
assert store.read("b") == b"parent"
"""
    done = subprocess.run([sys.executable, "-c", script, moto.fresh_root()], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("key", ["a//b", "back\\slash", "a/./b", "a/../../escape", "tab\tkey", "x" * 256, "full/"])
def test_a_key_that_is_no_path_is_an_error_and_nothing_is_written(
    store: BlobStore, moto: S3Server, tmp_path: Path, key: str
) -> None:
    store.write("good", b"x")
    moto.client().put_object(Bucket=moto.bucket, Key=f"{prefix(store)}/{key}", Body=b"evil")
    for call in (lambda: list(store.walk()), store.manifest, lambda: store.download("", tmp_path / "to")):
        with pytest.raises(InvalidPathError, match=r"Invalid key below s3://artifacts/"):
            call()
    assert not (tmp_path / "to").exists()


def test_a_mark_for_an_empty_directory_is_no_file(store: BlobStore, moto: S3Server) -> None:
    for key in (f"{prefix(store)}/", f"{prefix(store)}/dir/"):
        moto.client().put_object(Bucket=moto.bucket, Key=key, Body=b"")
    store.write("dir/file", b"x")
    assert store.list() == [FileInfo("dir", is_dir=True, file_size=None)]
    assert store.list("dir") == [FileInfo("dir/file", is_dir=False, file_size=1)]
    assert [info.path for info in store.walk()] == ["dir/file"]


def test_a_listing_has_all_its_pages(store: BlobStore, moto: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(12):
        store.write(f"dir/{number:02}", b"")
    events = bucket_module.Bucket(moto.bucket, None).client.meta.events

    def small_pages(params: dict[str, object], **_: object) -> None:
        params["MaxKeys"] = 5

    events.register("provide-client-params.s3.ListObjectsV2", small_pages)
    try:
        assert [info.path for info in store.list("dir")] == [f"dir/{number:02}" for number in range(12)]
        assert [info.path for info in store.walk()] == [f"dir/{number:02}" for number in range(12)]
    finally:
        events.unregister("provide-client-params.s3.ListObjectsV2", small_pages)


def test_a_neighbouring_prefix_is_not_seen(store: BlobStore, moto: S3Server) -> None:
    open_blob_store(f"{store.root}-other").write("a", b"x")
    assert list(store.walk()) == []


def test_a_whole_bucket_can_be_a_root(moto: S3Server) -> None:
    whole, key = open_blob_store(f"s3://{moto.bucket}"), f"{moto.fresh_root().split('/', 3)[3]}/file"
    whole.write(key, b"x")
    assert whole.read(key) == b"x"
    assert [info.path for info in whole.walk(key.split("/")[0])] == [key]
    whole.delete([key])


def test_a_key_longer_than_s3_allows_is_refused_before_sending(moto: S3Server) -> None:
    store = open_blob_store(f"{moto.fresh_root()}/{'p/' * 100}p")
    with pytest.raises(InvalidPathError, match="longer than 1024 bytes"):
        store.write("/".join(["x" * 100] * 8), b"x")


def test_a_missing_bucket_is_named(moto: S3Server, wire: Wire, tmp_path: Path) -> None:
    store = open_blob_store("s3://no-such-bucket/prefix")
    plant(tmp_path / "model", {"a": b"x"})
    calls = [
        lambda: store.list(),
        lambda: list(store.walk()),
        lambda: store.read("a"),
        lambda: store.write("a", b"x"),
        lambda: store.upload(tmp_path / "model"),
        lambda: store.seal(tmp_path / "model"),
        lambda: store.delete(["a"]),
    ]
    for call in calls:
        wire.requests.clear()
        with pytest.raises(StorageError, match="bucket 'no-such-bucket' does not exist.*REGISTRY_ARTIFACT_LOCATION"):
            call()
        assert len(wire.requests) == 1


def test_denied_access_is_named_and_not_tried_again(store: BlobStore, wire: Wire) -> None:
    wire.always("", refuse(403, "AccessDenied"))
    for call in (lambda: store.write("a", b"x"), lambda: store.read("a"), lambda: store.list()):
        wire.requests.clear()
        with pytest.raises(AccessDeniedError, match=rf"Access to {store.root}.* was denied.*AWS_ACCESS_KEY_ID"):
            call()
        assert len(wire.requests) == 1


def test_what_s3_denies_is_a_builtin_permission_error_and_a_storage_error(store: BlobStore, wire: Wire) -> None:
    wire.always("", refuse(403, "AccessDenied"))
    for builtin in (PermissionError, StorageError):
        with pytest.raises(builtin) as caught:
            store.read("a")
        assert caught.value.error_code == "PERMISSION_DENIED"


def test_a_clock_that_is_not_that_of_s3_is_told(store: BlobStore, wire: Wire) -> None:
    wire.always("", refuse(403, "RequestTimeTooSkewed"))
    with pytest.raises(AccessDeniedError, match="The clock of this machine .* NTP"):
        store.write("a", b"x")


def test_wrong_credentials_are_told_without_the_secret(weed: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2hunter2")
    with pytest.raises(AccessDeniedError, match="AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY") as caught:
        open_blob_store(weed.fresh_root()).write("a", b"x")
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


def test_no_credentials_are_told_with_the_settings(moto: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(
        AccessDeniedError, match=r"no credentials for s3://.*Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    ):
        open_blob_store(moto.fresh_root()).write("a", b"x")


def test_an_unknown_profile_is_told(moto: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(StorageError, match=r"nobody.*Check AWS_PROFILE"):
        open_blob_store(moto.fresh_root()).write("a", b"x")


def test_an_endpoint_that_does_not_answer_is_told(moto: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "ATTEMPTS", 1)
    store = open_blob_store(moto.fresh_root(), s3=S3Options(endpoint_url="http://127.0.0.1:9"))
    with pytest.raises(UnavailableError, match=r"at http://127\.0\.0\.1:9 cannot be reached.*AWS_ENDPOINT_URL"):
        store.write("a", b"x")


def test_a_password_in_the_endpoint_is_refused_and_not_shown(moto: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with_password = "http://user:hunter2@127.0.0.1:9/"
    for given in (with_password, None):
        monkeypatch.setenv("AWS_ENDPOINT_URL", with_password)
        with pytest.raises(StorageError, match=r"http://127\.0\.0\.1:9 has a user or password") as caught:
            open_blob_store(moto.fresh_root(), s3=S3Options(endpoint_url=given)).write("a", b"x")
        assert "hunter2" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("endpoint", ["not a url", "localhost:9000", ""])
def test_an_endpoint_that_is_no_url_is_told(moto: S3Server, endpoint: str) -> None:
    with pytest.raises(StorageError, match=r"is not a URL.*AWS_ENDPOINT_URL"):
        open_blob_store(moto.fresh_root(), s3=S3Options(endpoint_url=endpoint or "http://")).write("a", b"x")


def test_another_region_is_told(store: BlobStore, wire: Wire) -> None:
    wire.always("", refuse(400, "AuthorizationHeaderMalformed"))
    with pytest.raises(StorageError, match="Set AWS_DEFAULT_REGION"):
        store.write("a", b"x")


def test_an_occupied_key_is_not_replaced_by_a_seal_that_did_not_see_it(
    store: BlobStore, wire: Wire, moto: S3Server, tmp_path: Path
) -> None:
    def quicker(_: object) -> None:
        moto.client().put_object(Bucket=moto.bucket, Key=f"{prefix(store)}/a", Body=b"theirs")

    wire.once("^PUT", quicker)
    with pytest.raises(PathExistsError, match="a exists already"):
        store.seal(plant(tmp_path / "model", {"a": b"ours"}))
    assert store.read("a") == b"theirs"
