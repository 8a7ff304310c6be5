"""Measure scoring of Parquet files: ``python -m benchmarks.scoring [--rows N] [--rounds N]``.

The same model scores the same files with `score_parquet` and with bare xgboost and pyarrow, in turns: in one process
with all threads, in one with one thread, and in two with one thread each. Each figure is of a whole program, from its
start to its end. Where others use the machine, the processor's seconds say more than those of the clock.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks.environments import add_options, interpreters
from benchmarks.machine import facts

_WORKER: Final = Path(__file__).parent / "workers" / "scoring.py"
_FILES: Final = 10
# What runs: processes, and threads of each (0: as many as there are processors).
_SHAPES: Final = ((1, 0), (1, 1), (2, 1))
_TARGET: Final = 0.8
Figure = tuple[float, float]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scoring", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=10_000_000, metavar="N", help="rows of 20 numbers, in ten files")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="rounds, of which the medians count")
    add_options(parser)
    options = parser.parse_args()
    python = interpreters(options, "registry")["registry"]
    with tempfile.TemporaryDirectory(prefix="registry-scoring-") as directory:
        print("\n".join(f"{name}: {fact}" for name, fact in facts("–").items()))
        _seconds([str(python), str(_WORKER), "prepare", directory, str(options.rows), str(_FILES)], Path(directory))
        figures: dict[tuple[str, int, int], list[Figure]] = {}
        for number in range(options.rounds):
            for system, processes, threads in _order(number):
                command = [str(python), str(_WORKER), system, directory, str(processes), str(threads)]
                figure = _seconds(command, Path(directory))
                figures.setdefault((system, processes, threads), []).append(figure)
                print(f"{system}, {processes} × {threads or 'all'}: {figure[0]:.1f} s", file=sys.stderr, flush=True)
    print(f"\n{_table(figures, options.rows)}")


def _order(number: int) -> Iterator[tuple[str, int, int]]:
    """Yield what runs in a round; who goes first changes from round to round."""
    systems = ("bare", "registry") if number % 2 == 0 else ("registry", "bare")
    for processes, threads in _SHAPES:
        for system in systems:
            yield system, processes, threads


def _seconds(command: list[str], directory: Path) -> Figure:
    """Return the seconds of the clock and of the processors that a program and its processes took.

    Raises:
        subprocess.CalledProcessError: the program failed.
    """
    environment = {**os.environ, "REGISTRY_TRACKING_URI": f"file:{directory}/store", "PYTHONWARNINGS": "ignore"}
    start = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    took = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return took, usage.ru_utime + usage.ru_stime


def _table(figures: dict[tuple[str, int, int], list[Figure]], rows: int) -> str:
    lines = [
        f"| {rows:,} rows | registry | bare xgboost | speed beside bare | registry, processor | bare, processor | "
        "speed by processor |",
        "|---|---|---|---|---|---|---|",
    ]
    medians = {
        key: tuple(statistics.median(column) for column in zip(*values, strict=True)) for key, values in figures.items()
    }
    for processes, threads in _SHAPES:
        ours, bare = medians["registry", processes, threads], medians["bare", processes, threads]
        name = f"{processes} process{'es' if processes > 1 else ''}, {threads or 'all'} thread{'s' * (threads != 1)}"
        cells = [f"{ours[0]:.1f} s", f"{bare[0]:.1f} s", _ratio(bare[0] / ours[0])]
        cells += [f"{ours[1]:.1f} s", f"{bare[1]:.1f} s", _ratio(bare[1] / ours[1])]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    growth = {system: medians[system, 1, 1][0] / medians[system, 2, 1][0] for system in ("registry", "bare")}
    lines.append(
        f"\nFrom one process to two, with one thread each: {growth['registry']:.2f} × as fast; bare xgboost "
        f"{growth['bare']:.2f} ×."
    )
    return "\n".join(lines)


def _ratio(ratio: float) -> str:
    return f"{ratio:.2f} (≥ {_TARGET}){' ✗' if ratio < _TARGET else ''}"


if __name__ == "__main__":
    main()
