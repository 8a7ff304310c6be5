"""Races between real processes: everybody starts at a barrier, and all that they were told is written down.

`broken` names a safeguard that every process leaves out, so that a race can show that it would notice: ``lock``, the
model's row is not locked and SQLite's transactions begin deferred.
"""

import multiprocessing
import os
import signal
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from registry import MlflowClient
from registry.store.catalog import NewVersion

CONTEXT = multiprocessing.get_context("spawn")
NAME = "nba"


@dataclass(frozen=True)
class Told:
    """What one call of one process came to: a value, or an error's text; with the seconds that it took."""

    worker: int
    value: Any = None
    error: str | None = None
    seconds: float = 0.0


Round = Callable[[MlflowClient, int, int], Any]


def promote(client: MlflowClient, worker: int, round_number: int) -> int:
    """Promote a version of one's own."""
    version = worker + 1
    return client.transition_model_version_stage(NAME, version, "Production", reason=f"round {round_number}").version


def promote_and_look(client: MlflowClient, worker: int, round_number: int) -> int:
    """Every other process promotes, the others look: they see one holder, always."""
    if worker % 2 == 0:
        return promote(client, worker, round_number)
    found = client.find_model_version_by_stage(NAME, "Production")
    assert found is not None
    return found.version


def register_version(client: MlflowClient, worker: int, _round_number: int) -> int:
    """Register one more version of the model that the environment names."""
    model_id = os.environ["REGISTRY_TEST_SEALED"]
    return client.backend.versions.create(NAME, NewVersion("source", model_id), create_model=True).version


def race(
    url: str,
    work: Round,
    *,
    workers: int,
    rounds: int,
    broken: str | None = None,
    after_round: Callable[[], None] | None = None,
) -> list[Told]:
    """Let processes work in rounds, each begun by all at once; `after_round` is called while they all wait."""
    begin, end = CONTEXT.Barrier(workers + 1), CONTEXT.Barrier(workers + 1)
    told = CONTEXT.SimpleQueue()
    processes = [
        CONTEXT.Process(target=_work, args=(url, work, worker, rounds, broken, begin, end, told))
        for worker in range(workers)
    ]
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


def _work(url: str, work: Round, worker: int, rounds: int, broken: str | None, begin: Any, end: Any, told: Any) -> None:
    if broken is not None:
        break_safeguard(broken)
    client = MlflowClient(url)
    assert client.backend
    for round_number in range(rounds):
        begin.wait(120)
        told.put(_call(work, client, worker, round_number))
        end.wait(120)


def _call(work: Round, client: MlflowClient, worker: int, round_number: int) -> Told:
    started = time.perf_counter()
    try:
        value = work(client, worker, round_number)
    except Exception:  # whatever goes wrong is what the race is there to find
        return Told(worker, error=traceback.format_exc(limit=-3), seconds=time.perf_counter() - started)
    return Told(worker, value, seconds=time.perf_counter() - started)


def break_safeguard(which: str) -> None:
    """Leave out a safeguard in this process: the races must notice."""
    from sqlalchemy import literal_column, null, select

    from registry.store import engine
    from registry.store.catalog import ledger, models
    from registry.store.tables import RegisteredModelRow

    assert which == "lock"

    def not_locked(connection: Any, name: str) -> Any:
        user = null() if connection.dialect.name == "sqlite" else literal_column("session_user::text")
        query = select(RegisteredModelRow.__table__, user.label("session_user")).where(ledger.living(name))
        return connection.execute(query).one()

    ledger.lock = models.lock = not_locked
    engine._WRITE = "registry_broken"  # nobody asks for this option: transactions begin deferred


class Storm:
    """Processes that are killed in the middle of their work and begin anew, until enough was acknowledged."""

    def __init__(self, url: str, workers: int) -> None:
        self.url = url
        self.acknowledged = CONTEXT.SimpleQueue()
        self.processes = [self._start(worker) for worker in range(workers)]

    def _start(self, worker: int) -> Any:
        process = CONTEXT.Process(target=_churn, args=(self.url, worker, self.acknowledged), daemon=True)
        process.start()
        return process

    def kill(self, worker: int, how: int = signal.SIGKILL) -> None:
        """Stop a process where it is, and start another in its place."""
        os.kill(self.processes[worker].pid, how)
        if how == signal.SIGKILL:
            self.processes[worker].join()
            self.processes[worker] = self._start(worker)

    def stop(self) -> None:
        """End it all."""
        for process in self.processes:
            process.kill()
            process.join()


def _churn(url: str, worker: int, acknowledged: Any) -> None:
    client = MlflowClient(url)
    number = 0
    while True:
        number += 1
        tag = f"{os.getpid()}-{number}"
        client.set_model_version_tag(NAME, worker + 1, "mark", tag)
        acknowledged.put((worker, "mark", tag))
        client.transition_model_version_stage(NAME, worker + 1, "Production", reason=tag)
        acknowledged.put((worker, "promoted", tag))


def errors(told: Sequence[Told]) -> list[str]:
    """The errors of what was told."""
    return [one.error for one in told if one.error is not None]
