"""Measure what a new process costs: import, first use of an empty SQLite file, first model, and many at once."""

import itertools
import statistics
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from benchmarks.measuring import Worker, alternate, wall
from benchmarks.report import Figure

PROCESSES: Final = 8
_FILL: Final = """
import {system} as mlflow
mlflow.set_tracking_uri("sqlite:///listed.db")
for number in range(20):
    with mlflow.start_run():
        mlflow.log_metric("auc", number)
"""
# What a shell types to see the runs of the first experiment.
_LIST_RUNS: Final = {"registry": ["runs", "list"], "mlflow": ["runs", "list", "--experiment-id", "0"]}
# What a shell runs when the user types a noun and Tab. Only registry completes names out of the database.
_COMPLETE: Final = {"registry": ["__complete", "zsh", "experiments", "show", ""], "mlflow": []}
_MLFLOW_COMPLETION: Final = {"_MLFLOW_COMPLETE": "zsh_complete", "COMP_WORDS": "mlflow experiments ", "COMP_CWORD": "2"}
_FIRST_USE: Final = """
import {system} as mlflow
mlflow.set_tracking_uri("sqlite:///{file}.db")
with mlflow.start_run():
    mlflow.log_metric("a", 1)
"""
_FIRST_MODEL: Final = """
import numpy, time, xgboost
import {system} as mlflow
mlflow.set_tracking_uri("sqlite:///first_model.db")
table = numpy.random.default_rng(0).normal(size=(100, 5))
model = xgboost.XGBRegressor(n_estimators=3, n_jobs=1).fit(table, table[:, 0])
with mlflow.start_run():
    mlflow.log_metric("a", 1)
    start = time.perf_counter()
    import {system}.xgboost
    {system}.xgboost.log_model(model, name="model")
    with open("first_model.txt", "a") as file:
        print(time.perf_counter() - start, file=file)
"""


def fresh_processes(pythons: Mapping[str, Path], directory: Path, rounds: int) -> Iterator[Figure]:
    """Measure whole processes of both systems, in turns."""
    files = itertools.count()

    def program(system: str, script: str) -> float:
        text = script.format(system=system, file=f"first-{next(files)}")
        return wall([pythons[system], "-c", text], directory / system, {})

    for title, script, promised in (
        ("import, a fresh process", "import {system}", 10),
        ("import and first use of an empty SQLite file", _FIRST_USE, 4),
    ):
        calls = {system: (lambda s=system, t=script: program(s, t)) for system in ("registry", "mlflow")}
        figures = alternate(calls, rounds)
        yield Figure(title, "–", figures["registry"], figures["mlflow"], faster_at_least=promised)
    for system in _LIST_RUNS:
        wall([pythons[system], "-c", _FILL.format(system=system)], directory / system, {})
    for title, words, promised in (
        ("runs list at the command line", _LIST_RUNS, 4),
        ("completion at the command line", _COMPLETE, 4),
    ):
        calls = {
            system: (lambda s=system, w=words[system]: _command(pythons[s], s, w, directory / s)) for system in words
        }
        figures = alternate(calls, rounds)
        yield Figure(title, "sqlite", figures["registry"], figures["mlflow"], faster_at_least=promised)
    for _, system in itertools.product(range(rounds), ("registry", "mlflow")):
        program(system, _FIRST_MODEL)
    own = {system: _noted(directory / system / "first_model.txt") for system in ("registry", "mlflow")}
    yield Figure("first xgboost log_model of a process", "sqlite", own["registry"], own["mlflow"], faster_at_least=10)


def _command(python: Path, system: str, words: list[str], directory: Path) -> float:
    """Return the seconds of a command of the system's own, on the database that `_FILL` has filled."""
    variables = {"MLFLOW_TRACKING_URI": f"sqlite:///{directory}/listed.db"} | ({} if words else _MLFLOW_COMPLETION)
    return wall([python.with_name(system), *words], directory, variables)


def crowd(python: Path, system: str, url: str, directory: Path, runs: int) -> float:
    """Return seconds per run while eight processes log `runs` runs each, all at once."""
    workers = [Worker(python, system, url, directory / f"{system}-{number}", {}) for number in range(PROCESSES)]
    for worker in workers:
        worker.ask("run", 1)  # one-time costs of a process are measured elsewhere
    start = time.perf_counter()
    for worker in workers:
        worker.start("run", runs)
    for worker in workers:
        worker.answer()
    seconds = time.perf_counter() - start
    for worker in workers:
        worker.__exit__(None, None, None)
    return seconds / (PROCESSES * runs)


def _noted(path: Path) -> float:
    return statistics.median(map(float, path.read_text().split()))
