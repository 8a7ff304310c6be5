"""How often checks raise false alarms, and how soon they find drift: ``python -m benchmarks.drift [--months N] …``.

Months of games are made up, profiled and checked as `registry.monitoring.check` does, without storage. A false incident
is a cause that is found in a month without drift; an alarm is a check that finds any. A power figure is the share of
months in which drift that begins on day 10 is found, and after how many days of checks.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from registry.monitoring.comparison import FALSE_INCIDENTS, Sensitivity, alpha_of, compare_profiles
from registry.monitoring.detectors import DEFAULT_DETECTORS, DOMAIN_CLASSIFIER
from registry.monitoring.profiles import Profile, ProfileBuilder, make_profile
from registry.monitoring.report import ColumnResult

REFERENCE_ROWS: Final = 5_000
BEGINS: Final = 10
DAYS: Final = 30
COLUMNWISE: Final = tuple(name for name in DEFAULT_DETECTORS if name != DOMAIN_CLASSIFIER)
Random = np.random.Generator


@dataclass(frozen=True)
class Change:
    """How far the games of a day differ from those of the training data; all zero means not at all."""

    shift: float = 0.0
    scale: float = 0.0
    swap: float = 0.0
    missing: float = 0.0
    flip: float = 0.0
    label: float = 0.0
    covariate: float = 0.0
    concept: float = 0.0


NONE: Final = Change()
# The ten kinds: what changes on a day, given how many days ago it began.
KINDS: Final[dict[str, Callable[[int], Change]]] = {
    "shift": lambda _: Change(shift=0.5),
    "scale": lambda _: Change(scale=0.8),
    "category swap": lambda _: Change(swap=0.6),
    "missing values": lambda _: Change(missing=0.1),
    "correlation flip": lambda _: Change(flip=1.0),
    "label shift": lambda _: Change(label=0.3),
    "covariate drift": lambda _: Change(covariate=0.7),
    "concept drift": lambda _: Change(concept=0.25),
    "gradual shift": lambda day: Change(shift=0.05 * (day + 1)),
    "seasonal shift": lambda day: Change(shift=0.8 * float(np.sin(2 * np.pi * (day + 1) / 14))),
}


def games(random: Random, rows: int, change: Change = NONE) -> tuple[pd.DataFrame, Any, Any]:
    """Make up games: inputs, what a fixed model predicts, and what happened."""
    strength = random.normal(change.shift + change.covariate, 1 + change.scale, rows)
    sign = np.where(random.random(rows) < change.flip, -1.0, 1.0)
    rest = 0.7 * sign * (strength - change.shift - change.covariate) / (1 + change.scale) + random.normal(0, 0.7, rows)
    rest += 0.5 * change.covariate
    salary = random.lognormal(0, 0.6, rows)
    salary[random.random(rows) < 0.02 + change.missing] = np.nan
    venue = random.choice(np.array(["home", "away", "neutral"], dtype=object), rows, p=[0.55, 0.35, 0.1])
    is_swapped = random.random(rows) < change.swap
    venue[is_swapped] = np.where(venue[is_swapped] == "home", "away", "home")
    round_of_season = random.integers(0, 12, rows).astype(float)
    score = strength + 0.4 * (venue == "home") + random.normal(0, 0.8, rows)
    wins = score > 0.2
    if change.label:
        wins = np.where(random.random(rows) < change.label, True, wins)
    if change.concept:
        wins = np.where(random.random(rows) < change.concept, ~wins, wins)
    inputs = pd.DataFrame(
        {"strength": strength, "rest": rest, "salary": salary, "venue": venue, "round": round_of_season}
    )
    return inputs, (strength + 0.4 * (venue == "home") > 0.2).astype(int), wins.astype(int)


def reference(random: Random) -> Profile:
    """Profile the training data of a model."""
    inputs, predictions, targets = games(random, REFERENCE_ROWS)
    return make_profile(inputs, predictions, targets)


def window(random: Random, like: Profile, rows: int, change: Change = NONE) -> Profile:
    """Profile what a model saw in a window."""
    builder = ProfileBuilder(like=like, seed=int(random.integers(2**31)))
    builder.add(*games(random, rows, change))
    return builder.finish()


@dataclass
class FalseAlarms:
    """What months of checks without drift raised."""

    every: str
    rows: int
    detectors: int
    months: int = 0
    checks: int = 0
    alarms: int = 0
    incidents: int = 0
    without_thresholds: int = 0
    seconds: float = 0.0

    @property
    def per_month(self) -> float:
        """Return the false incidents per model and month."""
        return self.incidents / self.months


def false_alarms(
    months: int, every: str, rows: int, detectors: Sequence[str] = COLUMNWISE, seed: int = 0
) -> FalseAlarms:
    """Check models through months without drift, each month with another model."""
    alpha = alpha_of(every, FALSE_INCIDENTS)
    found = FalseAlarms(every, rows, len(detectors))
    begun = time.perf_counter()
    for month in range(months):
        random = np.random.default_rng([seed, month])
        like = reference(random)
        causes: set[str] = set()
        for _ in range(round(FALSE_INCIDENTS / alpha)):
            results = compare_profiles(like, window(random, like, rows), detectors, Sensitivity(alpha))
            drifted = {result.cause for result in results if result.drifted}
            causes |= drifted
            found.checks += 1
            found.alarms += bool(drifted)
            found.without_thresholds += any(
                (one.p_adjusted or 1.0) <= alpha for one in results if one.p_value is not None
            )
        found.months += 1
        found.incidents += len(causes)
    found.seconds = time.perf_counter() - begun
    return found


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
        like = reference(random)
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


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drift", description=__doc__)
    parser.add_argument("--daily-months", type=int, default=1_000, help="months of daily checks without drift")
    parser.add_argument("--hourly-months", type=int, default=100, help="months of hourly checks without drift")
    parser.add_argument("--classifier-months", type=int, default=20, help="the same, daily, with the domain classifier")
    parser.add_argument("--power-months", type=int, default=30, help="months with drift, of each kind")
    options = parser.parse_args()
    for months, every, rows, detectors in (
        (options.daily_months, "1d", 500, COLUMNWISE),
        (options.hourly_months, "1h", 200, COLUMNWISE),
        (options.classifier_months, "1d", 500, DEFAULT_DETECTORS),
    ):
        if months:
            found = false_alarms(months, every, rows, detectors)
            print(json.dumps({**asdict(found), "per_month": found.per_month}), flush=True)
    for kind in KINDS if options.power_months else ():
        print(json.dumps(asdict(power(kind, options.power_months))), flush=True)


if __name__ == "__main__":
    main()
