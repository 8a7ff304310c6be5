"""Storing one small file after another: the PUT that botocore sent for the first, with another key and other bytes.

botocore takes some 2 ms of Python to build, sign, send and judge a request, and many small files wait for nothing else.
Owns what of a request is said again; leaves signing to botocore's signer and connections to urllib3. The invariant:
only plain success counts. After another answer, or none, botocore sends the request itself, with retries and errors.
"""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import quote, urlsplit

from registry.blobs.s3.bucket import Bucket

if TYPE_CHECKING:
    from botocore.awsrequest import AWSPreparedRequest
    from botocore.config import Config
    from botocore.credentials import Credentials
    from urllib3 import BaseHTTPResponse, HTTPConnectionPool

_logger = logging.getLogger(__name__)

FAILURES: Final = 5
"""After so many in a row the rest of an upload is boto3's."""
_SIGNED: Final = re.compile(r"AWS4-HMAC-SHA256 Credential=[^/]+/\d{8}/(?P<region>[^/]+)/s3/aws4_request, .*")
_UNSIGNED_BODY: Final = "UNSIGNED-PAYLOAD"
_OF_ONE_REQUEST: Final = frozenset(
    {
        "amz-sdk-invocation-id",
        "amz-sdk-request",
        "authorization",
        "content-length",
        "content-type",
        "x-amz-checksum-sha256",
        "x-amz-content-sha256",
        "x-amz-date",
        "x-amz-security-token",
    }
)


@dataclass(frozen=True, slots=True)
class Repeater:
    """A PUT that may be sent again for other keys of its bucket, if nothing else about it changes."""

    connections: "HTTPConnectionPool"
    credentials: "Credentials"
    settings: "Config"
    region: str
    origin: str
    directory: str
    headers: Mapping[str, str]

    def put(self, key: str, body: bytearray, checksum: str, content_type: str) -> str | None:
        """Store an object; its ETag, or None unless S3 said that it is stored."""
        from urllib3.exceptions import HTTPError

        path = self.directory + _quoted(key)
        own = {"Content-Type": content_type, "Content-Length": str(len(body)), "X-Amz-Checksum-SHA256": checksum}
        try:
            answer = self.send(path, body, self._signed(path, body, {**self.headers, **own}))
        except (HTTPError, OSError) as error:
            _logger.debug("%s was not stored like the first file (%s); boto3 sends it.", key, type(error).__name__)
            return None
        etag = answer.headers.get("ETag") if answer.status == 200 else None
        if etag is None:
            _logger.debug("%s was not stored like the first file (status %s); boto3 sends it.", key, answer.status)
        return etag

    def send(self, path: str, body: bytearray, headers: Mapping[str, str]) -> "BaseHTTPResponse":
        """Send a signed request once; the whole answer."""
        sent = cast(bytes, body)  # any buffer will do, urllib3's types do not know
        return self.connections.urlopen("PUT", path, sent, headers, retries=False, redirect=False)

    def _signed(self, path: str, body: bytearray, headers: dict[str, str]) -> dict[str, str]:
        from botocore.auth import S3SigV4Auth
        from botocore.awsrequest import AWSRequest

        request = AWSRequest("PUT", self.origin + path, headers, body)
        request.context["client_config"] = self.settings
        S3SigV4Auth(self.credentials.get_frozen_credentials(), "s3", self.region).add_auth(request)
        return dict(request.headers.items())


class Repeats:
    """The small files of one upload: boto3 stores the first, the others are stored like it. Safe in many threads."""

    def __init__(self) -> None:
        self._repeater: Repeater | None = None
        self._failures = 0

    def put(self, key: str, body: bytearray, checksum: str, content_type: str) -> str | None:
        """Store an object; its ETag, or None unless S3 said that it is stored: then boto3 must be asked."""
        if self._repeater is None or self._failures >= FAILURES:
            return None
        etag = self._repeater.put(key, body, checksum, content_type)
        self._failures = 0 if etag is not None else self._failures + 1
        return etag

    def learn(self, bucket: Bucket, key: str, sent: "list[AWSPreparedRequest]") -> None:
        """Take the last of the requests that stored `key` as the example for others."""
        if sent and self._repeater is None:
            self._repeater = _repeater(bucket, key, sent[-1])


def _repeater(bucket: Bucket, key: str, sent: "AWSPreparedRequest") -> Repeater | None:
    """What sends a request again that boto3 sent for `key`; None if it went or was signed in an unusual way."""
    from botocore.config import Config

    access = bucket.access
    headers = _texts(sent.headers)
    signed = _SIGNED.fullmatch(headers.get("Authorization", ""))
    url = urlsplit(sent.url)
    if signed is None or url.query or not url.path.endswith(f"/{_quoted(key)}"):
        return None
    credentials = access.credentials()
    if credentials is None or access.connections is None:
        return None
    signs_bodies = headers.get("X-Amz-Content-SHA256") != _UNSIGNED_BODY
    return Repeater(
        access.connections.connection_from_url(sent.url),
        credentials,
        Config(s3={"payload_signing_enabled": signs_bodies}),
        signed["region"],
        f"{url.scheme}://{url.netloc}",
        url.path.removesuffix(_quoted(key)),
        {name: value for name, value in headers.items() if name.lower() not in _OF_ONE_REQUEST},
    )


def _quoted(key: str) -> str:
    return quote(key, safe="/~")


def _texts(headers: Any) -> dict[str, str]:
    """Headers of a prepared request, some of which botocore leaves as bytes."""
    return {name: value.decode() if isinstance(value, bytes) else value for name, value in headers.items()}
