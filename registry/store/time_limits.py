"""Time limits of PostgreSQL: a server that accepts a connection and says nothing is not waited for without end.

The limit of a statement is kept on this side: a server that is stopped, or a network that swallows packets, would not
keep its own. When it passes, the connection is broken, as if the server had gone.
"""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import psycopg


@dataclass(eq=False, slots=True)
class _Wait:
    connection: psycopg.Connection[Any]
    until: float
    over: bool = False


class _Watch:
    """A thread that breaks the connections whose time is up; made on first use."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Begin anew; after a fork, in the child."""
        self._waits: set[_Wait] = set()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._wakes = float("inf")

    def add(self, wait: _Wait) -> None:
        with self._changed:
            self._waits.add(wait)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="registry-time-limits", daemon=True)
                self._thread.start()
            if wait.until < self._wakes:
                self._changed.notify()

    def remove(self, wait: _Wait) -> None:
        with self._changed:
            self._waits.discard(wait)

    def _run(self) -> None:
        with self._changed:
            while True:
                now = time.monotonic()
                for wait in [wait for wait in self._waits if wait.until <= now]:
                    self._waits.discard(wait)
                    wait.over = True
                    with contextlib.suppress(OSError, psycopg.Error), _socket_of(wait.connection) as end:
                        end.shutdown(socket.SHUT_RDWR)
                self._wakes = min((wait.until for wait in self._waits), default=float("inf"))
                self._changed.wait(None if self._wakes == float("inf") else max(self._wakes - now, 0))


_WATCH: Final = _Watch()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_WATCH.renew)


def _socket_of(connection: psycopg.Connection[Any]) -> socket.socket:
    return socket.socket(fileno=os.dup(connection.fileno()))


class LimitedCursor(psycopg.Cursor[Any]):
    """A cursor whose statements have the time limit of their connection."""

    def execute(self, query: Any, params: Any = None, **options: Any) -> "LimitedCursor":
        """Run a statement."""
        with _limited(self.connection):
            return super().execute(query, params, **options)

    def executemany(self, query: Any, params_seq: Any, **options: Any) -> None:
        """Run a statement for each row of parameters."""
        with _limited(self.connection):
            super().executemany(query, params_seq, **options)


class LimitedConnection(psycopg.Connection[Any]):
    """A connection whose statements, COMMIT included, may take `limit_seconds`; None is for ever."""

    limit_seconds: float | None = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.cursor_factory = LimitedCursor

    def commit(self) -> None:
        """End the transaction, durably."""
        with _limited(self):
            super().commit()

    def rollback(self) -> None:
        """End the transaction, undone."""
        with _limited(self):
            super().rollback()


@contextlib.contextmanager
def _limited(connection: psycopg.Connection[Any]) -> Iterator[None]:
    limit = getattr(connection, "limit_seconds", None)
    if limit is None:
        yield
        return
    wait = _Wait(connection, time.monotonic() + limit)
    _WATCH.add(wait)
    try:
        yield
    except psycopg.Error as error:
        if wait.over:
            raise psycopg.OperationalError(f"the server did not answer within {limit:g} seconds") from error
        raise
    finally:
        _WATCH.remove(wait)
