"""Measure what a new process costs: import, first use of an empty SQLite file, first model, and many at once."""

import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
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
    commands = {system: _list_runs(pythons[system], system, directory / system) for system in _LIST_RUNS}
    figures = alternate(commands, rounds)
    yield Figure("runs list at the command line", "sqlite", figures["registry"], figures["mlflow"], faster_at_least=4)
    for _, system in itertools.product(range(rounds), ("registry", "mlflow")):
        program(system, _FIRST_MODEL)
    own = {system: _noted(directory / system / "first_model.txt") for system in ("registry", "mlflow")}
    yield Figure("first xgboost log_model of a process", "sqlite", own["registry"], own["mlflow"], faster_at_least=10)


def _list_runs(python: Path, system: str, directory: Path) -> Callable[[], float]:
    """Fill a database with runs; return a function that lists them by the system's own command."""
    wall([python, "-c", _FILL.format(system=system)], directory, {})
    variables = {"MLFLOW_TRACKING_URI": f"sqlite:///{directory}/listed.db"}
    return lambda: wall([python, "-m", system, *_LIST_RUNS[system]], directory, variables)


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
