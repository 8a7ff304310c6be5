"""A TCP proxy before an S3 server that spoils some exchanges; a seed makes the faults repeatable."""

import contextlib
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from enum import Enum
from urllib.parse import urlsplit

_METHODS = (b"GET ", b"PUT ", b"POST ", b"HEAD ", b"DELETE ")
_SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>made up by a test</Message></Error>"


class Weather(Enum):
    """The fault of one exchange."""

    FAIR = "it passes"
    DROP = "the connection breaks before the server sees the request"
    LOSE = "the server does what it is asked, and the answer is lost"
    DELAY = "it takes its time"
    TRUNCATE = "the answer breaks off"
    CORRUPT = "a bit of the answer is another"
    BUSY = "503 SlowDown"


FOUL = [Weather.DROP, Weather.LOSE, Weather.DELAY, Weather.TRUNCATE, Weather.CORRUPT, Weather.BUSY]


class FaultProxy:
    """Forwards connections to a server; `chance` is the share of spoilt exchanges, `met` their number so far."""

    def __init__(self, server_url: str, *, seed: int, chance: float) -> None:
        server = urlsplit(server_url)
        self._server = (str(server.hostname), int(server.port or 80))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint_url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.chance = chance
        self.met: Counter[str] = Counter()
        self._random = random.Random(seed)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        with near, contextlib.suppress(OSError), socket.create_connection(self._server) as far:
            spoil = _Spoiler(near, far)
            threading.Thread(target=spoil.forward_answers, daemon=True).start()
            while data := near.recv(65_536):
                weather = self._weather() if data.startswith(_METHODS) else Weather.FAIR
                if weather is Weather.DROP:
                    return
                if weather is Weather.BUSY:
                    head = f"HTTP/1.1 503 Slow Down\r\nConnection: close\r\nContent-Length: {len(_SLOW_DOWN)}\r\n\r\n"
                    near.sendall(head.encode() + _SLOW_DOWN)
                    return
                if weather is Weather.DELAY:
                    time.sleep(0.05)
                elif weather is not Weather.FAIR:
                    spoil.next_answer = weather
                far.sendall(data)

    def _weather(self) -> Weather:
        if self._random.random() >= self.chance:
            return Weather.FAIR
        found = self._random.choice(FOUL)
        self.met[found.name] += 1
        return found


class _Spoiler:
    """The direction from server to client of one connection."""

    def __init__(self, near: socket.socket, far: socket.socket) -> None:
        self.next_answer = Weather.FAIR
        self._near = near
        self._far = far

    def forward_answers(self) -> None:
        with contextlib.suppress(OSError):
            while data := self._far.recv(65_536):
                weather, self.next_answer = self.next_answer, Weather.FAIR
                if weather is Weather.LOSE:
                    break
                if weather is Weather.TRUNCATE:
                    self._near.sendall(data[: len(data) * 3 // 4])
                    break
                self._near.sendall(_flipped(data) if weather is Weather.CORRUPT else data)
            # Close both ends: the thread that waits for more of the request must end too.
            for end in (self._near, self._far):
                end.shutdown(socket.SHUT_RDWR)


def _flipped(data: bytes) -> bytes:
    """Flip one bit of the body; return a response without a body unchanged."""
    end = data.find(b"\r\n\r\n") + 4
    if end < 4 or end >= len(data):
        return data
    return data[:end] + bytes([data[end] ^ 1]) + data[end + 1 :]


@contextlib.contextmanager
def fault_proxy(server_url: str, *, seed: int = 0, chance: float = 0.2) -> Iterator[FaultProxy]:
    """Run a proxy until the block ends."""
    proxy = FaultProxy(server_url, seed=seed, chance=chance)
    try:
        yield proxy
    finally:
        proxy.close()
