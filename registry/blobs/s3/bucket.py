"""One bucket at one endpoint, and what that endpoint can do.

Owns which client its requests go by; leaves requests to the modules beside it. The invariant: what botocore raises
leaves as an error of this package that names bucket and key.
"""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from registry.blobs.s3.clients import Access, shared_access
from registry.blobs.s3.errors import translate

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_unconditional: set[str] = set()


@dataclass(frozen=True)
class Bucket:
    """A bucket at `endpoint_url`, or where boto3's own settings lead."""

    name: str
    endpoint_url: str | None

    @property
    def client(self) -> "S3Client":
        """The shared client; it is safe to use from many threads."""
        return self.access.client

    @property
    def access(self) -> Access:
        """The shared client, and what it is made of."""
        opened = self.__dict__.get("_opened")
        if opened is None or opened[0] != os.getpid():
            opened = self.__dict__["_opened"] = os.getpid(), shared_access(self.endpoint_url)
        access: Access = opened[1]
        return access

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
        """Raise what botocore raises as an error of this package that names bucket and key."""
        import botocore.exceptions

        try:
            yield
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
            raise translate(error, self.name, key, self.endpoint_url) from error
