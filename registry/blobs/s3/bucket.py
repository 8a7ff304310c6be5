"""One bucket at one endpoint, with the features of that endpoint.

Guarantees: botocore's exceptions leave as ours, with the names of bucket and key.
"""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from registry.blobs.options import S3Options
from registry.blobs.s3.clients import shared_client
from registry.blobs.s3.errors import malformed, translate
from registry.exceptions import RegistryError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_unconditional: set[str] = set()


@dataclass(frozen=True)
class Bucket:
    """A bucket at the endpoint of the options, or of boto3's own settings."""

    name: str
    options: S3Options | None = None

    @property
    def endpoint_url(self) -> str | None:
        """Return the endpoint of the options, for messages."""
        return self.options.endpoint_url if self.options else None

    @property
    def client(self) -> "S3Client":
        """Return the shared client. It is thread-safe."""
        opened = self.__dict__.get("_opened")
        if opened is None or opened[0] != os.getpid():
            opened = self.__dict__["_opened"] = os.getpid(), shared_client(self.options or S3Options())
        client: S3Client = opened[1]
        return client

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_opened"}

    @property
    def endpoint(self) -> str:
        """Return the URL that requests go to."""
        return self.client.meta.endpoint_url

    @property
    def is_conditional(self) -> bool:
        """Tell whether the endpoint is assumed to support ``If-None-Match`` on writes."""
        return self.endpoint not in _unconditional

    def give_up_conditions(self) -> None:
        """Record that the endpoint refuses ``If-None-Match``; warn once per endpoint."""
        endpoint = self.endpoint
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
        """Map botocore's exceptions to ours, with the names of bucket and key."""
        from botocore.exceptions import BotoCoreError, ClientError
        from botocore.parsers import ResponseParserError

        try:
            yield
        except RegistryError:
            raise
        except (BotoCoreError, ClientError) as error:
            raise translate(error, self.name, key, self.endpoint_url) from error
        except (ResponseParserError, ValueError, TypeError, LookupError, RecursionError) as error:
            # botocore's parsers let these out when a response is not what S3 would say.
            raise malformed(self.uri(key), f"a response that cannot be read ({type(error).__name__})") from error

    def uri(self, key: str) -> str:
        """Return ``s3://bucket/key`` for messages."""
        return f"s3://{self.name}/{key}" if key else f"s3://{self.name}"
