"""Measured processes: workers that serve one request at a time, and programs that are timed from start to end.

The compared systems take turns, so that load on the machine affects all alike. Guarantees: a figure is the median over
rounds, and each system has the same number of rounds.
"""

import json
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

LOOP = Path(__file__).parent / "workers" / "loop.py"


class Worker:
    """A process of one system with one database; it does a work on request and returns how long it took."""

    def __init__(self, python: Path, system: str, url: str, directory: Path, variables: Mapping[str, str]) -> None:
        self.system = system
        directory.mkdir(parents=True, exist_ok=True)
        self._process = subprocess.Popen(
            [python, LOOP, system, url],
            cwd=directory,
            env={**os.environ, **variables, "PYTHONWARNINGS": "ignore", "GIT_PYTHON_REFRESH": "quiet"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(directory / f"{system}.log").open("w"),
            text=True,
        )
        self._log = directory / f"{system}.log"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)

    def ask(self, work: str, *arguments: Any) -> Any:
        """Do a work and return its result: seconds per operation, if it is measured.

        Raises:
            RuntimeError: the work failed; the message has the end of its log.
        """
        self.start(work, *arguments)
        return self.answer()

    def start(self, work: str, *arguments: Any) -> None:
        """Start a work without waiting for its result."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([work, *arguments]) + "\n")
        self._process.stdin.flush()

    def answer(self) -> Any:
        """Return the result of the started work."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.system} failed:\n{self._log.read_text()[-2_000:]}")
        return json.loads(line)


def alternate(calls: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Return the median of each call, made in turns; the first round warms up and does not count."""
    figures: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds + 1):
        for name, call in calls.items():
            figure = call()
            if number:
                figures[name].append(figure)
    return {name: statistics.median(values) for name, values in figures.items()}


def wall(command: Sequence[str | Path], directory: Path, variables: Mapping[str, str]) -> float:
    """Return the seconds from the start of a program to its end.

    Raises:
        subprocess.CalledProcessError: the program failed.
    """
    directory.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, **variables, "PYTHONWARNINGS": "ignore", "GIT_PYTHON_REFRESH": "quiet"}
    start = time.perf_counter()
    subprocess.run(
        command, cwd=directory, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    return time.perf_counter() - start
