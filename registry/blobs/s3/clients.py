"""The boto3 clients that all stores of a process share.

Guarantee: a client is used only in the process that made it, so forking is safe, and with the ``AWS_*`` settings that
were in force when it was first asked for.
"""

import hashlib
import os
import threading
from typing import TYPE_CHECKING, Any, Final

from registry.blobs.s3.bodies import BoundedSession
from registry.blobs.s3.errors import ATTEMPTS, check_endpoint, invalid_endpoint

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CONNECT_SECONDS: Final = 30
"""Without TLS a whole part must have left within this time too on a new connection, as urllib3 and sockets count."""
READ_SECONDS: Final = 60
CONNECTIONS: Final = 32
"""Connections that stay open between requests: more than the threads of one transfer, so that none is closed."""

_READ_BY_BOTOCORE: Final = frozenset({"REQUESTS_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"})

_lock = threading.Lock()
_clients: "dict[tuple[str | None, str], S3Client]" = {}


def _forget() -> None:
    global _lock
    _lock = threading.Lock()
    _clients.clear()


os.register_at_fork(after_in_child=_forget)


def shared_client(endpoint_url: str | None) -> "S3Client":
    """Return the client for `endpoint_url`, or for where boto3's own settings lead."""
    key = (endpoint_url, _settings())
    with _lock:
        if key not in _clients:
            _clients[key] = _make_client(endpoint_url)
        return _clients[key]


def _settings() -> str:
    """Return a digest of the variables that boto3 reads: it tells settings apart without keeping secrets."""
    found = sorted(
        (name, value)
        for name, value in os.environ.items()
        if name.startswith("AWS_") or name.upper() in _READ_BY_BOTOCORE
    )
    return hashlib.sha256(repr(found).encode()).hexdigest()


def _make_client(endpoint_url: str | None) -> "S3Client":
    import boto3
    from botocore.config import Config

    config = Config(
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        max_pool_connections=CONNECTIONS,
        # Every write carries its checksum explicitly; reads are checked where nobody hashes them anyway.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    try:
        client = boto3.session.Session().client("s3", endpoint_url=endpoint_url, config=config)
    except ValueError:
        # botocore refuses an endpoint that is no URL this way, and shows all of it.
        raise invalid_endpoint() from None
    check_endpoint(client.meta.endpoint_url)
    _sign_known_hashes(client)
    _follow_no_region_twice(client)
    _bound_responses(client)
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
    unsigned = config.merge(Config(s3={"payload_signing_enabled": False}))

    def choose(request: Any, **_: object) -> None:
        if "X-Amz-Checksum-SHA256" in request.headers:
            request.context["client_config"] = unsigned

    client.meta.events.register("before-sign.s3", choose)
