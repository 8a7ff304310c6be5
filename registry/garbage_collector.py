"""Python's garbage collector, which is paused while many modules are imported.

Imports make many objects and free nearly none of them, yet the collector looks at all of them again and again: that
was a sixth of the time to a process's first call. Guarantees: it runs again after the last of several threads that
paused it, and in a child that is forked meanwhile.
"""

import gc
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_pauses = 0
_was_enabled = False


@contextmanager
def paused_collector() -> Iterator[None]:
    """Pause the garbage collector for a block, if it is enabled."""
    global _pauses, _was_enabled
    with _lock:
        if not _pauses:
            _was_enabled = gc.isenabled()
            gc.disable()
        _pauses += 1
    try:
        yield
    finally:
        with _lock:
            if _pauses:  # none are left in a child that was forked in this block
                _pauses -= 1
                _resume()


def _resume() -> None:
    if not _pauses and _was_enabled:
        gc.enable()


def _resume_in_child() -> None:
    """Forget the pauses of threads that the child does not have."""
    global _lock, _pauses
    _lock = threading.Lock()
    if _pauses:
        _pauses = 0
        _resume()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_resume_in_child)
