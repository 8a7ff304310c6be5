"""A TCP proxy before an S3 server that tells how many requests wait for one another, and counts connections."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

_METHODS = (b"GET ", b"PUT ", b"POST ", b"HEAD ", b"DELETE ")
# Each answer comes later by so much: requests that do not wait for one another overlap.
_DELAY_SECONDS = 0.1


class RequestProxy:
    """Forwards connections to a server, and notes the methods of requests with their beginning and end."""

    def __init__(self, server_url: str) -> None:
        server = urlsplit(server_url)
        self._server = (str(server.hostname), int(server.port or 80))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint_url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.connections = 0
        self._requests: list[tuple[str, float, float]] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self._listener.close()

    def clear(self) -> None:
        """Forget requests and connections."""
        self._requests.clear()
        self.connections = 0

    def in_a_row(self) -> list[str]:
        """Return the methods of the longest chain of requests that each began after the one before had ended."""
        chains: list[tuple[list[str], float]] = []
        for method, began, ended in sorted(self._requests, key=lambda request: request[1]):
            before = max((chain for chain, end in chains if end <= began), key=len, default=[])
            chains.append(([*before, method], ended))
        return max((chain for chain, _ in chains), key=len, default=[])

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        with near, contextlib.suppress(OSError), socket.create_connection(self._server) as far:
            waiting: list[tuple[str, float]] = []
            threading.Thread(target=self._forward_answers, args=(near, far, waiting), daemon=True).start()
            while data := near.recv(65_536):
                if data.startswith(_METHODS):
                    waiting.append((data.split(b" ", 1)[0].decode(), time.monotonic()))
                far.sendall(data)

    def _forward_answers(self, near: socket.socket, far: socket.socket, waiting: list[tuple[str, float]]) -> None:
        with contextlib.suppress(OSError):
            while data := far.recv(65_536):
                if waiting and not data.startswith(b"HTTP/1.1 100"):
                    method, began = waiting.pop()
                    time.sleep(_DELAY_SECONDS)
                    self._requests.append((method, began, time.monotonic()))
                near.sendall(data)
        for end in (near, far):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def request_proxy(server_url: str) -> Iterator[RequestProxy]:
    """Run a proxy until the block ends."""
    proxy = RequestProxy(server_url)
    try:
        yield proxy
    finally:
        proxy.close()
