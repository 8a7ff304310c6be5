"""The boto3 clients that all stores of a process share, and what they are made of.

Owns how clients are made; leaves requests to the modules beside it. The invariant: a client is used only in the process
that made it, so forking is safe, and with the ``AWS_*`` settings that were in force when it was first asked for.
"""

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from registry.blobs.s3.errors import ATTEMPTS, check_endpoint, invalid_endpoint

if TYPE_CHECKING:
    from botocore.awsrequest import AWSPreparedRequest
    from botocore.credentials import Credentials
    from mypy_boto3_s3 import S3Client
    from urllib3 import PoolManager

CONNECT_SECONDS: Final = 30
"""Without TLS a whole part must have left within this time too on a new connection, as urllib3 and sockets count."""
READ_SECONDS: Final = 60
CONNECTIONS: Final = 32


@dataclass(frozen=True, slots=True)
class Access:
    """A client, what it signs with, and connections to send requests by without it: None if it goes by a proxy."""

    client: "S3Client"
    credentials: "Callable[[], Credentials | None]"
    connections: "PoolManager | None"


_lock = threading.Lock()
_accesses: dict[tuple[str | None, str], Access] = {}
_noted: "ContextVar[list[AWSPreparedRequest] | None]" = ContextVar("_noted", default=None)


def _forget() -> None:
    global _lock
    _lock = threading.Lock()
    _accesses.clear()


os.register_at_fork(after_in_child=_forget)


def shared_access(endpoint_url: str | None) -> Access:
    """The access to `endpoint_url`, or to where boto3's own settings lead."""
    key = (endpoint_url, _settings())
    with _lock:
        if key not in _accesses:
            _accesses[key] = _make_access(endpoint_url)
        return _accesses[key]


def close_connections() -> None:
    """Close the connections of every client; a client opens new ones when it is used again."""
    with _lock:
        accesses = list(_accesses.values())
    for access in accesses:
        access.client.close()
        if access.connections is not None:
            access.connections.clear()


@contextmanager
def noted() -> "Iterator[list[AWSPreparedRequest]]":
    """The PUTs of whole objects that boto3 sends in this thread while the block runs."""
    requests: list[AWSPreparedRequest] = []
    token = _noted.set(requests)
    try:
        yield requests
    finally:
        _noted.reset(token)


def _note(request: "AWSPreparedRequest", **_: object) -> None:
    if (requests := _noted.get()) is not None:
        requests.append(request)


def _settings() -> str:
    """A digest of the variables that boto3 reads: it tells settings apart without keeping secrets."""
    found = sorted((name, value) for name, value in os.environ.items() if name.startswith("AWS_"))
    return hashlib.sha256(repr(found).encode()).hexdigest()


def _make_access(endpoint_url: str | None) -> Access:
    import boto3
    import botocore.session
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
    settings = botocore.session.get_session()
    session = boto3.session.Session(botocore_session=settings)
    verify = settings.get_config_variable("ca_bundle")
    if verify is None:
        verify = os.environ.get("REQUESTS_CA_BUNDLE", True)
    try:
        client = session.client("s3", endpoint_url=endpoint_url, config=config, verify=verify)
    except ValueError:
        # botocore refuses an endpoint that is no URL this way, and shows all of it.
        raise invalid_endpoint() from None
    check_endpoint(client.meta.endpoint_url)
    _sign_known_hashes(client)
    client.meta.events.register("before-send.s3.PutObject", _note)
    return Access(client, session.get_credentials, _make_connections(client, verify))


def _make_connections(client: "S3Client", verify: Any) -> "PoolManager | None":
    """Connections like those of the client; None if they lead through a proxy."""
    from botocore.httpsession import create_urllib3_context, get_cert_path
    from botocore.utils import get_environ_proxies
    from urllib3 import PoolManager, Timeout

    url = client.meta.endpoint_url
    if urlsplit(url).scheme in get_environ_proxies(url):
        return None
    return PoolManager(
        maxsize=CONNECTIONS,
        timeout=Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
        ssl_context=create_urllib3_context(),
        cert_reqs="CERT_REQUIRED",
        ca_certs=get_cert_path(verify),
    )


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
