"""Runs blocking transfers in parallel, in bounded memory.

Guarantees: when the caller's loop ends, for any reason, no task is running any more.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def _submit(pool: ThreadPoolExecutor, task: Callable[[], T]) -> Future[T]:
    """Start a task in a thread; while the interpreter shuts down, which starts none any more, run it here."""
    try:
        return pool.submit(task)
    except RuntimeError:
        done: Future[T] = Future()
        done.set_result(task())
        return done


def in_order(tasks: Iterable[Callable[[], T]], *, width: int, ahead: int | None = None) -> Iterator[T]:
    """Run tasks in `width` threads and yield their results in order.

    At most `ahead` (default: `width`) tasks are taken from the iterable before the first result is yielded, which
    bounds the memory of tasks that carry their bytes. After a failure, or an exception in the caller, no further task
    starts; the error is raised once the running ones end.
    """
    limit = ahead or width
    pending: deque[Future[T]] = deque()
    with ThreadPoolExecutor(width, thread_name_prefix="registry-transfer") as pool:
        try:
            for task in tasks:
                pending.append(_submit(pool, task))
                if len(pending) >= limit:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
