"""Ask the page in this process, without a socket: a small ASGI client that keeps cookies and sends the form token."""

import asyncio
import contextlib
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlencode, urlsplit

from starlette.applications import Starlette

from registry.web.app import create_app
from registry.web.auth import TokenAuth
from registry.web.site import Site

HOST = "127.0.0.1:5001"
_TOKEN = re.compile(r'name="form-token" content="([0-9a-f]+)"')


@dataclass(frozen=True)
class Answer:
    """What the page answered."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def text(self) -> str:
        """Return the body as text."""
        return self.body.decode()

    def header(self, name: str) -> str | None:
        """Return the first header of a name."""
        return next((value for key, value in self.headers if key == name), None)


class PageClient:
    """A browser without a screen."""

    def __init__(self, app: Starlette, address: tuple[str, int] = ("127.0.0.1", 50_000)) -> None:
        self.app = app
        self.address = address
        self.cookies: dict[str, str] = {}
        self.form_token: str | None = None

    def get(
        self, path: str, headers: Mapping[str, str] | None = None, *, raises: type[Exception] | tuple[()] = ()
    ) -> Answer:
        """Ask for a page, whose code may raise an error for the server's log."""
        answer = self.ask("GET", path, headers or {}, raises=raises)
        if found := _TOKEN.search(answer.body.decode("utf-8", "replace")):
            self.form_token = found[1]
        return answer

    def post(
        self, path: str, form: Mapping[str, Any] | None = None, headers: Mapping[str, str | None] | None = None
    ) -> Answer:
        """Send a form as a browser does: with the token that the page had, and the origin."""
        if self.form_token is None:
            self.get("/")
        fields = {"form_token": self.form_token or "", **(form or {})}
        sent = {"origin": f"http://{HOST}", "content-type": "application/x-www-form-urlencoded", **(headers or {})}
        return self.ask("POST", path, sent, urlencode(fields, doseq=True).encode())

    def ask(
        self, method: str, target: str, headers: Mapping[str, str | None], body: bytes = b"", *, raises: Any = ()
    ) -> Answer:
        """Send one request, and return the answer."""
        path, query = urlsplit(target).path, urlsplit(target).query
        sent = {"host": HOST, **headers}
        if self.cookies:
            sent["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(path),
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": query.encode(),
            "headers": [(key.lower().encode(), value.encode()) for key, value in sent.items() if value is not None],
            "client": self.address,
            "server": ("127.0.0.1", 5001),
        }
        # In a thread of its own: a browser that the tests drive has a loop in this one.
        with ThreadPoolExecutor(1) as thread:
            answer = thread.submit(asyncio.run, _answer(self.app, scope, body, raises)).result()
        for name, value in answer.headers:
            if name == "set-cookie":
                key, _, rest = value.partition("=")
                content = rest.partition(";")[0]
                if "Max-Age=0" in value:
                    self.cookies.pop(key, None)
                else:
                    self.cookies[key] = content
        return answer


def open_page(uri: str, **site: Any) -> PageClient:
    """Return a client that has signed in with the token to the page of a registry."""
    made = Site(tracking_uri=uri, **site)
    page = PageClient(create_app(made))
    if isinstance(made.auth, TokenAuth):
        assert page.get(f"/?token={made.auth.token}").status == 303
    return page


def words(text: str) -> str:
    """Return the text of a page's content without its markup."""
    main = text[text.index("<main") : text.index("</main>")]
    return " ".join(re.sub(r"<[^>]+>", " ", main).split())


async def _answer(app: Starlette, scope: dict[str, Any], body: bytes, raises: Any) -> Answer:
    messages: list[Any] = []
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Any:
        if not waiting:
            await asyncio.Event().wait()  # the client stays until it has the whole answer
        return waiting.pop()

    async def send(message: Any) -> None:
        messages.append(message)

    with contextlib.suppress(raises):
        await app(scope, receive, send)
    start = messages[0]
    headers = [(key.decode("latin-1"), value.decode("latin-1")) for key, value in start["headers"]]
    content = b"".join(message.get("body", b"") for message in messages if message["type"] == "http.response.body")
    return Answer(start["status"], headers, content)
