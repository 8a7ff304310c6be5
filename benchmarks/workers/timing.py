"""Time one operation."""

import time
from collections.abc import Callable


def timed(count: int, call: Callable[[int], object]) -> float:
    """Return the seconds per call."""
    start = time.perf_counter()
    for number in range(count):
        call(number)
    return (time.perf_counter() - start) / count
