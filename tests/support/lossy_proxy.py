"""A TCP proxy before PostgreSQL that can lose a COMMIT or its response, stop forwarding, and pose as a pooler."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from enum import Enum

_COMMIT = b"COMMIT\0"
# The header of the message BackendKeyData; the process id of the server follows it.
_BACKEND_KEY = b"K\0\0\0\x0c"


class Loss(Enum):
    """The fate of the next COMMIT; the connection breaks after it."""

    NOTHING = "passes"
    REQUEST = "never reaches the server"
    ANSWER = "takes place, and its answer is lost"
    SILENCE = "takes place, and nobody says anything any more"


class LossyProxy:
    """Forwards connections to a server on loopback; `port` is where it listens."""

    def __init__(self, server_port: int, *, port: int = 0) -> None:
        self.server_port = server_port
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port: int = self._listener.getsockname()[1]
        self.losses: list[Loss] = []
        self.commits = 0
        self.refuses = False
        self.goes_dark = False
        self.poses_as_pooler = False
        self.stalls = False  # the response of the server is not forwarded
        self._sockets: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Stop listening and break every connection."""
        self._listener.close()
        for end in list(self._sockets):
            _break(end)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                if self.refuses:
                    near.close()
                    continue
                try:
                    far = socket.create_connection(("127.0.0.1", self.server_port))
                except ConnectionError:  # the server is being restarted
                    near.close()
                    continue
                self._sockets |= {near, far}
                threading.Thread(target=self._serve, args=(near, far), daemon=True).start()

    def _serve(self, near: socket.socket, far: socket.socket) -> None:
        muted = threading.Event()
        back = threading.Thread(target=self._forward_answers, args=(far, near, muted), daemon=True)
        back.start()
        with contextlib.suppress(OSError):
            while data := near.recv(65_536):
                loss = self._loss(data)
                if loss is Loss.REQUEST:
                    break
                if loss in (Loss.ANSWER, Loss.SILENCE):
                    muted.set()
                far.sendall(data)
                if loss is Loss.ANSWER:
                    back.join()  # until the server has answered
                    break
        _break(near)
        _break(far)
        self._sockets -= {near, far}

    def _loss(self, data: bytes) -> Loss:
        if _COMMIT not in data:
            return Loss.NOTHING
        self.commits += 1
        loss = self.losses.pop(0) if self.losses else Loss.NOTHING
        self.refuses = self.goes_dark and loss is not Loss.NOTHING
        return loss

    def _forward_answers(self, far: socket.socket, near: socket.socket, muted: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := far.recv(65_536):
                if muted.is_set():
                    return
                if self.stalls:
                    continue
                head, key, rest = data.partition(_BACKEND_KEY)
                if key and self.poses_as_pooler:
                    data = head + key + b"\x7f\xff\xff\xff" + rest[4:]
                near.sendall(data)
        _break(near)


@contextlib.contextmanager
def lossy_proxy(server_port: int) -> Iterator[LossyProxy]:
    """Run a proxy until the block ends."""
    proxy = LossyProxy(server_port)
    try:
        yield proxy
    finally:
        proxy.close()


def _break(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
