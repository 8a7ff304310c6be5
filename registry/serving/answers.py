"""What the server sends: answers made under a lease of the model, headers that name it, and errors with an id."""

import contextlib
import dataclasses
import logging
import urllib.parse
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self

import msgspec
from starlette.responses import Response

from registry.exceptions import InvalidStateError, UnavailableError
from registry.serving.follow import FollowedModel
from registry.serving.options import is_token
from registry.serving.request_errors import RequestError
from registry.serving.served_model import FollowStatus, ServedModel

_logger = logging.getLogger(__name__)

JSON: Final = "application/json"
RETRY_SECONDS: Final = 1
RawHeaders = list[tuple[bytes, bytes]]
_CODES: Final = {
    400: "BAD_REQUEST",
    401: "UNAUTHENTICATED",
    404: "RESOURCE_DOES_NOT_EXIST",
    413: "BAD_REQUEST",
    415: "BAD_REQUEST",
    429: "REQUEST_LIMIT_EXCEEDED",
    500: "INTERNAL_ERROR",
    503: "TEMPORARILY_UNAVAILABLE",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """The body of an answer with its headers, and how many rows were predicted."""

    body: bytes
    headers: RawHeaders
    rows: int

    @classmethod
    def of(cls, body: bytes, media_type: str, headers: RawHeaders, rows: int) -> Self:
        """Return an answer with these headers, and those of its media type and length."""
        own = (b"content-length", b"%d" % len(body)), (b"content-type", media_type.encode())
        return cls(body, [*own, *headers], rows)


@contextlib.contextmanager
def lease(scope: Any, followed: FollowedModel) -> Iterator[ServedModel]:
    """Hold the model of this moment; a request for another version, or for one that is not loaded, is refused."""
    try:
        with followed.lease() as served:
            scope["registry.served"] = served
            asked = scope.get("path_params", {}).get("version")
            if asked is not None and asked != str(served.version or ""):
                raise RequestError(404, f"Version {served.version} answers here now, and no other.")
            yield served
    except UnavailableError as error:
        raise RequestError(503, error.message, retry_after=RETRY_SECONDS) from None
    except InvalidStateError:
        raise RequestError(503, "The server is ending.", retry_after=RETRY_SECONDS) from None


def log_error(served: ServedModel, error: BaseException, level: int) -> str:
    """Write an error to the log under a new id, and return the id."""
    identity = uuid.uuid4().hex[:16]
    _logger.log(level, "%s: a prediction of %s failed: %s", identity, served.uri, error, exc_info=error)
    return identity


def has_token(scope: Any, token: bytes) -> bool:
    """Tell whether a request sends the token of this server."""
    return is_token(find_header(scope, b"authorization", b""), token)


def find_header(scope: Any, name: bytes, default: Any = None) -> Any:
    """Return the value of a request's header, the first of several, or the default."""
    return next((value for header, value in scope["headers"] if header == name), default)


def media_type(scope: Any) -> str | None:
    """Return the type of a body in UTF-8, or None for another."""
    sent = find_header(scope, b"content-type", b"").decode("latin-1")
    if sent == JSON:  # the usual one
        return JSON
    kind, *params = [part.strip().lower() for part in sent.split(";")]
    is_plain = all(param in ("", "charset=utf-8", 'charset="utf-8"') for param in params)
    return kind if is_plain else None


def identity_headers(served: ServedModel) -> dict[str, str]:
    """Return headers that name a model; what ASCII does not have is percent-encoded."""
    names = {
        "X-Model-Name": served.name or "",
        "X-Model-Version": str(served.version or ""),
        "X-Model-Digest": served.digest,
    }
    return {header: urllib.parse.quote(value, safe=" /:") for header, value in names.items()}


def raw_headers(headers: Mapping[str, str]) -> RawHeaders:
    """Return headers as ASGI has them."""
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


def count_rows(data: Any) -> int:
    """Return the number of rows of an input: frames, arrays, and arrays by name."""
    some = next(iter(data.values())) if isinstance(data, dict) else data
    shape = getattr(some, "shape", ())
    return int(shape[0]) if shape else 1


def status_form(status: FollowStatus) -> dict[str, Any]:
    """Return a status as JSON has it, with times in ISO."""
    form = dataclasses.asdict(status)
    return {key: value.isoformat() if isinstance(value, datetime) else value for key, value in form.items()}


def json_response(form: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a response of JSON."""
    return Response(msgspec.json.encode(form), status, headers, JSON)


def error_response(scope: Any, error: RequestError) -> Response:
    """Return the response that tells an error, in the form of the protocol of its path; the access log tells it too."""
    scope["registry.error"] = error.message
    headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if scope["path"].startswith("/v2"):
        return json_response({"error": error.message}, error.status, headers)
    return json_response({"error_code": _CODES[error.status], "message": error.message}, error.status, headers)
