"""Forks and SQLite: a process is forked only while no other thread is inside SQLite.

SQLite's own locks would be copied as they are, held by threads that the child does not have, and everything in the
child would wait for them. Connections of the parent are never used in the child, nor closed: closing them would touch
the parent's files.
"""

import ctypes
import os
import threading
import weakref
from types import TracebackType
from typing import Final

from sqlalchemy import Engine


class ForkGate:
    """Lets threads in and out of SQLite; a fork waits until the others are out, and meanwhile nobody enters."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0
        self._forking = False
        self._own = threading.local()

    def __enter__(self) -> None:
        depth = getattr(self._own, "depth", 0)
        if depth == 0:
            with self._changed:
                while self._forking:
                    self._changed.wait()
                self._inside += 1
        self._own.depth = depth + 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._own.depth -= 1
        if self._own.depth == 0:
            with self._changed:
                self._inside -= 1
                if self._forking:
                    self._changed.notify_all()

    def close(self) -> None:
        """Wait until the other threads are out and let nobody in; before a fork."""
        self._changed.acquire()
        while self._inside > self._here():
            self._forking = True
            self._changed.wait()

    def open(self) -> None:
        """Let threads in again; after a fork, in the parent."""
        self._forking = False
        self._changed.notify_all()
        self._changed.release()

    def renew(self) -> None:
        """Forget the other threads; after a fork, in the child."""
        self._changed = threading.Condition()
        self._forking = False
        self._inside = self._here()

    def _here(self) -> int:
        return 1 if getattr(self._own, "depth", 0) else 0


GATE: Final = ForkGate()
_engines: "weakref.WeakSet[Engine]" = weakref.WeakSet()


def leave_to_parent(engine: Engine) -> None:
    """Let the children of this process open connections of their own."""
    _engines.add(engine)


def _after_in_child() -> None:
    GATE.renew()
    for engine in list(_engines):
        # The old pool stays referenced to the end of the process: its connections are never closed here.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(engine.pool))
        engine.dispose(close=False)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=GATE.close, after_in_parent=GATE.open, after_in_child=_after_in_child)
