"""An S3 server that answers as a test's script says, and records the requests."""

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

BUCKET = "hostile"


@dataclass(frozen=True)
class Asked:
    """A request: its method, decoded path, query and headers (names in lower case)."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]

    @property
    def key(self) -> str:
        """Return the key within the bucket, ``""`` for the bucket itself."""
        return self.path.removeprefix(f"/{BUCKET}").removeprefix("/")


@dataclass(frozen=True)
class Answer:
    """A response. If its body is bytes and it has no ``Content-Length``, the length is added."""

    status: int = 200
    body: bytes | Iterable[bytes] = b""
    headers: Mapping[str, str] = field(default_factory=dict)


Script = Callable[[Asked], Answer]


@dataclass
class HostileS3:
    """The server's address and the requests so far; `script` may be replaced at any time."""

    endpoint_url: str
    script: Script
    asked: list[Asked] = field(default_factory=list)


@contextlib.contextmanager
def hostile_s3(script: Script) -> Iterator[HostileS3]:
    """Serve a script on loopback until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def answer(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            self.rfile.read(length)
            url = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
            asked = Asked(self.command, url.path, query, {name.lower(): value for name, value in self.headers.items()})
            served.asked.append(asked)
            with contextlib.suppress(OSError):  # the client has closed the connection
                self.send(served.script(asked))

        def send(self, answer: Answer) -> None:
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            whole = answer.body if isinstance(answer.body, bytes) else None
            if "Content-Length" not in answer.headers and "Transfer-Encoding" not in answer.headers:
                if whole is None:
                    self.send_header("Connection", "close")
                else:
                    self.send_header("Content-Length", str(len(whole)))
            self.end_headers()
            if self.command != "HEAD":
                for piece in [whole] if whole is not None else answer.body:
                    self.wfile.write(piece)
            self.close_connection = whole is None or "Content-Length" in answer.headers

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = answer  # noqa: N815 - http.server looks for these names

        def log_message(self, *_: object) -> None:
            """Log nothing: the test reports errors."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that hangs up is no news
    served = HostileS3(f"http://127.0.0.1:{server.server_address[1]}", script)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def listing(*keys: str | tuple[str, str], more: str = "", token: str | None = None) -> Answer:
    """Return a page of ListObjectsV2: keys of 1 byte each, or with a size as literal text; `token` promises more."""
    entries = "".join(
        f"<Contents><Key>{key}</Key><Size>{size}</Size><ETag>&quot;e&quot;</ETag></Contents>"
        for key, size in ((key, "1") if isinstance(key, str) else key for key in keys)
    )
    next_page = f"<IsTruncated>true</IsTruncated><NextContinuationToken>{token}</NextContinuationToken>"
    end = next_page if token is not None else "<IsTruncated>false</IsTruncated>"
    return Answer(body=f"<ListBucketResult>{entries}{more}{end}</ListBucketResult>".encode())


def content(data: bytes, **headers: str) -> Answer:
    """Return a whole object."""
    return Answer(
        body=data, headers={"ETag": '"e"', **{name.replace("_", "-"): text for name, text in headers.items()}}
    )
