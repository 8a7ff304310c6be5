"""Inject faults between the library and an S3 server: lost requests and responses, damaged bodies, refusals.

A fault is injected before sending; it sees every attempt, including the retries of botocore.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.exceptions import ConnectionClosedError
from botocore.httpsession import URLLib3Session

from registry.blobs.s3.bucket import Bucket

Fault = Callable[[AWSPreparedRequest], AWSResponse | None]


class Wire:
    """The requests sent to S3, as ``"PUT bucket/key?uploads"``, and the faults that await them."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.met = False
        self._faults: list[tuple[re.Pattern[str], Fault]] = []
        self._left = 0
        self._fault: Fault | None = None

    def once(self, pattern: str, fault: Fault, *, times: int = 1) -> None:
        """Apply a fault to the next requests that match."""
        self._faults += [(re.compile(pattern), fault)] * times

    def always(self, pattern: str, fault: Fault) -> None:
        """Apply a fault to all requests that match."""
        self.once(pattern, fault, times=10_000)

    def fail(self, number: int, fault: Fault) -> None:
        """Apply a fault only to the request of this number from now on, counted from 1. `met` tells if it came."""
        self._left, self._fault, self.met = number, fault, False

    def count(self, pattern: str) -> int:
        """Return how many requests matched."""
        return sum(re.search(pattern, request) is not None for request in self.requests)

    def __call__(self, request: AWSPreparedRequest, **_: object) -> AWSResponse | None:
        line = f"{request.method} {request.url.split('/', 3)[3]}"
        self.requests.append(line)
        self._left -= 1
        if self._left == 0 and self._fault is not None:
            self.met = True
            return self._fault(request)
        for position, (pattern, fault) in enumerate(self._faults):
            if pattern.search(line):
                del self._faults[position]
                return fault(request)
        return None


@contextmanager
def tap_requests(bucket: str) -> Iterator[Wire]:
    """Yield the wire of the client that stores use, until the block ends."""
    events, wire = Bucket(bucket, None).client.meta.events, Wire()
    events.register_first("before-send.s3", wire)
    try:
        yield wire
    finally:
        events.unregister("before-send.s3", wire)


def send(request: AWSPreparedRequest) -> AWSResponse:
    """Send the request and return its response."""
    session = URLLib3Session()
    try:
        return session.send(request)
    finally:
        session.close()


def refuse(status: int, code: str) -> Fault:
    """Return a refusal of the server, which does nothing."""
    body = f"<Error><Code>{code}</Code><Message>made up by a test</Message></Error>".encode()
    return lambda request: AWSResponse(request.url, status, {"Content-Type": "application/xml"}, _Raw(body))


def lose_request(request: AWSPreparedRequest) -> AWSResponse | None:
    """Break the connection before the server sees anything."""
    raise ConnectionClosedError(endpoint_url=request.url)


def lose_answer(request: AWSPreparedRequest) -> AWSResponse | None:
    """Let the server do its work, and break the connection before its response."""
    send(request).content  # noqa: B018  # reading the body ends the exchange
    raise ConnectionClosedError(endpoint_url=request.url)


def tear_answer(after: int) -> Fault:
    """End the response's body after some bytes, though its header promised more."""

    def fault(request: AWSPreparedRequest) -> AWSResponse:
        answer = send(request)
        return AWSResponse(answer.url, answer.status_code, answer.headers, _Raw(answer.content[:after]))

    return fault


def behead_answer(*names: str) -> Fault:
    """End the response's header before these lines, which HTTP cannot tell from a whole one."""

    def fault(request: AWSPreparedRequest) -> AWSResponse:
        answer = send(request)
        headers = {name: value for name, value in answer.headers.items() if name.lower() not in names}
        return AWSResponse(answer.url, answer.status_code, headers, _Raw(answer.content))

    return fault


def flip_answer(request: AWSPreparedRequest) -> AWSResponse:
    """Flip one bit of the response's body."""
    answer = send(request)
    return AWSResponse(answer.url, answer.status_code, answer.headers, _Raw(_flipped(answer.content)))


def flip_request(request: AWSPreparedRequest) -> AWSResponse | None:
    """Flip one bit of the request's body."""
    request.body = _flipped(bytes(request.body))
    return None


def shorten_request(request: AWSPreparedRequest) -> AWSResponse | None:
    """Drop the last byte of the request's body, unnoticed."""
    request.body = bytes(request.body)[:-1]
    request.headers["Content-Length"] = str(len(request.body))
    return None


def _flipped(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:]


class _Raw:
    """The body of a response, in the form of urllib3."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def read(self, amt: int | None = None, **_: Any) -> bytes:
        size = len(self._data) if amt is None else amt
        data, self._data = self._data[:size], self._data[size:]
        return data

    def stream(self, amt: int = 65_536, **_: Any) -> Iterator[bytes]:
        while data := self.read(amt):
            yield data

    def readinto(self, buffer: memoryview) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._data = b""

    release_conn = close
