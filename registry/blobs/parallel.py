"""Running blocking transfers side by side, in bounded memory.

The invariant: when the caller's loop ends, for whatever reason, no task of it is running any more.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def in_order(tasks: Iterable[Callable[[], T]], *, width: int, ahead: int | None = None) -> Iterator[T]:
    """Run tasks in `width` threads and yield their results in the order of the tasks.

    At most `ahead` (by default `width`) tasks are taken from the iterable before the first of them is yielded, so that
    tasks which carry their bytes with them fill no more memory than that. The first failure, or an exception at the
    caller, lets no further task begin, waits for those that run, and is raised.
    """
    limit = ahead or width
    pending: deque[Future[T]] = deque()
    with ThreadPoolExecutor(width, thread_name_prefix="registry-transfer") as pool:
        try:
            for task in tasks:
                pending.append(pool.submit(task))
                if len(pending) >= limit:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
