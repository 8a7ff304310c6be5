"""Time limits of PostgreSQL statements: break the connection of a statement that gets no answer in time.

The limit is kept on this side, because a stopped server, or a network that drops packets, would not keep its own.
"""

import contextlib
import os
import socket
import threading
import time
from types import TracebackType
from typing import Any, Final

import psycopg


class TimeLimit:
    """Give a block the time limit of a connection; a class, because a generator would cost more on every statement.

    Raises:
        psycopg.OperationalError: the limit passed, and the watchdog broke the connection.
    """

    __slots__ = ("connection", "deadline", "is_over", "seconds")

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection
        self.seconds: float | None = getattr(connection, "limit_seconds", None)
        self.is_over = False

    def __enter__(self) -> None:
        if self.seconds is not None:
            self.deadline = time.monotonic() + self.seconds
            _WATCHDOG.add(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.seconds is None:
            return
        _WATCHDOG.remove(self)
        if self.is_over and isinstance(error, psycopg.Error):
            raise psycopg.OperationalError(f"the server did not answer within {self.seconds:g} seconds") from error


class _Watchdog:
    """A thread that breaks connections whose time is up; started on first use."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget the thread and its limits; after a fork, in the child."""
        self._running: set[TimeLimit] = set()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._wakes_at = float("inf")

    def add(self, limit: TimeLimit) -> None:
        with self._changed:
            self._running.add(limit)
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="registry-time-limits", daemon=True)
                self._thread.start()
            if limit.deadline < self._wakes_at:
                self._changed.notify()

    def remove(self, limit: TimeLimit) -> None:
        with self._changed:
            self._running.discard(limit)

    def _watch(self) -> None:
        with self._changed:
            while True:
                now = time.monotonic()
                for limit in [limit for limit in self._running if limit.deadline <= now]:
                    self._running.discard(limit)
                    limit.is_over = True
                    with contextlib.suppress(OSError, psycopg.Error), _socket_of(limit.connection) as end:
                        end.shutdown(socket.SHUT_RDWR)
                self._wakes_at = min((limit.deadline for limit in self._running), default=float("inf"))
                self._changed.wait(None if self._wakes_at == float("inf") else max(self._wakes_at - now, 0))


_WATCHDOG: Final = _Watchdog()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_WATCHDOG.reset)


def _socket_of(connection: psycopg.Connection[Any]) -> socket.socket:
    return socket.socket(fileno=os.dup(connection.fileno()))
