"""Options of S3 that MLflow documents: each goes along on every way that bytes take."""

import base64
import ipaddress
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from file_trees import write_files
from s3_faults import refuse
from s3_servers import S3Server

from registry import MlflowClient
from registry.blobs import BlobStore, S3Options, open_blob_store
from registry.blobs.s3.bucket import Bucket
from registry.exceptions import AccessDeniedError, InvalidParameterError, UnavailableError
from registry.settings import current_settings

Lead = Callable[[S3Server], S3Server]
Seen = list[tuple[str, dict[str, str]]]

LARGE = b"0123456789abcdef" * 600_000
OWNER = "123456789012"


@pytest.fixture
def moto(moto_s3: S3Server, s3_environment: Lead) -> S3Server:
    return s3_environment(moto_s3)


def heard(bucket: str, options: S3Options | None) -> tuple[Seen, Callable[[], None]]:
    """The requests of a client from now on, each with its headers in lower case; and what ends it."""
    events, seen = Bucket(bucket, options).client.meta.events, Seen()

    def note(request: AWSPreparedRequest, event_name: str, **_: object) -> None:
        headers = {
            name.lower(): value.decode() if isinstance(value, bytes) else value
            for name, value in request.headers.items()
        }
        seen.append((event_name.rpartition(".")[2], headers))

    events.register_first("before-send.s3", note)
    return seen, lambda: events.unregister("before-send.s3", note)


def every_way(store: BlobStore, other: BlobStore, tmp_path: Path) -> None:
    """Let bytes take every way: small, large, many, sealed, copied, read, listed and removed."""
    source = write_files(tmp_path / "source", {"small": b"x", "other": b"y", "large": LARGE})
    store.write("one", b"x")
    store.write_once("two", b"x")
    store.upload(source, "run")
    manifest = other.seal_from(store, "run")
    other.fetch(manifest, tmp_path / "fetched")
    store.download("run", tmp_path / "downloaded")
    store.read("one")
    store.find("one")
    store.total_size("run")
    store.purge("run")
    store.delete(["one", "two"])


@pytest.fixture
def requests(moto: S3Server, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Seen]:
    """What every way says with the options of the test's parameter."""
    options: S3Options = request.param
    seen, end = heard(moto.bucket, options)
    store, other = (open_blob_store(moto.fresh_root(), s3=options) for _ in range(2))
    every_way(store, other, tmp_path)
    yield seen
    end()


@pytest.mark.parametrize(
    "requests",
    [
        S3Options(
            upload_extra_args='{"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "key", "Metadata": {"team": "a"}}'
        )
    ],
    indirect=True,
)
def test_upload_arguments_go_with_every_request_that_makes_an_object(requests: Seen) -> None:
    making = [headers for name, headers in requests if name in ("PutObject", "CreateMultipartUpload")]
    assert len(making) == 8
    names = ("x-amz-server-side-encryption", "x-amz-server-side-encryption-aws-kms-key-id", "x-amz-meta-team")
    assert {tuple(headers.get(name) for name in names) for headers in making} == {("aws:kms", "key", "a")}
    assert sum("x-amz-meta-registry-write" in headers for headers in making) == 4
    others = [headers for name, headers in requests if name not in ("PutObject", "CreateMultipartUpload")]
    assert not any("x-amz-server-side-encryption" in headers for headers in others)


@pytest.mark.parametrize(
    "requests",
    [S3Options(upload_extra_args='{"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "' + "k" * 32 + '"}')],
    indirect=True,
)
def test_a_customers_key_goes_with_parts_copies_and_reads_too(requests: Seen) -> None:
    header, key = "x-amz-server-side-encryption-customer-key", base64.b64encode(b"k" * 32).decode()
    with_key = {name for name, headers in requests if headers.get(header) == key}
    assert with_key >= {"PutObject", "CreateMultipartUpload", "UploadPart", "UploadPartCopy", "GetObject", "HeadObject"}
    copied = [headers for name, headers in requests if name == "UploadPartCopy"]
    assert {headers["x-amz-copy-source-server-side-encryption-customer-key"] for headers in copied} == {key}


@pytest.mark.parametrize("requests", [S3Options(expected_bucket_owner=OWNER)], indirect=True)
def test_the_expected_owner_goes_with_every_request(requests: Seen) -> None:
    assert {headers.get("x-amz-expected-bucket-owner") for _, headers in requests} == {OWNER}
    assert {name for name, _ in requests} >= {"PutObject", "UploadPart", "UploadPartCopy", "DeleteObjects", "GetObject"}


def test_an_upload_argument_that_s3_does_not_know_is_named(moto: S3Server) -> None:
    store = open_blob_store(moto.fresh_root(), s3=S3Options(upload_extra_args='{"IfNoneMatch": "", "Colour": "red"}'))
    with pytest.raises(InvalidParameterError, match=r"MLFLOW_S3_UPLOAD_EXTRA_ARGS.* has Colour, IfNoneMatch.*Use some"):
        store.write("a", b"x")


@pytest.mark.parametrize(("style", "host"), [("virtual", "artifacts.localhost"), ("path", "localhost")])
def test_the_addressing_style_is_the_one_that_is_set(moto: S3Server, style: str, host: str) -> None:
    from urllib.parse import urlsplit

    endpoint = moto.endpoint_url.replace("127.0.0.1", "localhost")
    events = Bucket(moto.bucket, options := S3Options(endpoint_url=endpoint, addressing_style=style)).client.meta.events
    hosts: list[str | None] = []

    def stop(request: AWSPreparedRequest, **_: object) -> AWSResponse | None:
        hosts.append(urlsplit(request.url).hostname)
        return refuse(403, "AccessDenied")(request)

    events.register_first("before-send.s3", stop)
    try:
        with pytest.raises(AccessDeniedError):
            open_blob_store(moto.fresh_root(), s3=options).write("a", b"x")
    finally:
        events.unregister("before-send.s3", stop)
    assert hosts == [host]


@pytest.fixture
def secure(tmp_path: Path, s3_environment: Lead, moto_s3: S3Server) -> Iterator[S3Server]:
    """Run moto behind TLS with a self-signed certificate."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    app = DomainDispatcherApplication(create_backend_app)
    served = make_server("127.0.0.1", 0, app, threaded=True, ssl_context=self_signed(tmp_path))
    thread = threading.Thread(target=served.serve_forever)
    thread.start()
    try:
        yield s3_environment(replace(moto_s3, endpoint_url=f"https://127.0.0.1:{served.port}"))
    finally:
        served.shutdown()
        served.server_close()
        thread.join()


def self_signed(directory: Path) -> tuple[str, str]:
    """The files of a fresh certificate and of its key."""
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
    return str(paths[0]), str(paths[1])


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
def test_a_certificate_is_verified_unless_it_is_to_be_ignored(secure: S3Server, tmp_path: Path) -> None:
    root = secure.fresh_root()
    with pytest.raises(UnavailableError, match="SSLError"):
        open_blob_store(root).write("a", b"x")
    every_way(*(open_blob_store(root, s3=S3Options(ignore_tls=True)) for root in (root, f"{root}-other")), tmp_path)


def test_a_certificate_of_the_bundle_that_is_set_is_trusted(
    secure: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "certificate.pem"))
    every_way(*(open_blob_store(secure.fresh_root()) for _ in range(2)), tmp_path)


@pytest.mark.parametrize("prefix", ["REGISTRY", "MLFLOW"])
def test_options_are_read_from_the_variables_that_mlflow_documents(
    prefix: str, moto: S3Server, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGISTRY_ARTIFACT_LOCATION", moto.fresh_root())
    client = MlflowClient(sqlite_url)
    run_id = client.create_run("0").info.run_id
    client.log_text(run_id, "before", "a.txt")
    values = {
        "S3_UPLOAD_EXTRA_ARGS": '{"ServerSideEncryption": "aws:kms"}',
        "S3_IGNORE_TLS": "true",
        "BOTO_CLIENT_ADDRESSING_STYLE": "path",
        "S3_EXPECTED_BUCKET_OWNER": OWNER,
    }
    for name, value in values.items():
        monkeypatch.setenv(f"{prefix}_{name}", value)
    options = S3Options(
        upload_extra_args='{"ServerSideEncryption": "aws:kms"}',
        ignore_tls=True,
        addressing_style="path",
        expected_bucket_owner=OWNER,
    )
    seen, end = heard(moto.bucket, options)
    client.log_text(run_id, "after", "a.txt")
    end()
    assert [(name, headers["x-amz-server-side-encryption"]) for name, headers in seen] == [("PutObject", "aws:kms")]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MLFLOW_S3_UPLOAD_EXTRA_ARGS", "ServerSideEncryption"),
        ("MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE", "sideways"),
        ("REGISTRY_S3_IGNORE_TLS", "perhaps"),
    ],
)
def test_an_option_that_cannot_be_used_is_named(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(InvalidParameterError, match=name.removeprefix("MLFLOW_")):
        current_settings()


@pytest.fixture
def keys(moto: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """A function that writes another key into the file that AWS's tools keep them in."""
    place = tmp_path / "credentials"
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(place))

    def write(key: str) -> None:
        fresh = place.with_suffix(".new")
        fresh.write_text(f"[default]\naws_access_key_id = {key}\naws_secret_access_key = secret\n")
        fresh.replace(place)

    return write


def key_of(headers: dict[str, str]) -> str:
    return headers["authorization"].partition("Credential=")[2].partition("/")[0]


def test_keys_that_were_renewed_count_from_the_next_call(moto: S3Server, keys: Callable[[str], None]) -> None:
    used = []
    for key in ("first", "second"):
        keys(key)
        store = open_blob_store(moto.fresh_root())
        seen, end = heard(moto.bucket, None)
        store.write("a", b"x")
        end()
        used += [key_of(headers) for _, headers in seen]
    assert used == ["first", "second"]


def test_after_expired_keys_they_are_read_anew_and_the_call_is_repeated_once(
    moto: S3Server, keys: Callable[[str], None]
) -> None:
    keys("first")
    store = open_blob_store(moto.fresh_root())
    events, used = Bucket(moto.bucket).client.meta.events, list[str]()

    def expire(request: AWSPreparedRequest, **_: object) -> AWSResponse | None:
        authorization = request.headers["Authorization"]
        text = authorization.decode() if isinstance(authorization, bytes) else authorization
        used.append(key_of({"authorization": text}))
        return refuse(400, "ExpiredToken")(request) if used[-1] == "first" else None

    events.register_first("before-send.s3", expire)
    try:
        with pytest.raises(AccessDeniedError, match="ExpiredToken"):
            store.write("a", b"x")
        assert used == ["first", "first"]
        used.clear()
        keys("second")
        store.write("a", b"x")
        store.write("b", b"x")
    finally:
        events.unregister("before-send.s3", expire)
    assert used == ["first", "second", "second"]


@pytest.mark.parametrize("size", [1, 9_000_000])
def test_an_upload_outlives_keys_that_expire_on_the_way(
    moto: S3Server, keys: Callable[[str], None], tmp_path: Path, size: int
) -> None:
    keys("first")
    store = open_blob_store(moto.fresh_root())
    events, refused = Bucket(moto.bucket).client.meta.events, list[str]()

    def expire(request: AWSPreparedRequest, **_: object) -> AWSResponse | None:
        if request.method == "PUT" and not refused:
            refused.append(request.url)
            keys("second")
            return refuse(400, "ExpiredToken")(request)
        return None

    events.register_first("before-send.s3", expire)
    try:
        manifest = store.seal(write_files(tmp_path / "model", {"a": b"x" * size}))
    finally:
        events.unregister("before-send.s3", expire)
    assert store.manifest() == manifest
    assert len(refused) == 1
