"""Races between real processes: everybody starts at a barrier, and all that they were told is written down.

`broken` names a safeguard that every process leaves out, so that a race can show that it would notice: ``lock``, the
model's row is not locked, SQLite's transactions begin deferred, and nothing is tried twice.
"""

import multiprocessing
import os
import signal
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import connection
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
    except Exception:
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

    made = engine.Database.__init__

    def deferred(database: engine.Database, *args: Any, **options: Any) -> None:
        made(database, *args, **options)
        if database.is_sqlite:
            database._write_engine = database.engine

    ledger.lock = models.lock = not_locked
    engine.Database.__init__ = deferred
    engine.ATTEMPTS = 1  # trying again would hide what a transaction without the lock runs into


Acknowledged = tuple[int, str, str]


class Storm:
    """Processes that are killed in the middle of their work and begin anew; what they acknowledged is kept.

    Each has a pipe of its own: a process that is killed while it writes takes no lock of others along.
    """

    def __init__(self, url: str, workers: int) -> None:
        self.url = url
        self.acknowledged: list[Acknowledged] = []
        self._running = [self._start(worker) for worker in range(workers)]

    def _start(self, worker: int) -> tuple[Any, Any]:
        reader, writer = CONTEXT.Pipe(duplex=False)
        process = CONTEXT.Process(target=_churn, args=(self.url, worker, writer), daemon=True)
        process.start()
        writer.close()
        return process, reader

    def wait_for(self, count: int) -> None:
        """Until so many more calls were acknowledged."""
        enough = len(self.acknowledged) + count
        while len(self.acknowledged) < enough:
            for reader in connection.wait([reader for _, reader in self._running], timeout=60):
                self._drain(reader)

    def freeze(self, worker: int, seconds: float) -> None:
        """Let a process stand still where it is, with or without the lock, and go on."""
        process, _ = self._running[worker]
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep(seconds)
        os.kill(process.pid, signal.SIGCONT)

    def kill(self, worker: int) -> None:
        """Stop a process where it is, and start another in its place."""
        self._end(worker)
        self._running[worker] = self._start(worker)

    def stop(self) -> None:
        """End it all."""
        for worker in range(len(self._running)):
            self._end(worker)
        self._running = []

    def _end(self, worker: int) -> None:
        process, reader = self._running[worker]
        process.kill()
        process.join()
        self._drain(reader)
        reader.close()

    def _drain(self, reader: Any) -> None:
        try:
            while not reader.closed and reader.poll():
                self.acknowledged.append(reader.recv())
        except EOFError:  # it was killed, perhaps in the middle of a message, which then nobody was told
            pass


def _churn(url: str, worker: int, writer: Any) -> None:
    client = MlflowClient(url)
    number = 0
    while True:
        number += 1
        tag = f"{os.getpid()}-{number}"
        client.set_model_version_tag(NAME, worker + 1, "mark", tag)
        writer.send((worker, "mark", tag))
        client.transition_model_version_stage(NAME, worker + 1, "Production", reason=tag)
        writer.send((worker, "promoted", tag))


def errors(told: Sequence[Told]) -> list[str]:
    """The errors of what was told."""
    return [one.error for one in told if one.error is not None]
