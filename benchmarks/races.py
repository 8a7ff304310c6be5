"""Races between processes, the same code under `registry` and `mlflow`: a script for the Python of either.

``python races.py MODULE URL promote|register WORKERS ROUNDS`` prints one JSON object: the number of calls that
succeeded, the errors of the others, the seconds that the rounds took, and the outcome. For promotions, that is the
number of versions in Production after each round; for registrations, how many numbers were given, and whether they are
1, 2, 3 … without a gap.
"""

import collections
import importlib
import json
import multiprocessing
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

NAME = "race"
CONTEXT = multiprocessing.get_context("spawn")


def client_of(module: str, url: str) -> Any:
    """Return a client of either library."""
    warnings.simplefilter("ignore")
    return importlib.import_module(f"{module}.tracking").MlflowClient(tracking_uri=url, registry_uri=url)


def promote(client: Any, worker: int, _source: str) -> None:
    """Promote this worker's own version."""
    client.transition_model_version_stage(NAME, str(worker + 1), "Production", archive_existing_versions=True)


def register(client: Any, _worker: int, source: str) -> None:
    """Register one more version of the model."""
    client.create_model_version(NAME, source)


WORK = {"promote": promote, "register": register}


def work(
    module: str, url: str, what: str, worker: int, rounds: int, source: str, begin: Any, end: Any, told: Any
) -> None:
    """Do one process's part in every round, together with all others."""
    client = client_of(module, url)
    client.get_registered_model(NAME)
    for _ in range(rounds):
        begin.wait()
        try:
            WORK[what](client, worker, source)
        except Exception as error:  # noqa: BLE001 - what it is, is counted
            told.put(_kind(error))
        else:
            told.put("done")
        end.wait()


def _kind(error: Exception) -> str:
    text = str(error)
    for word in ("deadlock", "locked", "duplicate key", "could not serialize", "giving up"):
        if word in text:
            return word
    return type(error).__name__


def race(module: str, url: str, what: str, workers: int, rounds: int) -> dict[str, Any]:
    """Make the model, let the processes race, and count the outcomes."""
    client = client_of(module, url)
    client.create_registered_model(NAME)
    directory = Path(tempfile.mkdtemp()) / "model"
    directory.mkdir()
    (directory / "data.txt").write_text("data")
    source = str(directory)
    for _ in range(workers if what == "promote" else 0):
        client.create_model_version(NAME, source)
    begin, end, told = CONTEXT.Barrier(workers + 1), CONTEXT.Barrier(workers + 1), CONTEXT.SimpleQueue()
    processes = [
        CONTEXT.Process(target=work, args=(module, url, what, worker, rounds, source, begin, end, told))
        for worker in range(workers)
    ]
    for process in processes:
        process.start()
    outcomes, holders, seconds = collections.Counter[str](), [], 0.0
    for _ in range(rounds):
        begin.wait()
        started = time.perf_counter()
        outcomes.update(told.get() for _ in range(workers))
        seconds += time.perf_counter() - started
        if what == "promote":
            holders.append(sum(version.current_stage == "Production" for version in versions(client)))
        end.wait()
    for process in processes:
        process.join()
    done = outcomes.pop("done", 0)
    told_of = {
        "calls": workers * rounds,
        "done": done,
        "failed": dict(outcomes),
        "seconds": round(seconds, 2),
        "per_second": round(done / seconds),
    }
    if what == "promote":
        return told_of | {"rounds_with_one_holder": holders.count(1), "most_holders": max(holders)}
    numbers = sorted(int(version.version) for version in versions(client))
    return told_of | {"versions": len(numbers), "without_a_gap": numbers == list(range(1, len(numbers) + 1))}


def versions(client: Any) -> list[Any]:
    """Return all versions of the model."""
    found: list[Any] = []
    token = None
    while True:
        page = client.search_model_versions(f"name = '{NAME}'", max_results=1_000, page_token=token)
        found += page
        token = page.token
        if not token:
            return found


if __name__ == "__main__":
    print(json.dumps(race(*sys.argv[1:4], *map(int, sys.argv[4:6]))))
