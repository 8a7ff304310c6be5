"""How far a long command is, on stderr."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from registry.cli import invocation, output

_INTERVAL_SECONDS: Final = {True: 0.2, False: 5.0}
"""Seconds between two signs of progress, on a terminal and elsewhere."""


@contextmanager
def shown_progress() -> Iterator[Callable[[str, int, int], None]]:
    """Show how far an import or export is: a line that changes on a terminal, else a line now and then."""
    last = time.monotonic()
    is_terminal = sys.stderr is not None and sys.stderr.isatty() and not invocation.current().quiet

    def show(kind: str, done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last < _INTERVAL_SECONDS[is_terminal]:
            return
        last = time.monotonic()
        text = f"{kind}: {done} of {total}" if total else f"{kind}: {done}"
        if is_terminal:
            sys.stderr.write(f"\r{text}\x1b[K")
            sys.stderr.flush()
        else:
            output.note(text)

    try:
        yield show
    finally:
        if is_terminal:
            sys.stderr.write("\r\x1b[K")
