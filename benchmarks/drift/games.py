"""Games that are made up: what a model is trained on, and ten ways in which what it sees may differ."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from registry.monitoring.profiles import Profile, ProfileBuilder, make_profile

REFERENCE_ROWS: Final = 5_000
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


def reference(random: Random, *, correlations: bool = False) -> Profile:
    """Profile the training data of a model."""
    inputs, predictions, targets = games(random, REFERENCE_ROWS)
    return make_profile(inputs, predictions, targets, correlations=correlations)


def window(random: Random, like: Profile, rows: int, change: Change = NONE) -> Profile:
    """Profile what a model saw in a window."""
    builder = ProfileBuilder(like=like, seed=int(random.integers(2**31)))
    builder.add(*games(random, rows, change))
    return builder.finish()
