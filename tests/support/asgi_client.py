"""Calls an ASGI application without a socket, in an event loop of its own, from its beginning to its end."""

import asyncio
import json
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Answer:
    """A status, headers in lower case, and a body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body as strict JSON: NaN and infinity raise."""

        def refuse(word: str) -> None:
            raise ValueError(f"{word} is not JSON")

        return json.loads(self.body, parse_constant=refuse)


class AsgiClient:
    """An application between its startup and its shutdown."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> "AsgiClient":
        self._thread.start()
        self._to_app: asyncio.Queue[Any] = self._do(_make_queue())
        self._from_app: asyncio.Queue[Any] = self._do(_make_queue())
        lifespan = self._app({"type": "lifespan"}, self._to_app.get, self._from_app.put)
        self._life = asyncio.run_coroutine_threadsafe(lifespan, self._loop)
        self._do(self._to_app.put({"type": "lifespan.startup"}))
        assert self._do(self._from_app.get())["type"] == "lifespan.startup.complete"
        return self

    def __exit__(self, *_error: object) -> None:
        self._do(self._to_app.put({"type": "lifespan.shutdown"}))
        assert self._do(self._from_app.get())["type"] == "lifespan.shutdown.complete"
        self._life.result(60)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        """Return the answer to a GET."""
        return self.request("GET", path, [b""], headers)

    def post(
        self,
        path: str,
        body: Any,
        content_type: str | None = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Return the answer to a POST; a body that is no bytes is sent as JSON."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        kind = {} if content_type is None else {"content-type": content_type}
        return self.request("POST", path, [data], {"content-length": str(len(data)), **kind, **(headers or {})})

    def request(
        self, method: str, path: str, chunks: Iterable[bytes], headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Return the answer to a request whose body comes in these chunks."""
        return self._do(self._call(method, path, list(chunks), headers or {}))

    def start(self, path: str, body: Any) -> "asyncio.Future[Answer]":
        """Begin a POST; return what becomes its answer."""
        data = json.dumps(body).encode()
        head = {"content-type": "application/json", "content-length": str(len(data))}
        return asyncio.run_coroutine_threadsafe(self._call("POST", path, [data], head), self._loop)  # type: ignore[return-value]

    def _do(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(120)

    async def _call(self, method: str, path: str, chunks: list[bytes], headers: Mapping[str, str]) -> Answer:
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 5000),
        }
        waiting = [
            {"type": "http.request", "body": chunk, "more_body": number < len(chunks) - 1}
            for number, chunk in enumerate(chunks)
        ]
        sent: list[Any] = []

        async def receive() -> Any:
            return waiting.pop(0) if waiting else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await self._app(scope, receive, send)
        head = {name.decode("latin-1"): value.decode("latin-1") for name, value in sent[0]["headers"]}
        return Answer(sent[0]["status"], head, b"".join(message.get("body", b"") for message in sent[1:]))


async def _make_queue() -> "asyncio.Queue[Any]":
    return asyncio.Queue()
