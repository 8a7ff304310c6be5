"""Measure work with a far database and a far object store: ``python -m benchmarks.distance [--milliseconds 0 1 5 40]``.

A process between the workers and the servers delays what it forwards, half of the distance each way. Guarantees:
`registry` and mlflow take turns at each distance, each with a database of its own on the same server.
"""

import argparse
import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from benchmarks.environments import add_options, interpreters
from benchmarks.machine import facts
from benchmarks.measuring import Worker, alternate
from benchmarks.object_store import object_store
from benchmarks.postgres import ask, postgres_server
from benchmarks.report import Figure, table, write_json

# The works with their titles, and how often each is done per round.
_WORKS: Final = {
    "run": ("run with 10 params, 10 metrics", 5),
    "log_metric": ("log_metric", 10),
    "log_batch": ("log_batch, 1,000 points", 5),
    "get_run": ("get_run", 10),
    "top_five": ("search, top 5", 10),
    "register_model": ("register_model", 5),
    "create_version": ("create_model_version", 5),
    "transition": ("transition", 6),
    "log_to_s3": ("run + xgboost log_model (S3)", 2),
    "load_first": ("pyfunc.load_model, first (S3)", 2),
    "load_from_s3": ("pyfunc.load_model, again (S3)", 3),
}
_PROXY: Final = Path(__file__).parent / "workers" / "delaying.py"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.distance", description=__doc__)
    parser.add_argument("--milliseconds", nargs="+", type=float, default=[0, 1, 5, 40], metavar="MS")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--works", nargs="+", choices=_WORKS, default=list(_WORKS), metavar="WORK")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write facts and figures there too")
    add_options(parser)
    options = parser.parse_args()
    pythons = interpreters(options, "registry", "mlflow")
    figures: list[Figure] = []
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="registry-distance-")))
        address = stack.enter_context(postgres_server(pythons["registry"]))
        store = stack.enter_context(object_store(pythons["registry"], directory))
        known = facts(ask(pythons["registry"], address, "SHOW server_version"))
        for distance in options.milliseconds:
            for figure in _measured(options, pythons, directory / f"{distance:g}", address, store, distance):
                figures.append(figure)
                print(table([figure]).splitlines()[-1], file=sys.stderr, flush=True)
    print("\n".join(f"{name}: {fact}" for name, fact in known.items()), end="\n\n")
    print(table(figures))
    if options.json:
        write_json(options.json, known, figures)


def _measured(
    options: argparse.Namespace,
    pythons: Mapping[str, Path],
    directory: Path,
    address: str,
    store: Mapping[str, str],
    distance: float,
) -> Iterator[Figure]:
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(_far(pythons["registry"], address, distance))
        s3_port = stack.enter_context(_far(pythons["registry"], store["MLFLOW_S3_ENDPOINT_URL"], distance))
        endpoint = f"http://127.0.0.1:{s3_port}"
        variables = {**store, "MLFLOW_S3_ENDPOINT_URL": endpoint, "AWS_ENDPOINT_URL": endpoint}
        workers = {}
        for system, python in pythons.items():
            name = f"far_{system}_{distance:g}".replace(".", "_")
            ask(python if system == "registry" else pythons["registry"], address, f"CREATE DATABASE {name}")
            scheme = "postgresql" if system == "registry" else "postgresql+psycopg2"
            url = f"{scheme}://postgres@127.0.0.1:{port}/{name}"
            workers[system] = stack.enter_context(Worker(python, system, url, directory / system, variables))
            workers[system].ask("ready")
        for work in options.works:
            title, count = _WORKS[work]
            calls = {system: _call(worker, work, count) for system, worker in workers.items()}
            medians = alternate(calls, options.rounds)
            yield Figure(title, f"{distance:g} ms", medians["registry"], medians["mlflow"])


def _call(worker: Worker, work: str, count: int) -> Callable[[], float]:
    return lambda: float(worker.ask(work, count))


@contextlib.contextmanager
def _far(python: Path, url: str, milliseconds: float) -> Iterator[int]:
    """Run a process that delays connections to a server; yield its port."""
    server = urlsplit(url)
    command = [python, _PROXY, str(server.hostname), str(server.port), str(milliseconds / 2_000)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.terminate()


if __name__ == "__main__":
    main()
