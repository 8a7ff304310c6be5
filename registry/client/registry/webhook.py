"""Posts events to an HTTP address, signed.

The body is JSON. The header ``X-Registry-Signature-256`` is ``sha256=`` and the HMAC-SHA256 (hex) of the body under the
shared secret. ``position`` in the body identifies an event that comes twice.

Guarantees: an event counts as delivered only after a 2xx response; no message contains the secret or the URL's path.
"""

import hashlib
import hmac
import random
import time
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from registry.entities.history import PublishedEvent, canonical_json
from registry.entities.times import format_time
from registry.exceptions import InvalidParameterError, UnavailableError

SIGNATURE_HEADER: Final = "X-Registry-Signature-256"
# Retry timeout, too early and too many requests; every 5xx is retried too.
_WORTH_RETRYING: Final = frozenset({408, 425, 429})
_LONGEST_WAIT_SECONDS: Final = 30.0


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A handler that follows no redirect: a redirected POST would become a GET to another address."""

    def redirect_request(self, *_args: Any, **_kwargs: Any) -> None:
        return None


class WebhookSink:
    """A sink that posts each event as JSON to an HTTP address, and retries with growing pauses.

    With a secret, the header ``X-Registry-Signature-256`` is ``sha256=`` and the HMAC-SHA256 (hex) of the body. Each
    event may come more than once; ``position`` in the body identifies it.

    Args:
        url: ``http://`` or ``https://`` address.
        secret: Key of the signature; None posts unsigned.
        timeout_seconds: Limit for one attempt.
        attempts: How often one event is tried; a 4xx response other than 408, 425 and 429 is final.
        first_wait_seconds: Pause after the first failure; it doubles with each, up to 30 seconds.

    Raises:
        InvalidParameterError: The address is not an HTTP URL or has a password in it, or a number is out of range.

    Example:
        >>> sink = registry.WebhookSink("https://hooks.example.com/models/token", secret="s3cret", attempts=3)
        >>> sink
        WebhookSink(https://hooks.example.com)

        `MlflowClient.watch_events` calls ``deliver``:

        >>> client.watch_events(sink, cursor="hooks.cursor", from_now=True, once=True)
        0
    """

    def __init__(
        self,
        url: str,
        *,
        secret: str | bytes | None = None,
        timeout_seconds: float = 10.0,
        attempts: int = 5,
        first_wait_seconds: float = 0.5,
    ) -> None:
        self._address = _parse_address(url)
        self._url = url
        if attempts < 1 or timeout_seconds <= 0 or first_wait_seconds < 0:
            raise InvalidParameterError("A webhook needs at least one attempt, and times that are not negative.")
        self._secret = secret.encode() if isinstance(secret, str) else secret
        self._timeout_seconds = timeout_seconds
        self._attempts = attempts
        self._first_wait_seconds = first_wait_seconds
        self._opener = urllib.request.build_opener(_NoRedirects)

    def __repr__(self) -> str:
        return f"WebhookSink({self._address.scheme}://{self._address.hostname})"

    def deliver(self, event: PublishedEvent) -> None:
        """Post an event until the receiver takes it.

        Raises:
            UnavailableError: All attempts failed, or the receiver refused the event for good.
        """
        self.post(event_body(event), f"event {event.position}")

    def post(self, body: bytes, what: str) -> None:
        """Post a body of JSON until the receiver takes it; `what` names it in an error.

        Raises:
            UnavailableError: All attempts failed, or the receiver refused it for good.
        """
        request = self._request(body)
        for attempt in range(1, self._attempts + 1):
            failure, is_final = self._post(request)
            if failure is None:
                return
            if is_final or attempt == self._attempts:
                raise UnavailableError(
                    f"The webhook at {self._address.hostname} did not take {what} ({attempt} attempts): {failure}."
                )
            wait = min(_LONGEST_WAIT_SECONDS, self._first_wait_seconds * 2 ** (attempt - 1))
            time.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311 - not a secret

    def _request(self, body: bytes) -> urllib.request.Request:
        headers = {"Content-Type": "application/json", "User-Agent": "registry-webhook"}
        if self._secret is not None:
            headers[SIGNATURE_HEADER] = signature(body, self._secret)
        return urllib.request.Request(self._url, data=body, headers=headers, method="POST")  # noqa: S310 - http(s) only

    def _post(self, request: urllib.request.Request) -> tuple[str | None, bool]:
        """Return the failure, or None, and whether a retry is pointless."""
        try:
            with self._opener.open(request, timeout=self._timeout_seconds):
                return None, False
        except urllib.error.HTTPError as error:
            error.close()
            return f"HTTP status {error.code}", error.code < 500 and error.code not in _WORTH_RETRYING
        except (OSError, HTTPException) as error:
            return f"{type(error).__name__}: {getattr(error, 'reason', None) or error}", False


def event_document(event: PublishedEvent) -> dict[str, Any]:
    """Return an event as an object for JSON: the body of a webhook, and what the command line prints."""
    inner = event.event
    return {
        "position": event.position,
        "model": event.model_name,
        "model_uid": inner.model_uid,
        "seq": inner.seq,
        "kind": str(inner.kind),
        "version": inner.version,
        "from": inner.from_value,
        "to": inner.to_value,
        "actor": inner.actor,
        "session_user": inner.session_user,
        "reason": inner.reason,
        "time": format_time(inner.time),
        "details": dict(inner.details),
        "prev_hash": inner.prev_hash,
        "hash": inner.hash,
    }


def event_body(event: PublishedEvent) -> bytes:
    """Return the body for an event: canonical JSON in UTF-8."""
    return canonical_json(event_document(event)).encode()


def signature(body: bytes, secret: bytes) -> str:
    """Return the value of the signature header. Receivers compare it with `hmac.compare_digest`."""
    return "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()


def _parse_address(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable or not url.isascii() or not url.isprintable() or " " in url:
        raise InvalidParameterError("The address of a webhook is not an http:// or https:// URL with a host.")
    if parts.username is not None:
        raise InvalidParameterError("The address of a webhook has a password in it; sign with a secret instead.")
    return parts
