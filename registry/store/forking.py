"""Make forks safe with SQLite: a process forks only while no other thread is inside SQLite.

Otherwise the child would copy locks of SQLite that are held by threads it does not have, and wait for them forever.
The child neither uses nor closes connections of the parent: closing them would touch the parent's files.
"""

import ctypes
import os
import threading
import weakref
from types import TracebackType
from typing import Final

from sqlalchemy import Engine


class ForkGate:
    """A gate around SQLite: a fork waits until other threads have left, and blocks threads that want to enter."""

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
        """Wait until other threads have left, and block new ones; before a fork."""
        self._changed.acquire()
        while self._inside > self._here():
            self._forking = True
            self._changed.wait()

    def open(self) -> None:
        """Admit threads again; after a fork, in the parent."""
        self._forking = False
        self._changed.notify_all()
        self._changed.release()

    def reset(self) -> None:
        """Forget the other threads; after a fork, in the child."""
        self._changed = threading.Condition()
        self._forking = False
        self._inside = self._here()

    def _here(self) -> int:
        return 1 if getattr(self._own, "depth", 0) else 0


GATE: Final = ForkGate()
_engines: "weakref.WeakSet[Engine]" = weakref.WeakSet()


def leave_to_parent(engine: Engine) -> None:
    """Give each forked child of this process new connections; the old ones stay with the parent."""
    _engines.add(engine)


def _after_in_child() -> None:
    GATE.reset()
    for engine in list(_engines):
        # Keep the old pool referenced until the process ends, so that its connections are never closed here.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(engine.pool))
        engine.dispose(close=False)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=GATE.close, after_in_parent=GATE.open, after_in_child=_after_in_child)
