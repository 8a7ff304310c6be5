"""Eight processes migrate one database at once, and one is killed at some statement: one schema, no error.

``-m storm`` runs fifty rounds for each database and way, each with another statement at which the process dies.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import statements_heard
from postgres_server import PostgresServer
from schema_snapshot import snapshot
from volumes import volume

from registry import disconnect
from registry.store.engine import connect
from registry.store.schema import current, downgrade, revisions

pytestmark = pytest.mark.slow

HEAD = revisions()[-1]
_ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(statements_heard.__file__).parent)}

# Forks a process per entry of the list that it gets, all at once; one dies at its statement of some number. Prints how
# each ended, then how one more did.
PROGRAM = """
import json, os, signal, sys, traceback
import psycopg
from registry import MlflowClient
from registry.client.backend import Backend
from registry.store.engine import connect
from registry.store.schema import upgrade
from statements_heard import hear_statements

url, fatal, first_use = json.loads(sys.argv[1])

def migrate(dies_at):
    count = 0
    def step(*_):
        nonlocal count
        count += 1
        if count == dies_at:
            os.kill(os.getpid(), signal.SIGKILL)
    hear_statements(connect(url).engine, step)
    if first_use:
        client = MlflowClient(url)
        client.log_metric(client.create_run("0").info.run_id, "m", 1.0)
    else:
        upgrade(connect(url))

def start(dies_at):
    pid = os.fork()
    if pid == 0:
        try:
            migrate(dies_at)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    return pid

def ended(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

print(json.dumps([ended(pid) for pid in [start(fatal), *(start(0) for _ in range(7))]] + [ended(start(0))]))
"""


def migrate_at_once(url: str, *, fatal: int, first_use: bool = False) -> list[int]:
    """Start eight processes, kill the first at statement `fatal`, then start one more; return how they ended."""
    command = [sys.executable, "-c", PROGRAM, json.dumps([url, fatal, first_use])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=_ENVIRONMENT)
    assert done.stderr == ""
    return list(json.loads(done.stdout))


ROUNDS = pytest.mark.parametrize("rounds", [1, pytest.param(volume(50, 3), marks=pytest.mark.storm)])


def _places(rounds: int) -> list[int]:
    """Statements at which a process dies: early ones, and ones deep inside the migrations."""
    return [2 + number * 3 for number in range(rounds)] if rounds > 1 else [30]


def _check(url: str, expected: Any) -> None:
    disconnect()
    database = connect(url)
    assert current(database) == HEAD
    assert snapshot(database) == expected
    assert database.read(lambda c: c.exec_driver_sql("SELECT count(*) FROM registry_id").scalar_one()) == 1
    disconnect()


@ROUNDS
def test_an_empty_file_gets_one_schema_whichever_process_dies(rounds: int, sqlite_url: str, own_place: Path) -> None:
    expected = snapshot(connect(sqlite_url))
    for fatal in _places(rounds):
        url = f"sqlite:///{own_place}/{fatal}.db"
        ends = migrate_at_once(url, fatal=fatal, first_use=True)
        assert (ends[0] in (0, -9), ends[1:]) == (True, [0] * 8)
        _check(url, expected)
        runs = connect(url).read(lambda c: c.exec_driver_sql("SELECT count(*) FROM runs").scalar_one())
        assert runs in (8, 9)


@ROUNDS
@pytest.mark.parametrize("revision", ["base", "0003"])
def test_a_shared_database_gets_one_schema_whichever_process_dies(
    rounds: int, revision: str, postgres_url: str, postgres_server: PostgresServer
) -> None:
    expected = snapshot(connect(postgres_url))
    downgrade(connect(postgres_url), revision)
    disconnect()
    for fatal in _places(rounds):
        url = postgres_server.url(postgres_server.create(postgres_url.rpartition("/")[2]))
        ends = migrate_at_once(url, fatal=fatal)
        assert (ends[0] in (0, -9), ends[1:]) == (True, [0] * 8)
        _check(url, expected)
        postgres_server.retire(url.rpartition("/")[2])


@ROUNDS
def test_an_old_file_gets_one_schema_whichever_process_dies(rounds: int, sqlite_url: str, own_place: Path) -> None:
    expected = snapshot(connect(sqlite_url))
    downgrade(connect(sqlite_url), "0003")
    disconnect()
    old = Path(sqlite_url.removeprefix("sqlite:///")).read_bytes()
    for fatal in _places(rounds):
        file = own_place / f"{fatal}.db"
        file.write_bytes(old)
        ends = migrate_at_once(f"sqlite:///{file}", fatal=fatal)
        assert (ends[0] in (0, -9), ends[1:]) == (True, [0] * 8)
        _check(f"sqlite:///{file}", expected)
