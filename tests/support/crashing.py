"""Run operations in processes that are killed: at a chosen step, or from outside after some time."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

_PROGRAM = Path(__file__).with_name("crash_child.py")
KILLED = -signal.SIGKILL


class Crasher:
    """Starts operations in processes and kills them."""

    def __init__(self) -> None:
        self.kills = 0
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "REGISTRY_"))}
        self._errors = Path("crash-errors.txt").absolute()
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, str(_PROGRAM)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=environment,
            )

    def run(self, operation: str, url: str, *, fatal: int = 0, after: float | None = None, **given: Any) -> bool:
        """Run an operation in a child; return whether it finished.

        It is killed at its step number `fatal`, or from outside after `after` seconds. An operation that fails in any
        other way is an error of the test.
        """
        request = {
            "operation": operation,
            "url": url,
            "fatal": fatal,
            "given": given,
            "directory": str(Path.cwd()),
            "environment": {name: os.environ[name] for name in os.environ if name.startswith(("AWS_", "REGISTRY_"))},
        }
        assert self._process.stdin
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        pid = self._answer()
        if after is not None:
            time.sleep(after)
            with suppress(ProcessLookupError):  # it has finished
                os.kill(pid, signal.SIGKILL)
        code = self._answer()
        if code == KILLED:
            self.kills += 1
            return False
        assert code == 0, self._errors.read_text()[-2000:]
        return True

    def kill_at_steps(self, operation: str, url: str, *, stride: int, **given: Any) -> Iterator[bool]:
        """Run an operation until it finishes, each time killed `stride` steps later; yield each time if it finished."""
        for fatal in itertools.count(stride, stride):
            done = self.run(operation, url, fatal=fatal, **given)
            yield done
            if done:
                return

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin
        self._process.stdin.close()
        assert self._process.stdout
        self._process.stdout.close()
        self._process.wait()

    def _answer(self) -> int:
        assert self._process.stdout
        line = self._process.stdout.readline()
        assert line, self._errors.read_text()[-2000:]
        return int(line)


@pytest.fixture
def crasher() -> Iterator[Crasher]:
    """Start a process that forks children which die."""
    started = Crasher()
    yield started
    started.close()
