"""Run all compared works on one database: workers take turns, one work after the other."""

import contextlib
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.fresh import crowd
from benchmarks.measuring import Worker, alternate
from benchmarks.report import Figure
from benchmarks.work import SQLITE, WAL, WORKS, Work

# Works beside `WORKS`: those that run all systems at once or need a database of their own size.
WHOLE = "whole"
CROWD = "crowd"
_MANY = 100_000
_BULK = Path(__file__).parent / "workers" / "bulk.py"


@dataclass(frozen=True, slots=True)
class Volumes:
    """How much data there is to search, and how often a work is measured."""

    quick: bool
    searched: tuple[int, ...]
    versions: int
    rounds: int
    runs_each: int
    whole: int | None = None  # size of an experiment that is read into one DataFrame


QUICK = Volumes(True, (10_000,), 100, 2, 5)
FULL = Volumes(False, (10_000, _MANY), 1_000, 3, 50, 20_000)


@dataclass(frozen=True, slots=True)
class Session:
    """A kind of database, with a URL per system; `s3` are the variables of an S3 store."""

    database: str
    urls: Mapping[str, str]
    pythons: Mapping[str, Path]
    directory: Path
    s3: Mapping[str, str]
    volumes: Volumes
    works: frozenset[str]

    def figures(self) -> Iterator[Figure]:
        """Yield the rows of this database as they are measured."""
        with contextlib.ExitStack() as stack:
            workers: dict[str, Worker] = {}
            for system in ("registry", "mlflow", "raw"):  # raw uses the schema that registry has made
                workers[system] = stack.enter_context(self._worker(system))
                workers[system].ask("run" if system == "raw" else "ready", *([1] if system == "raw" else []))
            if self.database == WAL:
                _to_wal(self.urls["mlflow"])
            workers["registry"].ask("warm")
            for work in WORKS:
                if self.database in work.databases and work.name in self.works:
                    yield from self._measured(work, workers)
        if WHOLE in self.works:
            yield from self._whole()
        if CROWD in self.works:
            yield self._crowd()

    def _worker(self, system: str) -> Worker:
        python = self.pythons["registry" if system == "raw" else system]
        return Worker(python, system, self.urls["registry" if system == "raw" else system], self.directory, self.s3)

    def _measured(self, work: Work, workers: Mapping[str, Worker]) -> Iterator[Figure]:
        systems = [system for system in workers if work.raw or system != "raw"]
        for title, arguments in self._variants(work, workers):
            print(f"{self.database}: {title} …", file=sys.stderr, flush=True)
            count = work.quick if self.volumes.quick else work.count

            def call(system: str, arguments: Mapping[str, list[Any]] = arguments, count: int = count) -> float:
                other = work.against if system == "mlflow" and work.against else work.name
                times = max(count // 50, 20) if other != work.name else count
                return float(workers[system].ask(other, times, *arguments[system]))

            # One search over that many runs takes mlflow half a minute on SQLite.
            compared = [s for s in systems if s != "mlflow" or arguments[s] != [str(_MANY)]]
            found = alternate({system: (lambda s=system: call(s)) for system in compared}, self.volumes.rounds)
            promised = work.faster.get(self.database) if "mlflow" in found else None
            yield Figure(
                title, self.database, found["registry"], found.get("mlflow"), found.get("raw"), promised, work.slower
            )

    def _variants(self, work: Work, workers: Mapping[str, Worker]) -> Iterator[tuple[str, dict[str, list[Any]]]]:
        none: dict[str, list[Any]] = {system: [] for system in workers}
        if work.name == "search":
            for runs in self.volumes.searched:
                self._fill(runs)
                yield f"{work.title} of {runs:,} runs", {system: [str(runs)] for system in workers}
        elif work.name == "frame":
            yield work.title, {system: [str(self.volumes.searched[0])] for system in workers}
        elif work.name == "resolve":
            names = {s: [workers[s].ask("versions", self.volumes.versions)] for s in ("registry", "mlflow")}
            yield f"{work.title}, {self.volumes.versions:,} versions", {**names, "raw": names["registry"]}
        else:
            yield work.title, none

    def _whole(self) -> Iterator[Figure]:
        """Measure in processes that do nothing else, so that their memory shows the cost of this work."""
        runs = self.volumes.whole
        if runs is None or self.database == WAL:
            return
        self._fill(runs)
        title = f"all of {runs:,} runs (20 metrics, 20 params, 8 tags) into a DataFrame"
        print(f"{self.database}: {title} …", file=sys.stderr, flush=True)
        seconds, memory = dict[str, float](), dict[str, int]()
        for system in ("registry", "mlflow", "raw"):
            with self._worker(system) as worker:
                seconds[system] = float(worker.ask("frame", 1, str(runs), runs))
                memory[system] = int(worker.ask("peak_memory"))
        yield Figure(title, self.database, seconds["registry"], seconds["mlflow"], seconds["raw"], 15, 3)
        title = "peak memory of a process that does only that"
        yield Figure(title, self.database, memory["registry"], memory["mlflow"], memory["raw"], 4, unit="bytes")

    def _crowd(self) -> Figure:
        runs = self.volumes.runs_each
        title = f"8 processes × {runs} runs at once"
        print(f"{self.database}: {title} …", file=sys.stderr, flush=True)
        found = {s: crowd(self.pythons[s], s, self.urls[s], self.directory, runs) for s in ("registry", "mlflow")}
        return Figure(title, self.database, found["registry"], found["mlflow"], faster_at_least=4)

    def _fill(self, runs: int) -> None:
        for system in ("registry", "mlflow"):
            command = [self.pythons["registry"], _BULK, self.urls[system], system, str(10 * runs), str(runs)]
            subprocess.run(command, check=True)


def _to_wal(url: str) -> None:
    with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        connection.execute("PRAGMA journal_mode=wal")


def sqlite_urls(directory: Path, database: str) -> dict[str, str]:
    """Return the URL of one file per system."""
    mode = "wal" if database == WAL else "delete"
    return {
        "registry": f"sqlite:///{directory / 'registry.db'}?journal_mode={mode}",
        "mlflow": f"sqlite:///{directory / 'mlflow.db'}",
    }


__all__ = ["CROWD", "FULL", "QUICK", "SQLITE", "WHOLE", "Session", "Volumes", "sqlite_urls"]
