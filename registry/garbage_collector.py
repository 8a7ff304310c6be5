"""Python's garbage collector, which is paused while many modules are imported.

Imports make many objects and free nearly none of them, yet the collector looks at all of them again and again: that
was a sixth of the time to a process's first call.
"""

import gc
from types import TracebackType


class PausedCollector:
    """Pause the garbage collector for a block, if it is enabled."""

    def __enter__(self) -> None:
        self._was_enabled = gc.isenabled()
        gc.disable()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._was_enabled:
            gc.enable()
