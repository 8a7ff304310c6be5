"""What the server sends: answers made under a lease of the model, headers that name it, and errors with an id."""

import contextlib
import dataclasses
import logging
import urllib.parse
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from registry.exceptions import InvalidStateError, UnavailableError
from registry.serving.follow import FollowedModel
from registry.serving.options import is_token
from registry.serving.request_errors import RequestError
from registry.serving.served_model import FollowStatus, ServedModel

_logger = logging.getLogger(__name__)

JSON: Final = "application/json"
RETRY_SECONDS: Final = 1


@dataclass(frozen=True, slots=True)
class Answer:
    """The body of an answer with its media type, further headers, and what was predicted."""

    body: bytes
    media_type: str = JSON
    headers: Mapping[str, str] | None = None
    rows: int = 0


def answer_with_lease(
    scope: Any, followed: FollowedModel, work: Callable[[bytes, ServedModel], Answer], body: bytes
) -> Answer:
    """Answer with the model of this moment, in a thread; what fails beyond the input is a 500 with an id."""
    with lease(scope, followed) as served:
        try:
            return work(body, served)
        except RequestError:
            raise
        except Exception as error:  # noqa: BLE001 - code of the model raises whatever it likes
            identity = log_error(served, error, logging.ERROR)
            raise RequestError(500, f"The prediction failed; the log says more under {identity}.") from None


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
    given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
    return is_token(given, token)


def media_type(request: Request) -> str | None:
    """Return the type of a body in UTF-8, or None for another."""
    kind, *params = [part.strip().lower() for part in request.headers.get("content-type", "").split(";")]
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
