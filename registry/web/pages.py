"""Render templates, and tell a page its client, visitor, form and place in a list."""

import functools
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

import jinja2
from markupsafe import Markup
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from registry import __version__
from registry.client import MlflowClient
from registry.exceptions import InvalidParameterError, RegistryError, UnavailableError
from registry.store.registry.overview import Rights
from registry.web import formatting

if TYPE_CHECKING:
    from registry.web.site import Site

# Path, name and the key after "g" of each place in the navigation.
NAVIGATION: Final = (
    ("/", "Home", "h"),
    ("/runs", "Runs", "r"),
    ("/models", "Models", "m"),
    ("/inbox", "Inbox", "i"),
)

_SECRET: Final = secrets.token_bytes(32)


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks for a page, and the token that the forms on it carry."""

    actor: str
    form_token: str


def client_of(request: Request) -> MlflowClient:
    """Return the client that acts for the visitor."""
    site = site_of(request)
    client = site.client(visitor_of(request).actor)
    site.read_rights(client)
    return client


def rights_of(request: Request) -> Rights:
    """Return what the database lets its user do."""
    return site_of(request).rights


def site_of(request: Request) -> "Site":
    """Return what the server was started with."""
    site: Site = request.state.site
    return site


def visitor_of(request: Request) -> Visitor:
    """Return who asks."""
    visitor: Visitor = request.state.visitor
    return visitor


def form_of(request: Request) -> FormData:
    """Return the form that was posted."""
    form: FormData = request.state.form
    return form


def text_of(request: Request, field: str) -> str | None:
    """Return a field of the posted form without outer blanks, or None if it is empty."""
    return str(form_of(request).get(field, "")).strip() or None


def number_of(request: Request, name: str, default: int, *, at_most: int) -> int:
    """Return a number of the query string between 1 and a limit.

    Raises:
        InvalidParameterError: It is not a whole number.
    """
    text = request.query_params.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit()) or len(text) > 18:
        raise InvalidParameterError(f"The parameter {name!r} of the address must be a number, not {text[:40]!r}.")
    return max(1, min(int(text), at_most))


def go_to(path: str, said: str | None = None) -> Response:
    """Go on to another page after a change. `said` is a sentence that the page shows on top."""
    if said is None:
        return RedirectResponse(path, 303)
    query = urlencode({"said": said, "by": _signature(said)})
    return RedirectResponse(f"{path}{'&' if '?' in path else '?'}{query}", 303)


def _said(request: Request) -> str:
    """Return the sentence that `go_to` gave to this page; a link from elsewhere cannot put words in its mouth."""
    said = request.query_params.get("said", "")
    is_ours = hmac.compare_digest(request.query_params.get("by", "").encode(), _signature(said).encode())
    return said if is_ours else ""


def _signature(text: str) -> str:
    return hmac.new(_SECRET, text.encode("utf-8", "replace"), hashlib.sha256).hexdigest()[:32]


def url(*parts: object, **query: object) -> str:
    """Return the address of a page: quoted parts of the path, and a query string without empty values."""
    path = "/" + "/".join(quote(str(part), safe="") for part in parts)
    pairs = [(key, value) for key, value in query.items() if value not in (None, "", [], ())]
    return f"{path}?{urlencode(pairs, doseq=True)}" if pairs else path


def render(request: Request, template: str, *, status: int = 200, **values: Any) -> Response:
    """Return a page made from a template; `values` are what the template names."""
    site: Site | None = getattr(request.state, "site", None)
    visitor: Visitor | None = getattr(request.state, "visitor", None)
    rights = site.rights if site is not None else Rights(may_write=False, may_promote=False)
    text = (
        _environment()
        .get_template(template)
        .render(
            request=request,
            navigation=NAVIGATION,
            visitor=visitor,
            form_token=functools.partial(_form_token, visitor),
            is_read_only=site is None or site.read_only or not rights.may_write,
            may_promote=site is not None and not site.read_only and rights.may_promote,
            rights=rights,
            asks_for_password=site is not None and site.auth.asks_for_password,
            said=_said(request),
            registry_version=__version__,
            **values,
        )
    )
    return HTMLResponse(text.encode("utf-8", "replace"), status)


def _form_token(visitor: Visitor | None) -> Markup:
    """Return the hidden field that every form carries."""
    token = visitor.form_token if visitor else ""
    return Markup('<input type="hidden" name="form_token" value="{}">').format(token)


def error_page(request: Request, status: int, message: str, **values: Any) -> Response:
    """Return a page that says what is wrong and what to do about it."""
    answer = render(request, "error.html", status=status, code=status, message=message, **{"verdicts": (), **values})
    if status == 503:
        answer.headers["retry-after"] = "5"
    return answer


def registry_error_page(request: Request, error: Exception) -> Response:
    """Show an error of the library."""
    assert isinstance(error, RegistryError)  # noqa: S101 - registered for these alone
    if isinstance(error, UnavailableError):
        return error_page(request, 503, f"The database or the files cannot be reached: {error.message}")
    verdicts = error.json_kwargs.get("verdicts", ())
    return error_page(request, error.get_http_status_code(), error.message, verdicts=verdicts)


def http_error_page(request: Request, error: Exception) -> Response:
    """Show an error of the protocol, such as an address without a page."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    messages = {404: "There is no such page.", 405: "This page is only shown, or only sent, not both."}
    return error_page(request, status, messages.get(status, "The request cannot be answered."))


def crash_page(request: Request) -> Response:
    """Show that the page itself is at fault; the server's log has the error."""
    return error_page(request, 500, "The page failed to answer; the terminal of 'registry ui' has the error.")


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("registry.web"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= formatting.FILTERS
    environment.globals |= {"url": url}
    return environment
