"""One bucket at one endpoint, and the boto3 clients that all stores of a process share.

Owns how clients are made and what an endpoint can do; leaves requests to the modules beside it. The invariant: a client
is used only in the process that made it, so forking is safe, and with the ``AWS_*`` settings that were in force when
its bucket was first asked for it.
"""

import hashlib
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from registry.blobs.s3.errors import check_endpoint, invalid_endpoint, translate

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ATTEMPTS: Final = 5
CONNECT_SECONDS: Final = 10
READ_SECONDS: Final = 60
CONNECTIONS: Final = 32

_lock = threading.Lock()
_clients: "dict[tuple[str | None, str], S3Client]" = {}
_unconditional: set[str] = set()


def _forget() -> None:
    global _lock
    _lock = threading.Lock()
    _clients.clear()


os.register_at_fork(after_in_child=_forget)


@dataclass(frozen=True)
class Bucket:
    """A bucket at `endpoint_url`, or where boto3's own settings lead."""

    name: str
    endpoint_url: str | None

    @property
    def client(self) -> "S3Client":
        """The shared client; it is safe to use from many threads."""
        opened = self.__dict__.get("_opened")
        if opened is None or opened[0] != os.getpid():
            opened = self.__dict__["_opened"] = os.getpid(), self._shared_client()
        client: S3Client = opened[1]
        return client

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_opened"}

    def _shared_client(self) -> "S3Client":
        key = (self.endpoint_url, _settings())
        with _lock:
            if key not in _clients:
                _clients[key] = _make_client(self.endpoint_url)
            return _clients[key]

    @property
    def endpoint(self) -> str:
        """Where requests go."""
        return self.client.meta.endpoint_url

    @property
    def is_conditional(self) -> bool:
        """Whether the endpoint is believed to know ``If-None-Match`` on writes."""
        return self.endpoint not in _unconditional

    def give_up_conditions(self) -> None:
        """Note that the endpoint refuses ``If-None-Match``; warns once per endpoint."""
        endpoint = self.endpoint
        with _lock:
            if endpoint in _unconditional:
                return
            _unconditional.add(endpoint)
        warnings.warn(
            f"The S3 server at {endpoint} has no conditional writes (If-None-Match). Models are stored without: "
            "their paths are fresh, so nothing is overwritten unless someone else writes to them.",
            RuntimeWarning,
            stacklevel=2,
        )

    @contextmanager
    def errors(self, key: str = "") -> Iterator[None]:
        """Raise what botocore raises as an error of this package that names bucket and key."""
        import botocore.exceptions

        try:
            yield
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
            raise translate(error, self.name, key, self.endpoint_url) from error


def _settings() -> str:
    """A digest of the variables that boto3 reads: it tells settings apart without keeping secrets."""
    found = sorted((name, value) for name, value in os.environ.items() if name.startswith("AWS_"))
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
    session = boto3.session.Session()
    try:
        client = session.client("s3", endpoint_url=endpoint_url, config=config)
    except ValueError:
        # botocore refuses an endpoint that is no URL this way, and shows all of it.
        raise invalid_endpoint() from None
    check_endpoint(client.meta.endpoint_url)
    _sign_known_hashes(client)
    return client


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
