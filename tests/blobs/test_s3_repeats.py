"""Many small files on S3: what is sent like the first of them, and what is left to boto3 all the same."""

import ipaddress
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from s3_faults import Fault, Wire, behead_answer, flip_request, lose_answer, lose_request, refuse, tapped
from s3_servers import S3Server
from urllib3.exceptions import MaxRetryError
from urllib3.util import Retry

from registry.blobs import BlobStore, open_blob_store
from registry.blobs.s3.bucket import Bucket
from registry.blobs.s3.repeats import Repeater
from registry.exceptions import IntegrityError, PathExistsError, StorageError

Lead = Callable[[S3Server], S3Server]

NAMES = [f"file-{number}" for number in range(6)]
ODD = ["a b", "ü", "100%", "a+b=c&d", "semi;colon,comma", "tilde~", "quote'", "(round)[square]{curly}", "d/e/f", "*!$@"]


@pytest.fixture(autouse=True)
def in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """One file after the other: the first is boto3's, and waiting between attempts takes no time."""
    monkeypatch.setattr("registry.blobs.s3.store.WIDTH", 1)
    monkeypatch.setattr("time.sleep", lambda _: None)


@pytest.fixture(params=["moto_s3", "seaweedfs"])
def server(request: pytest.FixtureRequest, s3_environment: Lead) -> S3Server:
    return s3_environment(request.getfixturevalue(request.param))


@pytest.fixture
def store(server: S3Server) -> BlobStore:
    return open_blob_store(server.fresh_root())


@pytest.fixture
def wire(server: S3Server) -> Iterator[Wire]:
    with tapped(server.bucket) as wire:
        yield wire


@dataclass
class Spy:
    """The keys that were sent without boto3, and whether that worked."""

    keys: list[str] = field(default_factory=list)
    worked: list[bool] = field(default_factory=list)


@pytest.fixture
def repeated(monkeypatch: pytest.MonkeyPatch) -> Spy:
    spy, plain = Spy(), Repeater.put

    def put(self: Repeater, key: str, *rest: Any) -> str | None:
        etag = plain(self, key, *rest)
        spy.keys.append(key)
        spy.worked.append(etag is not None)
        return etag

    monkeypatch.setattr(Repeater, "put", put)
    return spy


def plant(directory: Path, names: list[str]) -> dict[str, bytes]:
    files = {name: f"the bytes of {name}".encode() * 50 for name in names}
    for name, data in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(data)
    return files


def stored(store: BlobStore) -> dict[str, bytes]:
    return {file.path: store.read(file.path) for file in store.walk()}


def text(header: str | bytes) -> str:
    return header.decode() if isinstance(header, bytes) else header


def prefix(store: BlobStore) -> str:
    return store.root.split("/", 3)[3]


@pytest.mark.parametrize("way", ["upload", "seal"])
@pytest.mark.parametrize("names", [NAMES, ODD], ids=["plain names", "odd names"])
def test_all_files_but_the_first_are_sent_like_it(
    store: BlobStore, repeated: Spy, tmp_path: Path, names: list[str], way: str
) -> None:
    files = plant(tmp_path / "source", names)
    getattr(store, way)(tmp_path / "source")
    assert repeated.worked == [True] * (len(names) - 1)
    assert stored(store) == files


def test_a_repeated_request_says_what_boto3_would_have_said(
    store: BlobStore, wire: Wire, server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[dict[str, str]] = []

    def listen(request: AWSPreparedRequest) -> None:
        said.append({name.lower(): text(value) for name, value in request.headers.items()})

    plant(tmp_path / "source", ["a.json", "b.json"])
    wire.always("^PUT", listen)
    store.seal(tmp_path / "source")
    by_boto3, repeated = said
    assert by_boto3["if-none-match"] == repeated["if-none-match"] == "*"
    assert by_boto3["content-type"] == repeated["content-type"]
    assert "application/json" in repeated["content-type"]
    assert repeated.keys() == {name for name in by_boto3 if not name.startswith("amz-sdk-")} | {"content-length"}
    assert repeated["x-amz-checksum-sha256"] != by_boto3["x-amz-checksum-sha256"]
    heads = [server.client().head_object(Bucket=server.bucket, Key=f"{prefix(store)}/{name}.json") for name in "ab"]
    assert heads[0]["ContentType"] == heads[1]["ContentType"] == "application/json"
    assert heads[0]["Metadata"] == heads[1]["Metadata"] != {}


@pytest.mark.parametrize(
    "fault",
    {
        "lost request": lose_request,
        "lost answer": lose_answer,
        "SlowDown": refuse(503, "SlowDown"),
        "a head without an ETag": behead_answer("etag"),
        "a redirect": refuse(307, "TemporaryRedirect"),
    }.items(),
    ids=lambda fault: fault[0],
)
@pytest.mark.parametrize("way", ["upload", "seal"])
def test_what_goes_wrong_once_is_done_by_boto3(
    store: BlobStore, wire: Wire, repeated: Spy, tmp_path: Path, fault: tuple[str, Fault], way: str
) -> None:
    files = plant(tmp_path / "source", NAMES)
    wire.once("^PUT .*/file-2$", fault[1])
    getattr(store, way)(tmp_path / "source")
    assert repeated.worked == [True, False, True, True, True]
    # A lost answer was to a request that did its work: our own object is known by its mark.
    assert wire.count("^PUT .*/file-2$") == 2
    assert stored(store) == files


def test_where_repeating_does_not_work_boto3_stores_the_rest(
    store: BlobStore, wire: Wire, repeated: Spy, tmp_path: Path
) -> None:
    names = [f"file-{number:02}" for number in range(20)]
    files = plant(tmp_path / "source", names)
    for name in names[1:6]:
        wire.once(f"^PUT .*/{name}$", refuse(403, "SignatureDoesNotMatch"))
    store.seal(tmp_path / "source")
    assert repeated.worked == [False] * 5
    assert stored(store) == files


def test_failures_here_and_there_do_not_end_it(store: BlobStore, wire: Wire, repeated: Spy, tmp_path: Path) -> None:
    names = [f"file-{number:02}" for number in range(20)]
    files = plant(tmp_path / "source", names)
    for name in names[1::2]:
        wire.once(f"^PUT .*/{name}$", refuse(503, "SlowDown"))
    store.seal(tmp_path / "source")
    assert repeated.worked == [False, True] * 9 + [False]
    assert stored(store) == files


@pytest.mark.parametrize("code", ["AccessDenied", "InvalidAccessKeyId"])
def test_what_s3_refuses_for_good_is_told_as_ever(store: BlobStore, wire: Wire, tmp_path: Path, code: str) -> None:
    plant(tmp_path / "source", NAMES)
    wire.once("^PUT .*/file-3$", refuse(403, code), times=2)
    with pytest.raises(StorageError, match="file-3|AWS_ACCESS_KEY_ID"):
        store.seal(tmp_path / "source")
    assert wire.count("^PUT .*/file-3$") == 2
    assert store.find("file-3") is None


def test_an_object_of_another_is_not_replaced(store: BlobStore, wire: Wire, server: S3Server, tmp_path: Path) -> None:
    def another(_: AWSPreparedRequest) -> None:
        server.client().put_object(Bucket=server.bucket, Key=f"{prefix(store)}/file-3", Body=b"theirs")

    plant(tmp_path / "source", NAMES)
    wire.once("^PUT .*/file-3$", another)
    with pytest.raises(PathExistsError, match="file-3 exists already"):
        store.seal(tmp_path / "source")
    assert store.read("file-3") == b"theirs"


@pytest.mark.parametrize("server", ["seaweedfs"], indirect=True)
def test_bytes_that_change_on_the_way_are_refused(store: BlobStore, wire: Wire, tmp_path: Path) -> None:
    plant(tmp_path / "source", NAMES)
    wire.once("^PUT .*/file-3$", flip_request, times=2)
    with pytest.raises(IntegrityError, match="do not have the checksum they were sent with"):
        store.upload(tmp_path / "source")


def test_without_conditional_writes_every_file_is_boto3s(
    store: BlobStore, wire: Wire, repeated: Spy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(request: AWSPreparedRequest) -> AWSResponse | None:
        return refuse(501, "NotImplemented")(request) if "If-None-Match" in request.headers else None

    monkeypatch.setattr("registry.blobs.s3.bucket._unconditional", set())
    wire.always("^PUT", unknown)
    files = plant(tmp_path / "source", NAMES)
    with pytest.warns(RuntimeWarning, match="has no conditional writes"):
        store.seal(tmp_path / "source")
    assert repeated.keys == []
    assert stored(store) == files


@pytest.mark.parametrize("server", ["moto_s3"], indirect=True)  # the other knows no such tokens
def test_temporary_keys_and_their_token_go_along(
    server: S3Server, repeated: Spy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "a-token")
    store, tokens = open_blob_store(server.fresh_root()), list[str]()
    plant(tmp_path / "source", NAMES)
    with tapped(server.bucket) as wire:
        wire.always("^PUT", lambda request: tokens.append(text(request.headers["X-Amz-Security-Token"])))
        store.upload(tmp_path / "source")
    assert tokens == ["a-token"] * len(NAMES)
    assert len(repeated.keys) == len(NAMES) - 1


def test_who_asks_for_signed_bodies_gets_them(
    server: S3Server, repeated: Spy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "aws").write_text("[default]\ns3 =\n    payload_signing_enabled = true\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "aws"))
    store, signed = open_blob_store(server.fresh_root()), list[str]()
    files = plant(tmp_path / "source", NAMES)
    with tapped(server.bucket) as wire:
        wire.always("^PUT", lambda request: signed.append(text(request.headers["X-Amz-Content-SHA256"])))
        store.upload(tmp_path / "source")
    assert len(set(signed)) == len(NAMES)
    assert not any("UNSIGNED" in value for value in signed)
    assert repeated.worked == [True] * (len(NAMES) - 1)
    assert stored(store) == files


def test_through_a_proxy_every_file_is_boto3s(
    moto_s3: S3Server, s3_environment: Lead, repeated: Spy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = s3_environment(moto_s3)
    monkeypatch.setenv("HTTP_PROXY", server.endpoint_url)  # moto answers what a proxy is asked, too
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setattr("registry.blobs.s3.clients._accesses", {})
    store = open_blob_store(server.fresh_root())
    files = plant(tmp_path / "source", NAMES)
    store.upload(tmp_path / "source")
    assert repeated.keys == []
    assert stored(store) == files


@pytest.mark.parametrize(
    ("variable", "value"), [("NO_PROXY", "example.com"), ("HTTPS_PROXY", "http://127.0.0.1:9"), ("NO_PROXY", "*")]
)
def test_what_is_no_proxy_for_this_server_changes_nothing(
    moto_s3: S3Server,
    s3_environment: Lead,
    repeated: Spy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
) -> None:
    monkeypatch.setenv(variable, value)
    monkeypatch.setattr("registry.blobs.s3.clients._accesses", {})
    store = open_blob_store(s3_environment(moto_s3).fresh_root())
    plant(tmp_path / "source", NAMES)
    store.upload(tmp_path / "source")
    assert repeated.worked == [True] * (len(NAMES) - 1)


def test_credentials_that_are_nowhere_are_looked_for_once(
    moto_s3: S3Server, s3_environment: Lead, monkeypatch: pytest.MonkeyPatch
) -> None:
    from botocore.credentials import CredentialResolver

    asked, load = list[bool](), CredentialResolver.load_credentials

    def counting(self: CredentialResolver) -> object:
        found = load(self)
        asked.append(found is not None)
        return found

    store = open_blob_store(s3_environment(moto_s3).fresh_root())
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setattr(CredentialResolver, "load_credentials", counting)
    monkeypatch.setattr("registry.blobs.s3.clients._accesses", {})
    with pytest.raises(StorageError, match="AWS_ACCESS_KEY_ID"):
        store.write("a", b"x")
    assert asked == [False]


@pytest.fixture
def secure(tmp_path: Path, s3_environment: Lead, moto_s3: S3Server) -> Iterator[tuple[S3Server, Path]]:
    """Run moto behind TLS; yield it and the certificate that it must be trusted by."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    certificate, key = self_signed(tmp_path)
    app = DomainDispatcherApplication(create_backend_app)
    served = make_server("127.0.0.1", 0, app, threaded=True, ssl_context=(str(certificate), str(key)))
    thread = threading.Thread(target=served.serve_forever)
    thread.start()
    try:
        yield s3_environment(replace(moto_s3, endpoint_url=f"https://127.0.0.1:{served.port}")), certificate
    finally:
        served.shutdown()
        served.server_close()
        thread.join()


def self_signed(directory: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = directory / "certificate.pem", directory / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(Encoding.PEM))
    paths[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return paths


@pytest.mark.parametrize("variable", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"])
def test_with_tls_the_certificate_is_verified_as_boto3_does(
    secure: tuple[S3Server, Path], repeated: Spy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    server, certificate = secure
    monkeypatch.setenv(variable, str(certificate))
    store = open_blob_store(server.fresh_root())
    files = plant(tmp_path / "source", NAMES)
    store.seal(tmp_path / "source")
    assert repeated.worked == [True] * (len(NAMES) - 1)
    assert stored(store) == files


def test_a_certificate_that_nobody_vouches_for_is_refused_without_boto3_too(
    secure: tuple[S3Server, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, _ = secure
    (tmp_path / "other").mkdir()
    other, _ = self_signed(tmp_path / "other")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(other))
    access = Bucket(server.bucket, None).access
    assert access.connections is not None
    with pytest.raises(MaxRetryError, match="CERTIFICATE_VERIFY_FAILED"):
        access.connections.request("GET", server.endpoint_url, retries=Retry(0))
