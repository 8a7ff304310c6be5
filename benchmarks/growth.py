"""Measure how costs grow with the stored data: ``python -m benchmarks.growth [--quick] [--json FILE]``.

Fills one database of each kind step by step to 1,000,000 runs (13 rows each) and a series of 10,000,000 points, and
measures the same few works between the steps; ``--databases``, ``--runs`` and ``--points`` choose others. A call should
not pay for data it does not ask for: a row of the table is flat, or grows with the logarithm, or with the size of its
result. On PostgreSQL it also says how many bytes each table takes. Versions and events have their own table, by
``python -m benchmarks.governance --only growth``.
"""

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks.environments import add_options, interpreters
from benchmarks.machine import facts
from benchmarks.measuring import Worker
from benchmarks.postgres import ask, postgres_server
from benchmarks.report import shown_seconds

_BULK: Final = Path(__file__).parent / "workers" / "bulk.py"
RUNS: Final = (1_000, 10_000, 100_000, 1_000_000)
POINTS: Final = (1_000, 100_000, 10_000_000)
ROUNDS: Final = 3

# Each work and its number of repetitions; `{}` is the experiment with all runs of this step.
_WORKS: Final = (
    ("run", "run with 10 params and 10 metrics", 30, ()),
    ("log_metric", "log_metric, one at a time", 100, ()),
    ("log_batch", "log_batch, 1,000 points", 5, ()),
    ("search", "search_runs, filter and order, top 5", 10, ("{}",)),
    ("frame", "search_runs, 1,000 runs into a DataFrame", 2, ("{}",)),
    ("get_run", "get_run", 50, ()),
    ("create_version", "create_model_version", 30, ()),
    ("resolve", "models:/name/Production to a version", 50, ("{name}",)),
)
_SERIES: Final = (
    ("append_point", "log_metric to the series", 50),
    ("sample", "the series as a DataFrame of 1,000 points", 2),
)
_DATABASES: Final = ("sqlite", "postgresql")
# One line per table, with the rows that it has in the end.
_SIZES: Final = """
    SELECT string_agg(format('| %s | %s | %s | %s | %s |', relname, rows, heap, indexes,
                             round((heap + indexes)::numeric / rows, 1)), E'\\n' ORDER BY heap + indexes DESC)
    FROM (SELECT relname, reltuples::bigint AS rows, pg_table_size(oid) AS heap, pg_indexes_size(oid) AS indexes
          FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND reltuples > 1000) AS sized
"""
Column = dict[str, float]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.growth", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="up to 10,000 runs and 100,000 points")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write facts and seconds there too")
    parser.add_argument("--databases", nargs="+", choices=_DATABASES, default=_DATABASES, metavar="DATABASE")
    parser.add_argument("--runs", nargs="+", type=int, metavar="N", help="runs to add at each step")
    parser.add_argument("--points", nargs="+", type=int, metavar="N", help="points of each series")
    add_options(parser)
    options = parser.parse_args()
    python = interpreters(options, "registry")["registry"]
    runs, points = (RUNS[:2], POINTS[:2]) if options.quick else (RUNS, POINTS)
    runs, points = tuple(options.runs or runs), tuple(options.points or points)
    found: dict[str, dict[str, Column]] = {}
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="registry-growth-")))
        address = stack.enter_context(postgres_server(python))
        known = facts(ask(python, address, "SHOW server_version"))
        ask(python, address, "CREATE DATABASE growth")
        urls = {"sqlite": f"sqlite:///{directory / 'growth.db'}", "postgresql": f"{address}growth"}
        for database in options.databases:
            url = urls[database]
            found[database] = {}
            for name, column in _columns(python, url, directory / database, runs, points):
                found[database][name] = column
                shown = ", ".join(f"{work}: {shown_seconds(seconds)}" for work, seconds in column.items())
                print(f"{database}: {name}: {shown}", file=sys.stderr, flush=True)
        sizes = _sizes(python, urls["postgresql"]) if "postgresql" in options.databases else ""
    print("\n".join(f"{name}: {fact}" for name, fact in known.items()))
    for database, columns in found.items():
        print(f"\n{_table(database, columns)}")
    if sizes:
        print(f"\n{sizes}")
    if options.json:
        options.json.write_text(json.dumps({"facts": known, "seconds": found}, indent=2) + "\n", encoding="utf-8")


def _columns(
    python: Path, url: str, place: Path, runs: tuple[int, ...], points: tuple[int, ...]
) -> Iterator[tuple[str, Column]]:
    with Worker(python, "registry", url, place, {}) as worker:
        worker.ask("ready")
        worker.ask("warm")
        name = worker.ask("versions", 20)
        for count in runs:
            subprocess.run([python, _BULK, url, "registry", str(10 * count), str(count)], check=True)
            yield (
                f"{count:,} runs",
                {
                    title: _best(worker, work, times, *(argument.format(count, name=name) for argument in arguments))
                    for work, title, times, arguments in _WORKS
                },
            )
        for count in points:
            key = f"series-{count}"
            per_point = float(worker.ask("load_series", key, count))
            yield (
                f"{count:,} points",
                {
                    "log_metric_history, per point": per_point,
                    **{title: _best(worker, work, times, key) for work, title, times in _SERIES},
                },
            )


def _sizes(python: Path, url: str) -> str:
    """Return a Markdown table of the bytes of each table of PostgreSQL that has more than 1,000 rows."""
    ask(python, url, "VACUUM ANALYZE")
    head = "| table | rows | bytes | bytes of its indexes | bytes per row |\n|---|---|---|---|---|\n"
    return head + ask(python, url, _SIZES)


def _best(worker: Worker, work: str, times: int, *arguments: str) -> float:
    """Return the fastest of some rounds, because growth matters here and not the load of the machine."""
    return min(float(worker.ask(work, times, *arguments)) for _ in range(ROUNDS))


def _table(database: str, columns: dict[str, Column]) -> str:
    """Return Markdown: one table for runs and one for points, which have different works."""
    parts = []
    for unit in ("runs", "points"):
        names = [name for name in columns if name.endswith(unit)]
        lines = [f"| {database} | {' | '.join(names)} |", f"|---|{'---|' * len(names)}"]
        lines += [
            f"| {work} | {' | '.join(shown_seconds(columns[name][work]) for name in names)} |"
            for work in columns[names[0]]
        ]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


if __name__ == "__main__":
    main()
