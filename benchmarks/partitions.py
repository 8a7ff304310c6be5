"""Try the points of metrics in partitions: ``python -m benchmarks.partitions [--points N]``, on PostgreSQL alone.

Fills a table like ``metrics`` and one that is partitioned by range of ``series_id`` with the same points, and does the
same few things with both. Series are numbered as runs create them, so a range of them is a range of runs. Nothing of
this is in the schema: docs/operations/scale.md has the figures.
"""

import argparse
import subprocess
from pathlib import Path
from typing import Final

from benchmarks.environments import add_options, interpreters
from benchmarks.machine import facts
from benchmarks.postgres import ask, postgres_server

_WORKER: Final = Path(__file__).parent / "workers" / "partitions.py"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.partitions", description=__doc__)
    parser.add_argument("--points", type=int, default=10_000_000, metavar="N", help="points of each table")
    add_options(parser)
    options = parser.parse_args()
    python = interpreters(options, "registry")["registry"]
    with postgres_server(python) as address:
        print("\n".join(f"{name}: {fact}" for name, fact in facts(ask(python, address, "SHOW server_version")).items()))
        print(flush=True)
        subprocess.run([python, _WORKER, f"{address}postgres", str(options.points)], check=True)


if __name__ == "__main__":
    main()
