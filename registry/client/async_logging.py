"""Work in the background: `LogQueue` writes values of ``synchronous=False`` in batches, `TaskQueue` uploads models.

Guarantees: no queued value is lost silently: it is written, or its ticket and the log say why not. A model that waits
for its upload is bytes that no row names yet: a crash leaves what a crash before `log_model` would leave.
"""

import atexit
import logging
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from registry.entities import Metric
from registry.exceptions import InvalidStateError, RegistryError, UnavailableError

CAPACITY: Final = 200_000
BATCH: Final = 20_000
# Tasks hold files in a temporary directory: a loop of fits that is faster than its uploads waits.
TASKS: Final = 8
_FIRST_PAUSE_SECONDS: Final = 0.1
_LONGEST_PAUSE_SECONDS: Final = 5.0
_LAST_WAIT_SECONDS: Final = 60.0
_logger = logging.getLogger("registry")


class RunOperations:
    """A ticket for queued values (MLflow's RunOperations)."""

    def __init__(self) -> None:
        self._done = threading.Event()
        self._error: RegistryError | None = None
        self._process = os.getpid()

    def wait(self) -> None:
        """Wait until the values are durable.

        Raises:
            RegistryError: They could not be written.
            InvalidStateError: They were queued before this process was forked; the parent writes them.
        """
        if self._process != os.getpid():
            raise InvalidStateError(
                "These values were queued before the process was forked; the parent writes them. Wait there."
            )
        self._done.wait()
        if self._error is not None:
            raise self._error

    def _finish(self, error: RegistryError | None = None) -> None:
        self._error = error
        self._done.set()


@dataclass(slots=True)
class Entry:
    """The values that one call logs to one run."""

    run_id: str
    metrics: Sequence[Metric] = ()
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    ticket: RunOperations = field(default_factory=RunOperations)

    def __len__(self) -> int:
        return len(self.metrics) + len(self.params) + len(self.tags)


class LogQueue:
    """A bounded queue and the thread that empties it, which each process starts on first use."""

    def __init__(self, write: Callable[[Entry], None], capacity: int = CAPACITY) -> None:
        self._write = write
        self._capacity = capacity
        self._entries: deque[Entry] = deque()
        self._size = 0
        self._busy = False
        self._ends = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        _queues.add(self)

    def put(self, entry: Entry) -> RunOperations:
        """Queue the values of a call; block, with a warning, while the queue is full."""
        with self._changed:
            self._start()
            if self._size >= self._capacity:
                _logger.warning(
                    "The queue of values to log is full (%d values); this call waits until some are written.",
                    self._size,
                )
                self._changed.wait_for(lambda: self._size < self._capacity)
            self._entries.append(entry)
            self._size += len(entry)
            self._changed.notify_all()
        return entry.ticket

    def flush(self, timeout: float | None = None) -> None:
        """Wait until all queued values are written or have failed, at most `timeout` seconds.

        Raises:
            UnavailableError: The time ran out; the thread keeps trying.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: not self._entries and not self._busy, timeout):
                raise UnavailableError(f"{self._size} queued values could not be logged in {timeout} seconds.")

    def end(self) -> None:
        """Let the thread end once the queue is empty; the next value starts another."""
        with self._changed:
            self._ends = self._thread is not None
            self._changed.notify_all()

    def renew(self) -> None:
        """Reset the queue in a forked child: the parent writes the queued entries, and its thread may hold the lock."""
        self._changed = threading.Condition()
        self._entries = deque()
        self._thread, self._busy, self._ends, self._size = None, False, False, 0

    def _start(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="registry-log-queue", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._entries or self._ends)
                if not self._entries:
                    self._thread, self._ends = None, False
                    return
                batch = self._take_batch()
                self._busy = True
            try:
                self._write_batch(batch)
            finally:
                with self._changed:
                    self._busy = False
                    self._size -= sum(len(entry) for entry in batch)
                    self._changed.notify_all()

    def _take_batch(self) -> list[Entry]:
        """Remove and return the next entries of one run, in order."""
        batch = [self._entries.popleft()]
        size = len(batch[0])
        while self._entries and self._entries[0].run_id == batch[0].run_id and size < BATCH:
            entry = self._entries.popleft()
            batch.append(entry)
            size += len(entry)
        return batch

    def _write_batch(self, batch: list[Entry]) -> None:
        merged = _merge(batch)
        error = RegistryError("not merged") if merged is None else self._attempt(merged)
        if error is None:
            for entry in batch:
                entry.ticket._finish()
            return
        # Write one by one, so that one bad value does not discard the others.
        for entry in batch:
            failure = self._attempt(entry)
            if failure is not None:
                _logger.error("A queued value of run %s could not be logged: %s", entry.run_id, failure)
            entry.ticket._finish(failure)

    def _attempt(self, entry: Entry) -> RegistryError | None:
        """Write an entry, waiting while the database is away; return an error that waiting does not fix, or None."""
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                self._write(entry)
            except UnavailableError as error:
                if pause == _FIRST_PAUSE_SECONDS:
                    _logger.warning("Logging waits for the database: %s", error)
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
            except RegistryError as error:
                return error
            except Exception as error:
                # This thread has no caller to raise to: keep the error in the ticket and its traceback in the log.
                _logger.exception("A queued value of run %s could not be logged", entry.run_id)
                return RegistryError(f"Logging in the background failed: {error!r}")
            else:
                return None


def _merge(batch: Sequence[Entry]) -> Entry | None:
    """Merge entries of one run into one; None if their params contradict each other."""
    merged = Entry(batch[0].run_id, metrics=[metric for entry in batch for metric in entry.metrics])
    params: dict[str, str] = {}
    tags: dict[str, str] = {}
    for entry in batch:
        if any(params.setdefault(key, value) != value for key, value in entry.params.items()):
            return None
        tags |= entry.tags
    merged.params, merged.tags = params, tags
    return merged


class TaskQueue:
    """Tasks that one thread per process does in order. Whoever reads what they store calls `wait` first."""

    def __init__(self, capacity: int = TASKS) -> None:
        self._capacity = capacity
        self._tasks: deque[Callable[[], None]] = deque()
        self._unfinished = 0
        self._ends = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        _queues.add(self)

    def put(self, task: Callable[[], None]) -> None:
        """Queue a task, which reports its own failures; block while the queue is full."""
        with self._changed:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="registry-task-queue", daemon=True)
                self._thread.start()
            self._changed.wait_for(lambda: self._unfinished < self._capacity)
            self._tasks.append(task)
            self._unfinished += 1
            self._changed.notify_all()

    def wait(self, timeout: float | None = None) -> None:
        """Wait until all tasks are done, at most `timeout` seconds. In a task itself, return at once.

        Raises:
            UnavailableError: The time ran out; the thread goes on.
        """
        if not self._unfinished or threading.current_thread() is self._thread:
            return
        with self._changed:
            if not self._changed.wait_for(lambda: not self._unfinished, timeout):
                raise UnavailableError(f"{self._unfinished} uploads could not be finished in {timeout} seconds.")

    flush = wait

    def end(self) -> None:
        """Let the thread end once all tasks are done; the next task starts another."""
        with self._changed:
            self._ends = self._thread is not None
            self._changed.notify_all()

    def renew(self) -> None:
        """Reset the queue in a forked child: the parent does the tasks."""
        self._changed = threading.Condition()
        self._tasks = deque()
        self._thread, self._ends, self._unfinished = None, False, 0

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._tasks or self._ends)
                if not self._tasks:
                    self._thread, self._ends = None, False
                    return
                task = self._tasks.popleft()
            try:
                task()
            except Exception:
                # This thread has no caller to raise to.
                _logger.exception("A task in the background failed")
            finally:
                del task
                with self._changed:
                    self._unfinished -= 1
                    self._changed.notify_all()


_queues: "weakref.WeakSet[LogQueue | TaskQueue]" = weakref.WeakSet()


def _renew_all() -> None:
    for queue in list(_queues):
        queue.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)


def flush_all(timeout: float | None = None) -> None:
    """Wait until all that this process has queued is stored or failed, at most `timeout` seconds per queue."""
    for queue in list(_queues):
        queue.flush(timeout)


def end_all() -> None:
    """Let the threads of all queues end once these are empty; they hold the stores that they write to."""
    for queue in list(_queues):
        queue.end()


def _flush_at_exit() -> None:
    try:
        flush_all(_LAST_WAIT_SECONDS)
    except UnavailableError as error:
        _logger.error("The process ends with values or models that were not logged: %s", error)  # noqa: TRY400 - no trace helps


atexit.register(_flush_at_exit)
