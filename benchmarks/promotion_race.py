"""The race for Production, word for word the same under `registry` and under `mlflow`: a script for either's Python.

``python promotion_race.py MODULE URL WORKERS ROUNDS`` prints one JSON object: how many calls succeeded, what the others
raised, how many versions held Production after each round, and the seconds that the rounds took.
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
    """A client of either library."""
    warnings.simplefilter("ignore")
    return importlib.import_module(f"{module}.tracking").MlflowClient(tracking_uri=url, registry_uri=url)


def work(module: str, url: str, worker: int, rounds: int, begin: Any, end: Any, told: Any) -> None:
    """One process: promote a version of its own in every round, together with all others."""
    client = client_of(module, url)
    client.get_registered_model(NAME)
    for _ in range(rounds):
        begin.wait()
        try:
            client.transition_model_version_stage(NAME, str(worker + 1), "Production", archive_existing_versions=True)
        except Exception as error:  # noqa: BLE001 - what it is, is counted
            told.put(_kind(error))
        else:
            told.put("done")
        end.wait()


def _kind(error: Exception) -> str:
    text = str(error)
    for word in ("deadlock", "locked", "duplicate key", "could not serialize"):
        if word in text:
            return word
    return type(error).__name__


def race(module: str, url: str, workers: int, rounds: int) -> dict[str, Any]:
    """Make the model, let the processes race, and count."""
    client = client_of(module, url)
    client.create_registered_model(NAME)
    source = Path(tempfile.mkdtemp()) / "model"
    source.mkdir()
    (source / "data.txt").write_text("data")
    for _ in range(workers):
        client.create_model_version(NAME, str(source))
    begin, end, told = CONTEXT.Barrier(workers + 1), CONTEXT.Barrier(workers + 1), CONTEXT.SimpleQueue()
    processes = [
        CONTEXT.Process(target=work, args=(module, url, worker, rounds, begin, end, told)) for worker in range(workers)
    ]
    for process in processes:
        process.start()
    outcomes, holders, seconds = collections.Counter[str](), [], 0.0
    for _ in range(rounds):
        begin.wait()
        started = time.perf_counter()
        outcomes.update(told.get() for _ in range(workers))
        seconds += time.perf_counter() - started
        found = client.search_model_versions(f"name = '{NAME}'")
        holders.append(sum(version.current_stage == "Production" for version in found))
        end.wait()
    for process in processes:
        process.join()
    done = outcomes.pop("done", 0)
    return {
        "calls": workers * rounds,
        "done": done,
        "failed": dict(outcomes),
        "rounds_with_one_holder": holders.count(1),
        "most_holders": max(holders),
        "seconds": round(seconds, 2),
        "per_second": round(done / seconds),
    }


if __name__ == "__main__":
    print(json.dumps(race(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))))
