"""A server that answers each client of PostgreSQL with one error, in German, or closes the connection."""

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator

_SSL_REQUEST = 80877103
_ASK_PASSWORD = b"R" + struct.pack("!ii", 8, 3)


def error_response(state: str, message: str) -> bytes:
    """Return the message of a fatal error, with a severity that is translated."""
    fields = {"S": "SCHWERWIEGEND", "V": "FATAL", "C": state, "M": message}
    body = b"".join(f"{kind}{value}\0".encode() for kind, value in fields.items()) + b"\0"
    return b"E" + struct.pack("!i", len(body) + 4) + body


class RefusingServer:
    """The server; `answer` is the answer to what clients ask, and `clients` counts them."""

    def __init__(self, answer: bytes, *, asks_password: bool = False) -> None:
        self.answer, self.asks_password, self.clients = answer, asks_password, 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop to listen."""
        with contextlib.suppress(OSError):  # it wakes the thread
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            with client, contextlib.suppress(OSError, struct.error):
                self._answer(client)

    def _answer(self, client: socket.socket) -> None:
        request = client.recv(4_096)
        if len(request) == 8 and struct.unpack("!ii", request)[1] == _SSL_REQUEST:
            client.sendall(b"N")
            request = client.recv(4_096)
        if not request:
            return
        self.clients += 1
        if self.asks_password:
            client.sendall(_ASK_PASSWORD)
            client.recv(4_096)
        client.sendall(self.answer)


@contextlib.contextmanager
def refusing_server(answer: bytes, *, asks_password: bool = False) -> Iterator[RefusingServer]:
    """Run a server for the block."""
    server = RefusingServer(answer, asks_password=asks_password)
    try:
        yield server
    finally:
        server.close()
