"""Measure what governing models costs, and count the outcomes of racing processes: ``python -m benchmarks.governance``.

The races: 16 processes promote versions of one model 50 times each, and register as many, here and under mlflow. The
growth: promotions, resolves of ``models:/name/Production`` and rollbacks per second with 1, 1,000 and 100,000 versions,
and 100,000 events. Each runs on SQLite in a temporary directory and on a new PostgreSQL server, or on the one of
``--postgres`` (a URL with ``{}`` in the place of the database's name). The environment of mlflow is made once.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import registry
from benchmarks.environments import default_directory, interpreter
from benchmarks.postgres import postgres_server
from registry.store.engine import Database
from registry.store.schema import upgrade
from registry.store.urls import parse_database_url

RACES: Final = Path(__file__).with_name("races.py")
SIZES: Final = ((1, 0), (1_000, 0), (100_000, 0), (100_000, 100_000))


def fresh_urls(postgres: str, directory: Path) -> Iterator[tuple[str, str]]:
    """Yield the name and URL of a new database of each kind."""
    import psycopg

    yield "SQLite", f"sqlite:///{directory / uuid.uuid4().hex}.db"
    name = f"governance_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(postgres.format("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[call-overload]  # a name of our own
    yield "PostgreSQL", postgres.format(name)


def race(python: str, module: str, url: str, what: str, workers: int, rounds: int) -> dict[str, Any]:
    """Run a race under one library and return its outcome."""
    command = [python, str(RACES), module, url, what, str(workers), str(rounds)]
    with tempfile.TemporaryDirectory() as place:
        done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(done.stderr[-4000:])
    return dict(json.loads(done.stdout.splitlines()[-1]))


def migrate(url: str) -> None:
    """Create the schema of a new database."""
    database = Database(parse_database_url(url))
    upgrade(database)
    database.dispose()


def grow(client: registry.MlflowClient, versions: int, events: int) -> None:
    """Make a model with `versions` archived versions and `events` events, by plain SQL; version 1 holds Production."""
    directory = Path(tempfile.mkdtemp()) / "model"
    directory.mkdir()
    (directory / "data.txt").write_text("data")
    for _ in range(2):
        client.register_model(str(directory), "nba")
    client.transition_model_version_stage("nba", 1, "Production")
    columns = "model_id, version, logged_model_id, current_stage, source, creation_time, last_update_time"
    series = "WITH RECURSIVE n(i) AS (SELECT 3 UNION ALL SELECT i + 1 FROM n WHERE i < {})"
    statements = [
        f"INSERT INTO model_versions ({columns}) {series.format(versions)} SELECT model_id, i, logged_model_id, "
        "'Archived', source, creation_time, last_update_time FROM model_versions, n WHERE version = 1 AND i <= "
        f"{versions}",
        f"INSERT INTO history (id, model_id, seq, kind, version, actor, time_us, hash) {series.format(events)} SELECT "
        "i + 1000000, model_id, i + 1000000, kind, version, actor, i, hash FROM history, n WHERE seq = 1 AND i <= "
        f"{events}",
        f"INSERT INTO stage_periods (model_id, stage, version, since, until) {series.format(events)} SELECT model_id, "
        f"stage, version, i * 10, i * 10 + 9 FROM stage_periods, n WHERE version = 1 AND i <= {events}",
    ]
    database = client.backend.database
    if not database.is_sqlite:  # SQLite gathers statistics only on request, and then keeps planning by them
        statements.append("ANALYZE")
    for statement in statements:
        database.write(lambda connection, text=statement: connection.exec_driver_sql(text))


def rate(call: Callable[[], object], seconds: float = 2.0) -> int:
    """Return how often a call succeeds per second: the best of three."""
    best = 0.0
    for _ in range(3):
        count, started = 0, time.perf_counter()
        while (spent := time.perf_counter() - started) < seconds / 3:
            call()
            count += 1
        best = max(best, count / spent)
    return round(best)


def measure(url: str, versions: int, events: int) -> dict[str, int]:
    """Return the rates with a model of this size."""
    client = registry.MlflowClient(url)
    grow(client, versions, events)
    turn = iter(range(10**9))
    moment = client.get_history("nba", kind="stage_changed")[-1].time.isoformat()
    return {
        "transitions/s": rate(
            lambda: client.transition_model_version_stage("nba", 1 + next(turn) % 2, "Production"), 3.0
        ),
        "resolves/s": rate(lambda: client.resolve("models:/nba/Production")),
        "resolves at a time/s": rate(lambda: client.resolve(f"models:/nba/Production?at={moment}")),
        "rollbacks/s": rate(lambda: _there_and_back(client)),
    }


def _there_and_back(client: registry.MlflowClient) -> None:
    holder = client.find_model_version_by_stage("nba", "Production")
    client.transition_model_version_stage("nba", 1 if holder is None or holder.version == 2 else 2, "Production")
    client.rollback("nba")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--postgres", help="such as postgresql://postgres@127.0.0.1:5432/{}")
    parser.add_argument("--workers", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--only", choices=["promote", "register", "growth"])
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="registry-governance-")))
        postgres = options.postgres or stack.enter_context(postgres_server(Path(sys.executable))) + "{}"
        os.environ["REGISTRY_ARTIFACT_LOCATION"] = f"{place}/artifacts"
        for what in ("promote", "register"):
            if options.only in (None, what):
                compare(what, postgres, place, options.workers, options.rounds)
        if options.only in (None, "growth"):
            show_growth(postgres, place)


def compare(what: str, postgres: str, place: Path, workers: int, rounds: int) -> None:
    """Print the outcome of a race under each library on each database."""
    for database, url in fresh_urls(postgres, place):
        migrate(url)
        told = race(sys.executable, "registry", url, what, workers, rounds)
        print(database, "registry", what, told | verified(url), flush=True)
    mlflow = str(interpreter("mlflow", default_directory()))
    for database, url in fresh_urls(postgres, place):
        theirs = url.replace("postgresql://", "postgresql+psycopg2://")
        print(database, "mlflow", what, race(mlflow, "mlflow", theirs, what, workers, rounds), flush=True)


def verified(url: str) -> dict[str, int]:
    """Verify the history of the model of the race; return its events and moves."""
    client = registry.MlflowClient(url)
    return {"events": client.verify("race").events, "moves": len(client.get_history("race", kind="stage_changed"))}


def show_growth(postgres: str, place: Path) -> None:
    """Print the rates by size."""
    for versions, events in SIZES:
        for database, url in fresh_urls(postgres, place):
            migrate(url)
            print(database, f"{versions:,} versions, {events:,} events", measure(url, versions, events), flush=True)


if __name__ == "__main__":
    main()
