"""Shows a progress bar on a terminal, and nothing in a log file.

Guarantees: without a terminal on stderr, or for a short transfer, nothing is printed and rich is not imported.
"""

import sys
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

PATIENCE_SECONDS: Final = 2.0
"""A transfer that ends sooner shows nothing."""


def unwatched(size: int) -> None:
    """Ignore progress; for transfers that are too short to show."""


class TransferProgress:
    """Counts the bytes of one transfer from any thread, and shows a bar after PATIENCE_SECONDS."""

    def __init__(self, description: str, total: int) -> None:
        self._description = description
        self._total = total
        self._done = 0
        self._since = time.monotonic()
        self._watched = sys.stderr.isatty()
        self._lock = threading.Lock()
        self._bar: tuple[Progress, TaskID] | None = None

    def advance(self, size: int) -> None:
        """Add bytes that were transferred; negative if they must be transferred again."""
        if not self._watched:
            return
        with self._lock:
            self._done += size
            if self._bar is None and time.monotonic() - self._since > PATIENCE_SECONDS:
                self._bar = self._show()
            if self._bar is not None:
                progress, task = self._bar
                progress.update(task, completed=self._done)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._lock:
            if self._bar is not None:
                self._bar[0].stop()
                self._bar = None
            self._watched = False

    def _show(self) -> "tuple[Progress, TaskID]":
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

        progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        progress.start()
        return progress, progress.add_task(self._description, total=self._total)
