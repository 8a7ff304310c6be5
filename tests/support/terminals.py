"""A program behind a pseudo-terminal, as a person at a keyboard meets it."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

_PATIENCE_SECONDS = 90
_ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|\x1b\][^\x07]*\x07|\x07|\x08")


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    # A test run in the background of a script inherits that Ctrl-C is ignored.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Terminal:
    """Start a program whose stdin, stdout and stderr are a terminal of so many columns."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], columns: int = 200) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        self.process = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**environment, "TERM": environment.get("TERM", "xterm")},
            start_new_session=True,
            preexec_fn=_take_terminal,
        )
        os.close(slave)
        self._seen = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self._master)

    def send(self, keys: str) -> None:
        """Type keys."""
        os.write(self._master, keys.encode())

    def expect(self, text: str) -> str:
        """Return what was printed up to a text, and forget it."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while (at := self._plain().find(text)) < 0:
            if not self._read(deadline):
                raise AssertionError(f"{text!r} did not come, but: {self._plain()[-2000:]!r}")
        before = self._plain()[:at]
        self._seen = self._plain()[at + len(text) :].encode()
        return before

    def rest(self) -> str:
        """Return all that is printed until the program ends."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while self._read(deadline):
            pass
        return self._plain()

    def exit_code(self) -> int:
        """Wait for the program's end, and return its exit code."""
        self.rest()
        return self.process.wait(_PATIENCE_SECONDS)

    def _plain(self) -> str:
        return _ESCAPES.sub(b"", self._seen).decode(errors="replace").replace("\r\n", "\n")

    def _read(self, deadline: float) -> bool:
        ready, _, _ = select.select([self._master], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return False
        try:
            read = os.read(self._master, 65536)
        except OSError:  # Linux says EIO when the program has ended
            return False
        self._seen += read
        return bool(read)
