"""Run all benchmarks, from the environments to the table: ``python -m benchmarks [--quick] [--json FILE]``.

``--works`` and ``--databases`` choose a part.
"""

import argparse
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from benchmarks.environments import add_options, interpreters
from benchmarks.fresh import fresh_processes
from benchmarks.machine import facts
from benchmarks.postgres import ask, postgres_server
from benchmarks.report import Figure, table, write_json
from benchmarks.session import CROWD, FULL, QUICK, WHOLE, Session, Volumes, sqlite_urls
from benchmarks.work import POSTGRES, SQLITE, WAL, WORKS

_PROCESSES: Final = "processes"


def main() -> None:
    """Measure and print."""
    options = _options()
    volumes = QUICK if options.quick else FULL
    pythons = interpreters(options)
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="registry-benchmark-")))
        address = stack.enter_context(postgres_server(pythons["registry"]))
        s3 = stack.enter_context(_s3_server(pythons["registry"]))
        known = facts(_version(pythons["registry"], address))
        figures: list[Figure] = []
        for figure in _measured(options, volumes, pythons, directory, address, s3):
            figures.append(figure)
            print(table([figure]).splitlines()[-1], file=sys.stderr, flush=True)
    print("\n".join(f"{name}: {fact}" for name, fact in known.items()), end="\n\n")
    print(table(figures))
    if options.json:
        write_json(options.json, known, figures)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="smaller volumes; some minutes once the environments are made"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write facts and figures there too")
    add_options(parser)
    works, databases = [_PROCESSES, *(work.name for work in WORKS), WHOLE, CROWD], [SQLITE, WAL, POSTGRES]
    parser.add_argument("--works", nargs="+", choices=works, default=works, metavar="WORK", help=", ".join(works))
    parser.add_argument("--databases", nargs="+", choices=databases, default=databases, metavar="DATABASE")
    return parser.parse_args()


def _measured(
    options: argparse.Namespace,
    volumes: Volumes,
    pythons: Mapping[str, Path],
    directory: Path,
    address: str,
    s3: Mapping[str, str],
) -> Iterator[Figure]:
    if _PROCESSES in options.works:
        yield from fresh_processes(pythons, directory / "fresh", volumes.rounds)
    for database in options.databases:
        place = directory / database.replace(", ", "-")
        place.mkdir()
        if database == POSTGRES:
            urls = {system: _created(pythons["registry"], address, f"bench_{system}") for system in pythons}
            urls["mlflow"] = urls["mlflow"].replace("postgresql:", "postgresql+psycopg2:")
        else:
            urls = sqlite_urls(place, database)
        yield from Session(database, urls, pythons, place, s3, volumes, frozenset(options.works)).figures()


def _created(python: Path, address: str, name: str) -> str:
    ask(python, address, f"CREATE DATABASE {name}")
    return address + name


def _version(python: Path, address: str) -> str:
    return ask(python, address, "SHOW server_version")


@contextlib.contextmanager
def _s3_server(python: Path) -> Iterator[dict[str, str]]:
    """Run moto's S3 on loopback; yield the variables that clients need to reach it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    credentials = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_DEFAULT_REGION": "us-east-1"}
    command = [python, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(
        command, env={**os.environ, **credentials}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _await(port)
        yield {**credentials, "MLFLOW_S3_ENDPOINT_URL": f"http://127.0.0.1:{port}"}
    finally:
        server.terminate()
        server.wait(30)


def _await(port: int, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


if __name__ == "__main__":
    main()
