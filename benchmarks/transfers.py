"""Measure transfers to S3 beside plain boto3 and mlflow, and model loading: ``python -m benchmarks.transfers``.

Separate processes move the files, in turns. Guarantees: all systems move the same bytes to the same server in the same
run, and a figure is the median over rounds.
"""

import argparse
import contextlib
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.environments import add_options, interpreters
from benchmarks.machine import facts
from benchmarks.object_store import object_store
from benchmarks.report import Figure, table, write_json

Answer = dict[str, float]

_WORKER: Final = Path(__file__).parent / "workers" / "moving.py"
_MEBI: Final = 1024 * 1024
_NEARLY_BOTO3: Final = 1 / 0.9
_TIMES_MLFLOW: Final = 3


@dataclass(frozen=True, slots=True)
class Cargo:
    """The files to move: `count` files of `size` bytes each; `sparse` files are holes that take no disk space."""

    title: str
    count: int
    size: int
    slower_at_most: float | None = None
    faster_at_least: float | None = None
    sparse: bool = False

    def plant(self, directory: Path) -> Path:
        """Write the file, or the directory of files, with bytes that do not repeat, and return its path."""
        place = directory / f"{self.count}-of-{self.size}"
        place.mkdir(parents=True)
        for number in range(self.count):
            with (place / f"file-{number:04}.bin").open("wb") as file:
                if self.sparse:
                    file.truncate(self.size)
                    continue
                for _ in range(0, self.size, _MEBI):
                    file.write(os.urandom(min(_MEBI, self.size)))
        return place / "file-0000.bin" if self.count == 1 else place


@dataclass(frozen=True, slots=True)
class Movers:
    """The systems and the command that starts each."""

    pythons: Mapping[str, Path]
    server: Mapping[str, str]

    def ask(self, system: str, work: str, path: Path) -> Answer:
        """Start a new process of a system for a work and return its result.

        Raises:
            RuntimeError: it failed; the message has the end of its output.
        """
        python = self.pythons.get(system, self.pythons["registry"])
        environment = {**os.environ, **self.server, "PYTHONWARNINGS": "ignore", "GIT_PYTHON_REFRESH": "quiet"}
        done = subprocess.run(
            [python, _WORKER, system, work, path], capture_output=True, text=True, env=environment, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{system} failed to {work}:\n{done.stderr[-2_000:]}")
        answer: Answer = json.loads(done.stdout.splitlines()[-1])
        return answer

    def rounds(self, systems: list[str], work: str, path: Path, count: int) -> dict[str, Answer]:
        """Return the median of each system's results, measured in turns."""
        found: dict[str, list[Answer]] = {system: [] for system in systems}
        for _, system in itertools.product(range(count), systems):
            found[system].append(self.ask(system, work, path))
        return {
            system: {key: statistics.median(answer[key] for answer in answers) for key in answers[0]}
            for system, answers in found.items()
        }


def main() -> None:
    """Measure and print."""
    options = _options()
    pythons = interpreters(options)
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="registry-transfers-")))
        server = stack.enter_context(object_store(pythons["registry"], directory))
        movers = Movers(pythons, server)
        known = facts("none")
        figures, notes = [], []
        for figure, note in _measured(movers, directory, options):
            figures.append(figure)
            notes.append(note)
            print(table([figure]).splitlines()[-1], f"({note})", file=sys.stderr, flush=True)
    print("\n".join(f"{name}: {fact}" for name, fact in known.items()), end="\n\n")
    print(table(figures), end="\n\n")
    print("\n".join(f"- {figure.title}: {note}" for figure, note in zip(figures, notes, strict=True)))
    if options.json:
        write_json(options.json, known, figures)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.transfers", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a fifth of the volumes, one round")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="rounds that the medians are of")
    parser.add_argument("--sparse-gib", type=int, default=5, metavar="N", help="size of the sparse file; 0 leaves it")
    parser.add_argument("--only", default="", metavar="TEXT", help="only works with this in their title")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write facts and figures there too")
    add_options(parser)
    return parser.parse_args()


def _measured(movers: Movers, directory: Path, options: argparse.Namespace) -> Iterator[tuple[Figure, str]]:
    part, rounds = (5, 1) if options.quick else (1, options.rounds)
    large = Cargo("1 file of 1 GiB", 1, 1024 * _MEBI // part, slower_at_most=_NEARLY_BOTO3)
    many = Cargo("1,000 files of 100 KiB", 1000 // part, 100 * 1024, faster_at_least=_TIMES_MLFLOW)
    for cargo in (large, many):
        if not any(options.only in f"{cargo.title} {work}" for work in ("upload", "download", "sealed")):
            continue
        place = cargo.plant(directory / "cargo")
        for work in ("upload", "download"):
            if options.only in f"{cargo.title} {work}":
                found = movers.rounds(["registry", "sealed", "boto3", "mlflow"], work, place, rounds)
                yield from _rows(cargo, work, found)
    if options.only in "load":
        yield from _loads(movers, directory, rounds)
    if options.sparse_gib and options.only in "sparse":
        cargo = Cargo(f"1 sparse file of {options.sparse_gib} GiB", 1, options.sparse_gib * 1024 * _MEBI, sparse=True)
        place = cargo.plant(directory / "cargo")
        for work in ("upload", "download"):
            yield from _rows(cargo, work, {"sealed": movers.ask("sealed", work, place)})


def _rows(cargo: Cargo, work: str, found: Mapping[str, Answer]) -> Iterator[tuple[Figure, str]]:
    volume = cargo.count * cargo.size / _MEBI
    note = "; ".join(
        f"{system} {volume / answer['seconds']:.0f} MiB/s, memory +{answer['mebibytes']:.0f} MiB"
        for system, answer in found.items()
    )
    for system in ("registry", "sealed"):
        if system in found:
            yield (
                Figure(
                    f"{work}, {cargo.title}{', sealed' if system == 'sealed' else ''}",
                    "S3",
                    found[system]["seconds"],
                    found["mlflow"]["seconds"] if "mlflow" in found else None,
                    found["boto3"]["seconds"] if "boto3" in found else None,
                    cargo.faster_at_least if work == "upload" else None,
                    cargo.slower_at_most,
                ),
                note,
            )


def _loads(movers: Movers, directory: Path, rounds: int) -> Iterator[tuple[Figure, str]]:
    place = directory / "loads" / "none"
    place.parent.mkdir()
    found = movers.rounds(["registry", "mlflow"], "load", place, rounds)
    for which in ("first", "second"):
        times = {system: answer[f"{which}_seconds"] for system, answer in found.items()}
        note = "; ".join(f"{system} {answer[f'{which}_requests']:.0f} requests" for system, answer in found.items())
        yield Figure(f"{which} load_model", "S3", times["registry"], times["mlflow"]), note


if __name__ == "__main__":
    main()
