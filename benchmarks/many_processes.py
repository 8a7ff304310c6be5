"""Log from many processes to a server with few connections: ``python -m benchmarks.many_processes [--processes 150]``.

Each process is a training that logs one point per half second. First one runs alone, then all at once. Reported are the
time of the clock, the processor's time of a process to its first point, and the points that the database has.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.environments import add_options, interpreters
from benchmarks.machine import facts
from benchmarks.postgres import ask, postgres_server

_WORKER: Final = Path(__file__).parent / "workers" / "logging_process.py"
_TARGET: Final = 2.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What processes that ran at once took, in seconds: the clock, and the processor to a first point and in all."""

    clock: float
    first: float
    processor: float
    failed: int


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.many_processes", description=__doc__)
    parser.add_argument("--processes", type=int, default=150, metavar="N")
    parser.add_argument("--connections", type=int, default=20, metavar="N", help="max_connections of the server")
    parser.add_argument("--seconds", type=float, default=20, metavar="S", help="how long each process logs")
    parser.add_argument("--pause", type=float, default=0.5, metavar="S", help="between two points of a process")
    add_options(parser)
    options = parser.parse_args()
    python = interpreters(options, "registry")["registry"]
    points = round(options.seconds / options.pause)
    with postgres_server(python, connections=options.connections) as address:
        print("\n".join(f"{name}: {fact}" for name, fact in facts(ask(python, address, "SHOW server_version")).items()))
        ask(python, address, "CREATE DATABASE many")
        url = f"{address}many"
        subprocess.run([python, "-m", "registry", "db", "upgrade", "--tracking-uri", url], check=True)
        _run(python, url, 1, 1, 0.0)  # the bytecode is written once
        alone = _run(python, url, 1, points, options.pause)
        together = _run(python, url, options.processes, points, options.pause)
        stored = int(ask(python, url, "SELECT count(*) FROM metrics"))
    expected = 1 + points + options.processes * points
    print(f"\n{_table(options.processes, alone, together)}")
    print(f"\n{stored:,} of {expected:,} points stored; {together.failed} of {options.processes} processes failed.")
    sys.exit(0 if stored == expected and not together.failed else 1)


def _run(python: Path, url: str, processes: int, points: int, pause: float) -> Outcome:
    """Start processes at once, wait for all of them, and return what they took."""
    command = [str(python), str(_WORKER), url, str(points), str(pause)]
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # else each process compiles what it imports
    begin = time.perf_counter()
    started = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for _ in range(processes)
    ]
    outputs = [process.communicate()[0] for process in started]
    clock = time.perf_counter() - begin
    answers = [json.loads(output) for process, output in zip(started, outputs, strict=True) if process.returncode == 0]
    first, processor = (statistics.median([a[name] for a in answers] or [float("nan")]) for name in ("first", "all"))
    return Outcome(clock, first, processor, processes - len(answers))


def _table(processes: int, alone: Outcome, together: Outcome) -> str:
    ratio = together.clock / alone.clock
    mark = f"{ratio:.2f} (≤ {_TARGET:g}){' ✗' if ratio > _TARGET else ''}"
    return "\n".join(
        [
            f"| | 1 process | {processes} processes | ratio |",
            "|---|---|---|---|",
            f"| from the first start to the last end | {alone.clock:.1f} s | {together.clock:.1f} s | {mark} |",
            f"| processor, to the first point (median) | {alone.first:.2f} s | {together.first:.2f} s | |",
            f"| processor, in all (median) | {alone.processor:.2f} s | {together.processor:.2f} s | |",
        ]
    )


if __name__ == "__main__":
    main()
