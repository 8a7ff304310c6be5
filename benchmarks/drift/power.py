"""How soon daily checks find drift: months in which it begins on day 10."""

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from benchmarks.drift.games import KINDS, Change, Random, reference, window
from registry.monitoring.comparison import FALSE_INCIDENTS, Sensitivity, alpha_of, compare_profiles
from registry.monitoring.detectors import DEFAULT_DETECTORS
from registry.monitoring.profiles import Profile
from registry.monitoring.report import ColumnResult

BEGINS: Final = 10
DAYS: Final = 30


@dataclass
class Power:
    """How often and how soon one kind of drift was found by daily checks."""

    kind: str
    months: int
    found: int
    median_delay: float | None
    first_causes: dict[str, int]


def power(
    kind: str, months: int, rows: int = 1_000, detectors: Sequence[str] = DEFAULT_DETECTORS, seed: int = 1
) -> Power:
    """Check models through months in which drift begins on day 10; count days until it is found."""
    sensitivity = Sensitivity(alpha_of("1d", FALSE_INCIDENTS))
    delays, causes = [], dict[str, int]()
    for month in range(months):
        random = np.random.default_rng([seed, month])
        like = reference(random, correlations=True)
        for day, results in _days(random, like, rows, KINDS[kind], detectors, sensitivity):
            drifted = sorted({result.cause for result in results if result.drifted})
            if drifted:
                delays.append(day + 1)
                for cause in drifted:
                    causes[cause] = causes.get(cause, 0) + 1
                break
    return Power(kind, months, len(delays), statistics.median(delays) if delays else None, causes)


def _days(
    random: Random,
    like: Profile,
    rows: int,
    change: Callable[[int], Change],
    detectors: Sequence[str],
    sensitivity: Sensitivity,
) -> Iterator[tuple[int, tuple[ColumnResult, ...]]]:
    for day in range(DAYS - BEGINS):
        seen = window(random, like, rows, change(day))
        yield day, compare_profiles(like, seen, detectors, sensitivity)
