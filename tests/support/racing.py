"""Races between real processes: all start at a barrier, and every result is recorded.

`broken` names a safeguard that every process leaves out, to show that a race would notice its absence: with ``lock``
the model's row is not locked, SQLite's transactions begin deferred, and nothing is retried.
"""

import multiprocessing
import os
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from registry import MlflowClient
from registry.exceptions import StageConflictError, StageOccupiedError
from registry.store.compiled_statements import Compiled
from registry.store.registry import NewVersion

# Forked from a server that has imported everything and opened nothing, so a new process costs milliseconds.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["registry.client.backend", "registry.store.registry", "psycopg", "sqlite3"])
NAME = "nba"


@dataclass(frozen=True)
class Told:
    """The result of one call of one process: a value, or an error's text."""

    worker: int
    value: Any = None
    error: str | None = None


Round = Callable[[MlflowClient, int, int], Any]


def promote(client: MlflowClient, worker: int, round_number: int) -> int:
    """Promote this worker's own version."""
    version = worker + 1
    return client.transition_model_version_stage(NAME, version, "Production", reason=f"round {round_number}").version


def promote_and_look(client: MlflowClient, worker: int, round_number: int) -> int:
    """Promote in every other process; the rest read, and must always see one holder."""
    if worker % 2 == 0:
        return promote(client, worker, round_number)
    (holder,) = client.search_model_versions(f"name = '{NAME}' AND current_stage = 'Production'")
    found = client.find_model_version_by_stage(NAME, "Production")
    assert found is not None
    assert client.resolve(f"models:/{NAME}/Production").version is not None
    return holder.version


def move_about(client: MlflowClient, worker: int, round_number: int) -> str:
    """Move versions in and out of both stages, and an alias after them."""
    stage, first = (("Production", 1), ("Staging", 3))[round_number % 2]
    version = first + (worker + round_number // 2) % 2
    moved = client.transition_model_version_stage(NAME, version, stage)
    client.set_registered_model_alias(NAME, "best", version)
    return moved.current_stage


def enter_if_empty(client: MlflowClient, worker: int, _round_number: int) -> str:
    """Enter the stage if it is empty."""
    try:
        client.transition_model_version_stage(NAME, worker + 1, "Production", archive_existing_versions=False)
    except StageOccupiedError:
        return "occupied"
    return "in"


def succeed_the_holder(client: MlflowClient, _worker: int, _round_number: int) -> bool:
    """Replace the holder that was seen by the next version, if it still holds the stage."""
    holder = client.get_model_version_by_stage(NAME, "Production").version
    try:
        client.transition_model_version_stage(NAME, holder % 4 + 1, "Production", expected_current=holder)
    except StageConflictError:
        return False
    return True


def register_version(client: MlflowClient, _worker: int, round_number: int) -> int:
    """Register the source that the environment names as one more version; the first round creates the model."""
    new = NewVersion("source", os.environ["REGISTRY_TEST_SEALED"])
    return client.backend.versions.create(NAME, new, create_model=round_number == 0).version


def race(
    url: str,
    work: Round,
    *,
    workers: int,
    rounds: int,
    broken: str | None = None,
    after_round: Callable[[], None] | None = None,
) -> list[Told]:
    """Run processes in rounds that all begin at once; `after_round` is called while they all wait."""
    begin, end = CONTEXT.Barrier(workers + 1), CONTEXT.Barrier(workers + 1)
    told = CONTEXT.SimpleQueue()
    given = (url, work, rounds, broken, begin, end, told, settings())
    processes = [CONTEXT.Process(target=_work, args=(worker, *given)) for worker in range(workers)]
    for process in processes:
        process.start()
    found: list[Told] = []
    for _ in range(rounds):
        begin.wait(120)
        found += [told.get() for _ in range(workers)]
        if after_round is not None:
            after_round()
        end.wait(120)
    for process in processes:
        process.join()
    return found


def settings() -> dict[str, str]:
    """Return this test's variables, which processes forked from another one do not inherit."""
    return {name: value for name, value in os.environ.items() if name.startswith("REGISTRY_")}


def _work(
    worker: int,
    url: str,
    work: Round,
    rounds: int,
    broken: str | None,
    begin: Any,
    end: Any,
    told: Any,
    environment: dict[str, str],
) -> None:
    os.environ.update(environment)
    if broken is not None:
        break_safeguard(broken)
    client = MlflowClient(url)
    assert client.backend
    for round_number in range(rounds):
        begin.wait(120)
        told.put(_call(work, client, worker, round_number))
        end.wait(120)


def _call(work: Round, client: MlflowClient, worker: int, round_number: int) -> Told:
    try:
        return Told(worker, work(client, worker, round_number))
    except Exception:
        return Told(worker, error=traceback.format_exc(limit=-3))


def break_safeguard(which: str) -> None:
    """Leave out a safeguard in this process; the races must notice."""
    from registry.store import engine
    from registry.store.registry import history_writer, versions

    assert which == "lock"
    lock = history_writer.lock_model
    history_writer._lock_statement = without_lock(history_writer._lock_statement)

    def slow(connection: Any, name: str, *facts: Any) -> Any:
        row = lock(connection, name, *facts)
        time.sleep(0.1)  # longer than processes that leave a barrier together can miss each other by
        return row

    assert versions.lock_model is lock
    history_writer.lock_model = versions.lock_model = slow
    engine._SQLITE_WRITE = engine._SQLITE_READ
    engine.ATTEMPTS = 1  # a retry would hide the conflicts of a transaction without the lock


def without_lock(statement: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return a function that makes the statement that locks a model's row, without the lock."""

    def reading(dialect: str) -> Any:
        query = statement(dialect).core._generate()
        query._for_update_arg = None
        return Compiled(query)

    return reading


def errors(told: Sequence[Told]) -> list[str]:
    """Return the errors among the results."""
    return [one.error for one in told if one.error is not None]
