"""The boto3 clients that all stores of a process share.

Guarantee: a client is used only in the process that made it, so forking is safe, and with the ``AWS_*`` settings and
the AWS files as they are when it is asked for.
"""

import hashlib
import json
import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from registry.blobs.options import S3Options
from registry.blobs.s3.bounded_responses import BoundedSession
from registry.blobs.s3.errors import ATTEMPTS, check_endpoint, invalid_endpoint
from registry.exceptions import InvalidParameterError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


_CREATE: Final = frozenset({"PutObject", "CreateMultipartUpload"})
"""What lets an object appear decides how it is kept; parts and reads only repeat the customer's key."""
_CUSTOMER_KEY: Final = ("SSECustomerAlgorithm", "SSECustomerKey")
_ALSO_LATER: Final = frozenset({*_CUSTOMER_KEY, "RequestPayer"})


def added_parameters(options: S3Options) -> Callable[..., None]:
    """Return a handler of botocore's that adds the parameters of these options.

    Raises:
        InvalidParameterError: an upload argument is not one of boto3's, or is ours to set.
    """
    extra = _checked(json.loads(options.upload_extra_args))
    later = {name: value for name, value in extra.items() if name in _ALSO_LATER}
    source = {f"CopySource{name}": extra[name] for name in _CUSTOMER_KEY if name in extra}
    owner = {"ExpectedBucketOwner": options.expected_bucket_owner} if options.expected_bucket_owner else {}

    def add(params: dict[str, Any], model: Any, **_: object) -> None:
        added = {**(extra if model.name in _CREATE else later | source), **owner}
        metadata = {**added.get("Metadata", {}), **params.get("Metadata", {})}
        taken = model.input_shape.members
        params.update({name: value for name, value in added.items() if name in taken})
        if metadata and "Metadata" in taken:
            params["Metadata"] = metadata

    return add


def _checked(extra: dict[str, Any]) -> dict[str, Any]:
    from boto3.s3.transfer import S3Transfer

    allowed = sorted(name for name in S3Transfer.ALLOWED_UPLOAD_ARGS if not name.startswith(("Checksum", "If")))
    if unknown := sorted(extra.keys() - set(allowed)):
        raise InvalidParameterError(
            f"REGISTRY_S3_UPLOAD_EXTRA_ARGS (or MLFLOW_S3_UPLOAD_EXTRA_ARGS) has {', '.join(unknown)}, which uploads "
            f"do not take. Use some of: {', '.join(allowed)}."
        )
    return extra


CONNECT_SECONDS: Final = 30
"""Without TLS a whole part must have left within this time too on a new connection, as urllib3 and sockets count."""
READ_SECONDS: Final = 60
CONNECTIONS: Final = 32
"""Connections that stay open between requests: more than the threads of one transfer, so that none is closed."""

_READ_BY_BOTOCORE: Final = frozenset({"REQUESTS_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"})

_CREDENTIAL_FILES: Final = {
    "AWS_SHARED_CREDENTIALS_FILE": "~/.aws/credentials",
    "AWS_CONFIG_FILE": "~/.aws/config",
}

_lock = threading.Lock()
_clients: "dict[S3Options, tuple[str, S3Client]]" = {}


def _forget() -> None:
    global _lock
    _lock = threading.Lock()
    _clients.clear()


os.register_at_fork(after_in_child=_forget)


def shared_client(options: S3Options) -> "S3Client":
    """Return the client for these options, made anew when what boto3 reads has changed.

    Raises:
        InvalidParameterError: an upload argument is none that S3 knows.
        StorageError: the endpoint is no URL, or has a password in it.
    """
    settings = _settings()
    with _lock:
        known, client = _clients.get(options, ("", None))
        if client is None or known != settings:
            client = _make_client(options)
            _clients[options] = settings, client
        return client


def close_connections() -> None:
    """Close the connections of every client; a client opens new ones when it is used again."""
    with _lock:
        clients = [client for _, client in _clients.values()]
    for client in clients:
        client.close()


def _settings() -> str:
    """Return a digest of what boto3 reads: it tells settings apart without keeping secrets."""
    variables = sorted(
        (name, value)
        for name, value in os.environ.items()
        if name.startswith("AWS_") or name.upper() in _READ_BY_BOTOCORE
    )
    files = [_stamp(os.environ.get(name, default)) for name, default in _CREDENTIAL_FILES.items()]
    return hashlib.sha256(repr((variables, files)).encode()).hexdigest()


def _stamp(path: str) -> tuple[int, int, int]:
    """Return what changes when a file is written or replaced; zeros for none."""
    try:
        status = os.stat(os.path.expanduser(path))  # noqa: PTH111, PTH116 - once per call, and pathlib is slower
    except OSError:
        return 0, 0, 0
    return status.st_mtime_ns, status.st_size, status.st_ino


def _make_client(options: S3Options) -> "S3Client":
    import boto3
    from botocore.config import Config

    from registry.blobs.s3.credentials import session_with_renewal

    config = Config(
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        max_pool_connections=CONNECTIONS,
        # Every write carries its checksum explicitly; reads are checked where nobody hashes them anyway.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    if options.addressing_style is not None:
        style: Any = {"addressing_style": options.addressing_style}
        config = config.merge(Config(s3=style))
    session = boto3.session.Session(botocore_session=session_with_renewal())
    verify = False if options.ignore_tls else None
    try:
        client = session.client("s3", endpoint_url=options.endpoint_url, config=config, verify=verify)
    except ValueError:
        # botocore refuses an endpoint that is no URL this way, and shows all of it.
        raise invalid_endpoint() from None
    check_endpoint(client.meta.endpoint_url)
    _sign_known_hashes(client)
    _follow_no_region_twice(client)
    _bound_responses(client)
    client.meta.events.register("provide-client-params.s3", added_parameters(options))
    return client


def _follow_no_region_twice(client: "S3Client") -> None:
    """Let botocore's question for a bucket's region go unrepeated: redirected itself, it would ask without end."""

    def mark(model: Any, context: dict[str, Any], **_: object) -> None:
        if model.name == "HeadBucket":
            context.setdefault("s3_redirect", {})["redirected"] = True

    client.meta.events.register_last("before-parameter-build.s3", mark)


def _bound_responses(client: "S3Client") -> None:
    """Refuse responses, other than objects, that are longer than S3 ever sends: botocore reads all of them at once."""
    endpoint: Any = client._endpoint  # type: ignore[attr-defined] # botocore has no public place for its HTTP session
    endpoint.http_session = BoundedSession(endpoint.http_session)


def _sign_known_hashes(client: "S3Client") -> None:
    """Sign the SHA-256 of a body where it is a header already: without TLS botocore, and the server, would hash again.

    Who asks for ``payload_signing_enabled`` in the AWS configuration gets it.
    """
    from botocore.config import Config

    config: Any = client.meta.config
    if "payload_signing_enabled" in (config.s3 or {}):
        return
    own: Any = {**(config.s3 or {}), "payload_signing_enabled": False}
    unsigned = config.merge(Config(s3=own))

    def choose(request: Any, **_: object) -> None:
        if "X-Amz-Checksum-SHA256" in request.headers:
            request.context["client_config"] = unsigned

    client.meta.events.register("before-sign.s3", choose)
