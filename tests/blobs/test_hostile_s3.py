"""A hostile S3 server: each lie ends in an error of ours that names the thing, and nothing is written outside."""

import itertools
import os
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from file_trees import read_files, write_files
from hostile_s3 import BUCKET, Answer, Asked, HostileS3, content, hostile_s3, listing

from registry.blobs import BlobStore, open_blob_store
from registry.blobs.s3 import bounded_responses, listing_pages
from registry.entities.manifest import Manifest, ManifestEntry
from registry.exceptions import IntegrityError, InvalidPathError, RegistryError, StorageError

Call = Callable[[Path], object]

DIGEST = "2" * 64
BOMB = (
    b'<!DOCTYPE l [<!ENTITY a "aaaaaaaaaa">'
    + b"".join(b'<!ENTITY %c "%s">' % (one, b"&%c;" % (one - 1) * 10) for one in range(ord("b"), ord("m")))
    + b"]><ListBucketResult><Contents><Key>&l;</Key><Size>1</Size></Contents></ListBucketResult>"
)
OUTSIDE = (
    b'<!DOCTYPE l [<!ENTITY x SYSTEM "file:///etc/hostname">]>'
    b"<ListBucketResult><Contents><Key>&x;</Key><Size>1</Size></Contents></ListBucketResult>"
)
DEEP = b"<a>" * 20_000 + b"</a>" * 20_000
TAG = {"ETag": '"e"'}

LIES: dict[str, Answer] = {
    "a page of HTML": Answer(body=b"<html><body>Welcome<br></body></html>"),
    "JSON": Answer(body=b'{"Contents": []}'),
    "bytes of no text": Answer(body=bytes(range(256))),
    "an XML bomb": Answer(body=BOMB, headers=TAG),
    "an XML bomb as an error": Answer(400, BOMB),
    "an XML entity from a file": Answer(body=OUTSIDE, headers=TAG),
    "XML without end of depth": Answer(body=DEEP, headers=TAG),
    "an error without end of depth": Answer(400, b"<Error>" + DEEP + b"</Error>"),
    "an error code that is a tree": Answer(400, b"<Error><Code><a><b/></a></Code></Error>"),
    "an error without a code": Answer(400, b"<Error><Code/></Error>"),
    "an error with control characters": Answer(418, b"<Error><Code>T\nT</Code><Message>\x1b[31m</Message></Error>"),
    "an error as success": Answer(body=b"<Error><Code>AccessDenied</Code></Error>"),
    "UTF-16": Answer(body='<?xml version="1.0" encoding="utf-16"?><a/>'.encode("utf-16")),
    "Latin-1": Answer(body="<ListBucketResult><Contents><Key>p/é</Key></Contents></ListBucketResult>".encode("latin1")),
    "an object without a key": Answer(body=b"<ListBucketResult><Contents><Size>1</Size></Contents></ListBucketResult>"),
    "an object without a size": Answer(
        body=b"<ListBucketResult><Contents><Key>p/a</Key></Contents></ListBucketResult>"
    ),
    "a size that is no number": listing(("p/a", "abc")),
    "a size below nothing": listing(("p/a", "-5")),
    "a directory without a name": listing(more="<CommonPrefixes></CommonPrefixes>"),
    "a directory above": listing(more="<CommonPrefixes><Prefix>p/../</Prefix></CommonPrefixes>"),
    "a time that is none": listing(
        more="<Contents><Key>p/a</Key><Size>1</Size><LastModified>never</LastModified></Contents>"
    ),
    "a promise of more that does not come": Answer(
        body=b"<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>"
    ),
    "the same page for ever": listing("p/a", token="t"),
    "a length that is no number": Answer(headers={"Content-Length": "abc", **TAG}),
    "a length below nothing": Answer(headers={"Content-Length": "-1", **TAG}),
    "a date that is none": content(b"x", Last_Modified="never"),
    "a count that is no number": content(b"x", x_amz_mp_parts_count="abc"),
    "a body that is shorter than its length": Answer(body=b"x", headers={"Content-Length": "1000", **TAG}),
    "broken chunks": Answer(body=b"zz\r\nxx", headers={"Transfer-Encoding": "chunked", **TAG}),
    "more in chunks than its length": Answer(
        body=b"5\r\nhello\r\n0\r\n\r\n", headers={"Transfer-Encoding": "chunked", "Content-Length": "2", **TAG}
    ),
    "another range": Answer(206, b"x" * 7, {"Content-Range": "bytes 5-11/100", **TAG}),
    "an upload without an id": Answer(
        body=b"<ListMultipartUploadsResult><Upload><Key>p/a</Key></Upload></ListMultipartUploadsResult>"
    ),
    "an upload id that climbs": Answer(
        body=b"<InitiateMultipartUploadResult><UploadId>../../x</UploadId></InitiateMultipartUploadResult>",
        headers=TAG,
    ),
    "refused deletes without names": Answer(body=b"<DeleteResult><Error/></DeleteResult>"),
    "no content": Answer(204),
    "not modified": Answer(304),
    "a status that HTTP does not have": Answer(999),
}

ELSEWHERE = ["p/../x", "p/a/../../x", "/etc/passwd", "p//etc/passwd", "q/a", "p/%2e%2e%2fx", "p/a\\..\\x", "p/a\tb"]


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    for name, value in {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[HostileS3]:
    with hostile_s3(lambda _: Answer()) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint_url)
        yield server


@pytest.fixture
def store(server: HostileS3) -> BlobStore:
    return open_blob_store(f"s3://{BUCKET}/p")


@pytest.fixture
def calls(store: BlobStore, tmp_path: Path) -> dict[str, Call]:
    """All that can be asked of a store; downloads go to the directory that is given."""
    small = write_files(tmp_path / "small", {"a": b"x"})
    large = write_files(tmp_path / "large", {"large": b"y" * 9_000_000})
    sealed = Manifest((ManifestEntry("a", 1, DIGEST),))
    sealed_large = Manifest((ManifestEntry("a", 9_000_000, DIGEST),))
    return {
        "list": lambda _: store.list(),
        "list below": lambda _: store.list("a"),
        "walk": lambda _: list(store.walk()),
        "walk below": lambda _: list(store.walk("a")),
        "find": lambda _: store.find("a"),
        "read": lambda _: store.read("a"),
        "download all": lambda target: store.download("", target),
        "download": lambda target: store.download("a", target),
        "write": lambda _: store.write("a", b"x"),
        "write_once": lambda _: store.write_once("a", b"x"),
        "upload": lambda _: store.upload(small),
        "upload large": lambda _: store.upload(large),
        "seal": lambda _: store.seal(small),
        "seal large": lambda _: store.seal(large),
        "seal_from": lambda _: store.seal_from(open_blob_store(f"s3://{BUCKET}/p/q")),
        "manifest": lambda _: store.manifest(),
        "fetch": lambda target: store.fetch(sealed, target),
        "fetch large": lambda target: store.fetch(sealed_large, target),
        "delete": lambda _: store.delete(["a"]),
        "total_size": lambda _: store.total_size("a"),
        "purge": lambda _: store.purge("a"),
    }


# botocore drops the connection of an answer that it cannot parse, and Python 3.13 reports that.
@pytest.mark.filterwarnings("ignore:.*socket:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("lie", LIES)
def test_whatever_a_server_answers_only_errors_of_ours_leave(
    server: HostileS3, calls: dict[str, Call], tmp_path: Path, lie: str
) -> None:
    server.script = lambda _: LIES[lie]
    before = read_files(tmp_path)
    takes_long = "bomb" in lie or "depth" in lie
    for name in ("list", "read", "delete") if takes_long else calls:
        call = calls[name]
        target = tmp_path / "target" / name
        message = "none"
        try:
            call(target)
        except RegistryError as error:
            message = error.message
        assert message.isprintable()
        written = {path for path in read_files(tmp_path) if not path.startswith(f"target/{name}/")}
        assert written - {path for path in written if path.startswith("target/")} == set(before)
        assert not list(target.rglob("*.part"))


@pytest.mark.parametrize("key", ELSEWHERE)
def test_a_key_that_leads_elsewhere_is_an_error_and_nothing_is_written(
    server: HostileS3, store: BlobStore, tmp_path: Path, key: str
) -> None:
    page = listing("p/good", key, more="<EncodingType>url</EncodingType>")
    server.script = lambda asked: content(b"evil") if asked.key else page
    for call in (lambda: list(store.walk()), lambda: store.download("", tmp_path / "to"), store.manifest, store.list):
        with pytest.raises((InvalidPathError, StorageError), match=f"s3://{BUCKET}"):
            call()
    assert read_files(tmp_path) == {}


def test_a_file_that_is_also_a_directory_is_an_error_before_anything_is_written(
    server: HostileS3, store: BlobStore, tmp_path: Path
) -> None:
    server.script = lambda asked: content(b"x") if asked.key else listing("p/a", "p/a/b", "p/c")
    assert [info.path for info in store.walk()] == ["a", "a/b", "c"]
    with pytest.raises(InvalidPathError, match=rf"s3://{BUCKET}/p/a is a file, and s3://{BUCKET}/p/a/b is below it"):
        store.download("", tmp_path / "to")
    assert not (tmp_path / "to").exists()


def test_a_key_that_is_listed_twice_is_an_error(server: HostileS3, store: BlobStore, tmp_path: Path) -> None:
    server.script = lambda asked: content(b"x") if asked.key else listing("p/a", "p/a")
    with pytest.raises(InvalidPathError, match=rf"s3://{BUCKET}/p/a is listed twice"):
        store.download("", tmp_path / "to")
    assert not (tmp_path / "to").exists()


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed_and_no_credentials_go_to_another_host(
    server: HostileS3, calls: dict[str, Call], tmp_path: Path, status: int
) -> None:
    with hostile_s3(lambda _: Answer()) as other:
        body = (
            f"<Error><Code>TemporaryRedirect</Code><Endpoint>{other.endpoint_url.partition('//')[2]}</Endpoint></Error>"
        )
        for region in ({}, {"x-amz-bucket-region": "eu-west-1"}, {"x-amz-bucket-region": "evil.example/"}):
            headers = {"Location": f"{other.endpoint_url}/{BUCKET}/p", **region}
            server.script = lambda _, headers=headers: Answer(status, body.encode(), headers)  # type: ignore[misc]
            for name, call in calls.items():
                server.asked.clear()
                with pytest.raises(RegistryError):
                    call(tmp_path / "target" / name)
                assert len(server.asked) <= 12
        assert other.asked == []


def test_a_redirect_is_told_with_the_settings(server: HostileS3, store: BlobStore) -> None:
    server.script = lambda _: Answer(307, headers={"Location": "http://127.0.0.1:9/"})
    with pytest.raises(StorageError, match=rf"redirect .* for s3://{BUCKET}/p/a.* not followed.*AWS_ENDPOINT_URL"):
        store.read("a")


def endless() -> Iterator[bytes]:
    while True:
        yield b"<a/>" * 65_536


def test_a_response_without_end_is_an_error_in_little_memory(
    server: HostileS3, calls: dict[str, Call], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded_responses, "MAX_BYTES", 1_000_000)
    server.script = lambda _: Answer(400, endless())
    tracemalloc.start()
    try:
        for name in ("list", "walk", "read", "write", "seal", "delete", "total_size", "purge"):
            with pytest.raises(StorageError, match=r"a response of more than 1,000,000 bytes"):
                calls[name](tmp_path / "target")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 25_000_000


def test_a_listing_without_end_is_an_error(
    server: HostileS3, store: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing_pages, "MAX_PAGES", 20)
    tokens = itertools.count()
    server.script = lambda _: listing(f"p/0/{next(tokens)}", token=f"t{next(tokens)}")
    for call in (lambda: store.list(), lambda: list(store.walk()), lambda: store.total_size("0")):
        with pytest.raises(StorageError, match=r"a listing of more than 20 pages"):
            call()


def test_a_hundred_thousand_keys_are_listed_in_pages(server: HostileS3, store: BlobStore) -> None:
    def page(asked: Asked) -> Answer:
        start = int(asked.query.get("continuation-token", "0"))
        keys = [f"p/{number:06}" for number in range(start, start + 1_000)]
        return listing(*keys, token=str(start + 1_000) if start < 99_000 else None)

    server.script = page
    paths = [info.path for info in store.walk()]
    assert (len(paths), paths[0], paths[-1], len(server.asked)) == (100_000, "000000", "099999", 100)


@pytest.mark.parametrize("size", [10, 9_000_000])
def test_an_object_much_larger_than_was_recorded_is_refused_before_it_is_read(
    server: HostileS3, store: BlobStore, tmp_path: Path, size: int
) -> None:
    head = {"Content-Length": str(10**15), **TAG}
    server.script = lambda asked: Answer(body=endless(), headers=head)
    with pytest.raises(IntegrityError, match=rf"p/a is not what was recorded: expected {size} bytes, found {10**15}"):
        store.fetch(Manifest((ManifestEntry("a", size, DIGEST),)), tmp_path / "to")
    assert list((tmp_path / "to").iterdir()) == []


def test_a_server_that_ignores_ranges_is_never_taken_at_its_word(
    server: HostileS3, store: BlobStore, tmp_path: Path
) -> None:
    data = os.urandom(9_000_000)
    server.script = lambda asked: content(data) if asked.key else listing(("p/a", "9000000"))
    with pytest.raises(RegistryError, match=rf"s3://{BUCKET}/p/a"):
        store.download("", tmp_path / "to")
    assert read_files(tmp_path) == {}


def test_parts_of_two_versions_are_never_put_together(server: HostileS3, store: BlobStore) -> None:
    answers = iter(
        [
            Answer(body=b"01234", headers={"Content-Length": "10", "ETag": '"one"'}),
            Answer(206, b"56789", {"ETag": '"two"', "Content-Range": "bytes 5-9/10"}),
        ]
    )
    server.script = lambda _: next(answers)
    with pytest.raises(StorageError, match=rf"s3://{BUCKET}/p/a was changed while it was read"):
        store.read("a")


def test_more_bytes_than_were_announced_are_an_error(server: HostileS3, store: BlobStore) -> None:
    headers = {"Transfer-Encoding": "chunked", "Content-Length": "2", **TAG}
    server.script = lambda _: Answer(body=b"5\r\nhello\r\n0\r\n\r\n", headers=headers)
    with pytest.raises(StorageError, match=rf"more bytes than it had announced for s3://{BUCKET}/p/a"):
        store.read("a")
