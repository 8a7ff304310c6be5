"""A TCP proxy before PostgreSQL that counts round trips: requests that are sent when every earlier one is answered."""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator

_COPY_DONE = b"c"
_NO_REQUEST = (_COPY_DONE, b"d", b"p", b"H", b"X")  # CopyData, a password, Flush, Terminate
_ASKS_FOR_ANSWER = (b"S", b"Q")  # Sync and Query: the server answers with ReadyForQuery
_READY = b"Z"
_ENCRYPTION = (80877103, 80877104)  # by TLS, by GSS


class CountingProxy:
    """Forwards connections to a server on loopback; `trips` counts round trips, those of connecting apart."""

    def __init__(self, server_port: int) -> None:
        self.server_port = server_port
        self.trips = 0
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._ends: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Stop listening and break every connection."""
        self._listener.close()
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                start = _start_of(near)
                far = socket.create_connection(("127.0.0.1", self.server_port))
                for end in (near, far):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._ends += [near, far]
                self.connections += 1
                far.sendall(start)
                session = _Session(self)
                for source, target, hear in ((near, far, session.client), (far, near, session.server)):
                    threading.Thread(target=_forward, args=(source, target, hear), daemon=True).start()


class _Session:
    """What is on its way in one connection."""

    def __init__(self, proxy: CountingProxy) -> None:
        self._proxy = proxy
        self._unanswered = 1  # the start of the connection
        self._is_asking = False
        self.client, self.server = _Messages(self._hear_client), _Messages(self._hear_server)

    def _hear_client(self, kind: bytes) -> None:
        if kind == _COPY_DONE:
            self._proxy.trips += 1  # the server had to agree to the COPY first
        if kind in _NO_REQUEST:
            return
        if self._unanswered == 0 and not self._is_asking:
            self._proxy.trips += 1
        self._is_asking = kind not in _ASKS_FOR_ANSWER
        self._unanswered += kind in _ASKS_FOR_ANSWER

    def _hear_server(self, kind: bytes) -> None:
        self._unanswered -= kind == _READY


class _Messages:
    """Cuts a stream of the protocol into messages and tells their types."""

    def __init__(self, hear: Callable[[bytes], None]) -> None:
        self._hear = hear
        self._rest = b""

    def __call__(self, data: bytes) -> None:
        self._rest += data
        while len(self._rest) >= 5:
            (length,) = struct.unpack_from("!I", self._rest, 1)
            if len(self._rest) < length + 1:
                return
            kind, self._rest = self._rest[:1], self._rest[length + 1 :]
            self._hear(kind)


def _start_of(near: socket.socket) -> bytes:
    """Return the first message of a client, which has no type; refuse to encrypt, if it asks for that before."""
    while True:
        head = near.recv(8, socket.MSG_WAITALL)
        length, code = struct.unpack("!II", head)
        if code not in _ENCRYPTION:
            return head + near.recv(length - 8, socket.MSG_WAITALL)
        near.sendall(b"N")


def _forward(source: socket.socket, target: socket.socket, hear: _Messages) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            hear(data)
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def counting_proxy(server_port: int) -> Iterator[CountingProxy]:
    """Run a proxy until the block ends."""
    proxy = CountingProxy(server_port)
    try:
        yield proxy
    finally:
        proxy.close()
