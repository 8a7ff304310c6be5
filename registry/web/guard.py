"""What every request passes before a page sees it: host, visitor, origin, form token, size; and headers of answers.

Guarantees: no page is shown to, and nothing is changed by, who has no session; a change needs a form of this server.
"""

import hmac
import secrets
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from registry.exceptions import RegistryError
from registry.web.auth import PasswordAuth
from registry.web.pages import Visitor, crash_page, error_page, render
from registry.web.site import Site

MAX_BODY: Final = 1_000_000
MAX_FIELDS: Final = 1_000
_READS: Final = frozenset({"GET", "HEAD"})
_PUBLIC: Final = "/static/"
_CSP: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors {frames}"
)


class Guard:
    """The middleware around all pages."""

    def __init__(self, app: ASGIApp, site: Site) -> None:
        self._app = app
        self._site = site
        self._headers = {
            "content-security-policy": _CSP.format(frames=" ".join(site.frame_hosts) or "'none'"),
            "x-content-type-options": "nosniff",
            "referrer-policy": "same-origin",
            "cross-origin-opener-policy": "same-origin",
            "cross-origin-resource-policy": "same-origin",
            "permissions-policy": "camera=(), microphone=(), geolocation=()",
            "cache-control": "no-store",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        has_begun = False

        async def send_with_headers(message: Message) -> None:
            nonlocal has_begun
            if message["type"] == "http.response.start":
                has_begun = True
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        request = Request(scope, receive)
        try:
            answer = await self._answer(request)
        except ClientDisconnect:
            return
        except RegistryError as error:  # the password file cannot be read
            answer = error_page(request, 503, error.message)
        try:
            await (self._app if answer is None else answer)(scope, receive, send_with_headers)
        except Exception:
            # Answered here, where the headers are added; the server logs what is raised.
            if not has_begun:
                await crash_page(request)(scope, receive, send_with_headers)
            raise

    async def _answer(self, request: Request) -> Response | None:
        """Return what answers a request that no page is to see, or None."""
        site = self._site
        request.state.site = site
        named = request.headers.getlist("host")
        if len(named) != 1 or _host(named[0]) not in site.hosts:
            return Response("This server does not answer for that host; start it with --allow-host NAME.\n", 421)
        if request.url.path.startswith(_PUBLIC) and request.method in _READS:
            return None
        actor = site.auth.actor(request)
        if actor is not None and "token" in request.query_params and request.method == "GET":
            return self._signed_in(actor, _without_token(request))
        visitor = Visitor(actor, site.sign("form", actor)) if actor is not None else self._from_cookie(request)
        request.state.visitor = visitor
        if request.method not in _READS:
            refusal = await self._check_change(request, visitor)
            if refusal is not None:
                return refusal
        if request.url.path == "/login" and site.auth.asks_for_password:
            return await self._login(request)
        if visitor is None:
            return self._ask(request)
        if request.url.path == "/logout" and request.method == "POST":
            answer = RedirectResponse("/", 303)
            answer.delete_cookie(site.cookie)
            return answer
        return None

    def _from_cookie(self, request: Request) -> Visitor | None:
        cookie = request.cookies.get(self._site.cookie, "")
        try:
            actor = bytes.fromhex(cookie.partition(".")[0]).decode()
        except ValueError:
            return None
        generation = self._site.auth.generation(actor) if actor else None
        nonce, _, signature = cookie.partition(".")[2].partition(".")
        if generation is None or not _same(signature, self._site.sign("session", actor, nonce, generation)):
            return None
        return Visitor(actor, self._site.sign("form", actor, nonce))

    def _signed_in(self, actor: str, target: str) -> Response:
        nonce, generation = secrets.token_hex(16), self._site.auth.generation(actor) or ""
        value = f"{actor.encode().hex()}.{nonce}.{self._site.sign('session', actor, nonce, generation)}"
        answer = RedirectResponse(target, 303)
        answer.set_cookie(self._site.cookie, value, httponly=True, samesite="strict", path="/")
        return answer

    def _ask(self, request: Request) -> Response:
        if self._site.auth.asks_for_password:
            there = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            return RedirectResponse(f"/login?{urlencode({'next': there})}", 303)
        return error_page(
            request,
            401,
            "You are not signed in. Open the URL with the token that 'registry ui' printed when it started; "
            "behind a proxy, sign in there.",
        )

    async def _login(self, request: Request) -> Response:
        """Show the form for name and password, or check them."""
        auth = self._site.auth
        form: FormData = getattr(request.state, "form", FormData())
        target = _local(str(form.get("next") or request.query_params.get("next") or "/"))
        name, password = str(form.get("name", "")), str(form.get("password", ""))
        if request.method != "POST" or not isinstance(auth, PasswordAuth):
            return render(request, "login.html", target=target, is_wrong=False)
        if await run_in_threadpool(auth.check, name, password):
            return self._signed_in(name, target)
        return render(request, "login.html", status=403, target=target, is_wrong=True)

    async def _check_change(self, request: Request, visitor: Visitor | None) -> Response | None:
        """Read the form of a change; return why it is refused, or None."""
        if request.method != "POST":
            return error_page(request, 405, f"There is no {request.method} here; pages use GET and POST.")
        origin = request.headers.get("origin", "")
        if not origin or urlsplit(origin).netloc.lower() != request.headers.get("host", "").lower():
            return error_page(request, 403, "This form was not sent by a page of this server; nothing was changed.")
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY:
                return error_page(request, 413, f"The form is larger than {MAX_BODY} bytes; nothing was changed.")
        try:
            pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
        except ValueError:
            return error_page(request, 400, "The form cannot be read; nothing was changed.")
        # Browsers send line breaks of a text as CR LF.
        form = FormData([(key, value.replace("\r\n", "\n")) for key, value in pairs])
        request.state.form = form
        if request.url.path == "/login":
            return None
        given = request.headers.get("x-form-token") or str(form.get("form_token", ""))
        if visitor is not None and not _same(given, visitor.form_token):
            return error_page(request, 403, "The form is of an earlier session; go back, reload the page and repeat.")
        if visitor is not None and self._site.read_only and request.url.path != "/logout":
            return error_page(request, 403, "This page is read-only; start it without --read-only to change things.")
        return None


def _host(header: str) -> str:
    """Return the name in a Host header, without the port."""
    try:
        return (urlsplit(f"//{header}").hostname or "").lower()
    except ValueError:
        return ""


def _without_token(request: Request) -> str:
    others = [(key, value) for key, value in request.query_params.multi_items() if key != "token"]
    return _local(request.url.path + (f"?{urlencode(others)}" if others else ""))


def _local(target: str) -> str:
    """Return a path of this server; anything else becomes the home page."""
    is_local = target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable()
    return target if is_local else "/"


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode())
