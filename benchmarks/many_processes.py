"""Log from many processes to a server with few connections: ``python -m benchmarks.many_processes [--processes 150]``.

Each process is a training that logs one point per half second. First one runs alone. Then many run at once: forked from
a process that has imported the library, as multiprocessing does; each an interpreter of its own, which imports
everything; and these once more with a connection for each, which shows what it costs to start them. Reported are the
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
class Workload:
    """How many processes log how many points each, with a pause in seconds after each point.

    `are_forked`: they are forked from one process, else each is an interpreter of its own.
    """

    processes: int
    points: int
    pause: float
    are_forked: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the processes took, in seconds: the clock, and the processor to a first point and in all (medians)."""

    clock: float
    first: float
    processor: float
    stored: int
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
    many, points, few = options.processes, round(options.seconds / options.pause), options.connections
    alone = Workload(1, points, options.pause)
    forked, apart = Workload(many, points, options.pause, are_forked=True), Workload(many, points, options.pause)
    with postgres_server(python, connections=few) as address:
        print("\n".join(f"{name}: {fact}" for name, fact in facts(ask(python, address, "SHOW server_version")).items()))
        url = _database(python, address)
        rows = {
            "1 process": (alone, _run(python, url, alone)),
            f"{many} processes, forked": (forked, _run(python, url, forked)),
            f"{many} interpreters": (apart, _run(python, url, apart)),
        }
    with postgres_server(python, connections=many + few) as address:
        rows[f"{many} interpreters, a connection for each"] = apart, _run(python, _database(python, address), apart)
    print(f"\n{_table({name: outcome for name, (_, outcome) in rows.items()})}\n")
    expected = sum(workload.processes * workload.points for workload, _ in rows.values())
    stored, failed = (sum(getattr(outcome, what) for _, outcome in rows.values()) for what in ("stored", "failed"))
    print(f"{stored:,} of {expected:,} points stored; {failed} processes failed.")
    sys.exit(0 if stored == expected and not failed else 1)


def _database(python: Path, address: str) -> str:
    """Make a database; return its URL."""
    ask(python, address, "CREATE DATABASE many")
    url = f"{address}many"
    subprocess.run([python, "-m", "registry", "db", "upgrade", "--tracking-uri", url], check=True)
    _run(python, url, Workload(1, 1, 0.0))  # the bytecode is written once
    return url


def _run(python: Path, url: str, workload: Workload) -> Outcome:
    """Start the processes at once, wait for all of them, and return what they took."""
    command = [str(python), str(_WORKER), url, str(workload.points), str(workload.pause)]
    if workload.are_forked:
        command.append(str(workload.processes))
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # else each process compiles what it imports
    count = "SELECT count(*) FROM metrics"
    before = int(ask(python, url, count))
    begin = time.perf_counter()
    started = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for _ in range(1 if workload.are_forked else workload.processes)
    ]
    lines = [line for process in started for line in process.communicate()[0].splitlines()]
    clock = time.perf_counter() - begin
    answers = [json.loads(line) for line in lines]  # one of each process that has ended well
    first, processor = (statistics.median([a[name] for a in answers] or [float("nan")]) for name in ("first", "all"))
    stored = int(ask(python, url, count)) - before
    return Outcome(clock, first, processor, stored, workload.processes - len(answers))


def _table(outcomes: dict[str, Outcome]) -> str:
    alone = next(iter(outcomes.values())).clock
    lines = [
        "| | from the first start to the last end | beside 1 process | processor, to the first point | in all |",
        "|---|---|---|---|---|",
    ]
    for name, outcome in outcomes.items():
        ratio = outcome.clock / alone
        mark = f"{ratio:.2f} (≤ {_TARGET:g}){' ✗' if ratio > _TARGET else ''}"
        lines.append(f"| {name} | {outcome.clock:.1f} s | {mark} | {outcome.first:.2f} s | {outcome.processor:.2f} s |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
