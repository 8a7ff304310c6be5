"""The bodies of responses that are read whole, which a server must not make endless.

Guarantee: at most `MAX_BYTES` of a listing, an error or the like are in memory, however much the server sends.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from registry.blobs.s3.errors import malformed

if TYPE_CHECKING:
    from botocore.awsrequest import AWSPreparedRequest, AWSResponse

MAX_BYTES: Final = 16 * 1024 * 1024
"""A page of 1,000 keys of 1,024 bytes, each byte percent-encoded, is not a quarter of this."""


class BoundedSession:
    """botocore's HTTP session, which reads bodies up to `MAX_BYTES`. Objects are left to those who stream them."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def send(self, request: "AWSPreparedRequest") -> "AWSResponse":
        """Send a request and read its response, unless it is an object.

        Raises:
            StorageError: the response is too long.
        """
        is_object, request.stream_output = request.stream_output, True
        response: AWSResponse = self._session.send(request)
        if not is_object or response.status_code >= 300:
            response.raw = _Body(_read(request, response))
        return response

    def close(self) -> None:
        """Close all connections."""
        self._session.close()


class _Body:
    """A body that was read, as botocore takes it."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def stream(self) -> Iterator[bytes]:
        yield self._data


def _read(request: "AWSPreparedRequest", response: "AWSResponse") -> bytes:
    from botocore.exceptions import ConnectionClosedError, ReadTimeoutError
    from urllib3.exceptions import HTTPError, ReadTimeoutError as TimedOut

    data = bytearray()
    try:
        for piece in response.raw.stream():
            data += piece
            if len(data) > MAX_BYTES:
                response.raw.close()
                raise malformed(request.url.partition("?")[0], f"a response of more than {MAX_BYTES:,} bytes")
    except TimedOut as error:
        raise ReadTimeoutError(endpoint_url=request.url, error=error) from error
    except HTTPError as error:
        raise ConnectionClosedError(endpoint_url=request.url, error=error) from error
    return bytes(data)
