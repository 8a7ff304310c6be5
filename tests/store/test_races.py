"""Races between real processes: version numbers without gaps, one holder of a stage, and a history that says so."""

import ast
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from governed_models import raw_sql, register, sealed_model
from volumes import volume

from registry import MlflowClient

# Each of these begins when all are ready: the start line is a file that the test makes.
STARTED = """
import pathlib, sys, time
from registry import MlflowClient
from registry.store.catalog import NewVersion
url, me, rounds, line, model = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), pathlib.Path(sys.argv[4]), sys.argv[5]
client = MlflowClient(url)
client.get_registered_model("churn")
(line / f"ready{me}").touch()
while not (line / "go").exists():
    time.sleep(0.001)
"""
REGISTER = (
    STARTED
    + """
new = NewVersion(source=f"models:/{model}", model_id=model)
print([client.backend.versions.create("churn", new).version for _ in range(rounds)])
"""
)
PROMOTE = (
    STARTED
    + """
done = []
for round in range(rounds):
    stage, first = (("Production", 1), ("Staging", 3))[round % 2]
    version = first + (me + round // 2) % 2
    done.append(client.transition_model_version_stage("churn", version, stage).current_stage)
    client.resolve("models:/churn/Production")
    client.set_registered_model_alias("churn", "best", version)
print(done)
"""
)
COMPARE_AND_SET = (
    STARTED
    + """
from registry.exceptions import StageConflictError
won = 0
for _ in range(rounds):
    holder = client.get_model_version_by_stage("churn", "Production").version
    try:
        client.transition_model_version_stage("churn", holder % 4 + 1, "Production", expected_current=holder)
        won += 1
    except StageConflictError:
        pass
print([won])
"""
)
ENTRANTS = (
    STARTED
    + """
from registry.exceptions import StageOccupiedError
try:
    client.transition_model_version_stage("churn", 1 + me % 4, "Production", archive_existing_versions=False)
    print(["in"])
except StageOccupiedError:
    print(["occupied"])
"""
)


def race(script: str, url: str, processes: int, rounds: int, model: str = "") -> list[list[object]]:
    """What each of some processes printed; all must end well."""
    with tempfile.TemporaryDirectory() as directory:
        line = Path(directory)
        running = [
            subprocess.Popen(
                [sys.executable, "-c", script, url, str(number), str(rounds), str(line), model],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=dict(os.environ),
            )
            for number in range(processes)
        ]
        while len(list(line.glob("ready*"))) < processes and all(process.poll() is None for process in running):
            time.sleep(0.01)
        (line / "go").touch()
        told = [process.communicate(timeout=240) for process in running]
    assert [error for _, error in told] == [""] * processes
    return [ast.literal_eval(out) for out, _ in told]


VOLUMES = [pytest.param(4, 10, id="4x10"), pytest.param(16, volume(50, 5), id="full", marks=pytest.mark.storm)]


def held(url: str, stage: str) -> list[int]:
    rows = raw_sql(url)(f"SELECT version FROM model_versions WHERE current_stage = '{stage}'")
    return [version for (version,) in rows]


def chain(url: str) -> Sequence[tuple[int, int]]:
    return raw_sql(url)("SELECT id, seq FROM history ORDER BY seq")


@pytest.mark.parametrize(("processes", "rounds"), VOLUMES)
def test_racing_writers_get_every_number_once(processes: int, rounds: int, database_url: str) -> None:
    client = MlflowClient(database_url)
    model = sealed_model(client)
    client.create_registered_model("churn")

    told = race(REGISTER, database_url, processes, rounds, model)

    numbers = list(range(1, processes * rounds + 1))
    assert sorted(number for one in told for number in one) == numbers
    assert all(list(one) == sorted(one) for one in told)
    assert sorted(v.version for v in client.search_model_versions("name = 'churn'")) == numbers
    assert [seq for _, seq in chain(database_url)] == list(range(1, len(numbers) + 2))


@pytest.mark.parametrize(("processes", "rounds"), VOLUMES)
def test_racing_promotions_leave_one_holder(processes: int, rounds: int, database_url: str) -> None:
    client = MlflowClient(database_url)
    register(client, "churn", 4)

    told = race(PROMOTE, database_url, processes, rounds)

    assert told == [(["Production", "Staging"] * rounds)[:rounds]] * processes
    holders = [held(database_url, stage) for stage in ("Production", "Staging")]
    assert [len(found) for found in holders] == [1, 1]
    assert client.resolve("models:/churn/Production").version == holders[0][0]
    events = chain(database_url)
    assert [seq for _, seq in events] == list(range(1, len(events) + 1))
    assert [number for number, _ in events] == sorted(number for number, _ in events)
    open_periods = "SELECT stage, count(*) FROM stage_periods WHERE until IS NULL GROUP BY stage ORDER BY stage"
    assert raw_sql(database_url)(open_periods) == [("@best", 1), ("Production", 1), ("Staging", 1)]


def test_of_racing_entrants_one_gets_in(database_url: str) -> None:
    client = MlflowClient(database_url)
    register(client, "churn", 4)

    told = race(ENTRANTS, database_url, 4, 1)

    assert sorted(told) == [["in"], ["occupied"], ["occupied"], ["occupied"]]
    assert len(held(database_url, "Production")) == 1


def test_compare_and_set_lets_nobody_overwrite_another(database_url: str) -> None:
    client = MlflowClient(database_url)
    register(client, "churn", 4)
    client.transition_model_version_stage("churn", 1, "Production")

    told = race(COMPARE_AND_SET, database_url, 4, 10)

    won = sum(int(str(one[0])) for one in told)
    assert held(database_url, "Production") == [1 + won % 4]
