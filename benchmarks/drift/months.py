"""Months of data as Parquet files, which each tool reads: a reference, and a window for every day.

Games are made up. Cells are rows of scikit-learn's breast cancer set, drawn with replacement, with the same ten kinds
of drift. SEA, STAGGER and ConceptDriftStream are river's, made in river's own Python. A file holds one month: inputs,
what a fixed model predicts, targets, and the column ``day``: -1 for the reference, 0 for the first day of drift.
"""

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from benchmarks.drift.games import KINDS, NONE, Change, Random, games

REFERENCE: Final = -1
REFERENCE_ROWS: Final = 2_000
ROWS: Final = 500
NO_DRIFT: Final = "no drift"
# The days after drift has begun; without drift there are as many as in a month.
SUDDEN_DAYS: Final = 5
SLOW_DAYS: Final = 10
QUIET_DAYS: Final = 30
_SLOW: Final = ("gradual shift", "seasonal shift")
STREAMS: Final = ("SEA", "STAGGER", "ConceptDriftStream")


@dataclass(frozen=True)
class Month:
    """One month of one kind of drift, with so many days after the reference; `place` is its Parquet file."""

    source: str
    kind: str
    number: int
    days: int
    place: Path


def write_months(directory: Path, months: int, river: Path | None = None) -> Iterator[Month]:
    """Write so many months of each source and kind; river's streams need the Python that river is installed in."""
    for source, rows_of in {"games": _games, "cells": _cells}.items():
        for kind, change in {NO_DRIFT: lambda _: NONE, **KINDS}.items():
            for number in range(months):
                days = QUIET_DAYS if kind == NO_DRIFT else SLOW_DAYS if kind in _SLOW else SUDDEN_DAYS
                frame = _month(rows_of, np.random.default_rng([7, number]), change, days)
                yield _write(frame, directory, source, kind, number)
    if river is not None:
        yield from _streams(directory, months, river)


def _month(
    rows_of: Callable[[Random, int, Change], pd.DataFrame], random: Random, change: Callable[[int], Change], days: int
) -> pd.DataFrame:
    parts = [rows_of(random, REFERENCE_ROWS, NONE).assign(day=REFERENCE)]
    parts += [rows_of(random, ROWS, change(day)).assign(day=day) for day in range(days)]
    return pd.concat(parts, ignore_index=True)


def _write(frame: pd.DataFrame, directory: Path, source: str, kind: str, number: int) -> Month:
    place = directory / f"{source}-{kind.replace(' ', '-')}-{number}.parquet"
    frame.to_parquet(place, index=False)
    return Month(source, kind, number, int(frame["day"].max()) + 1, place)


def _games(random: Random, rows: int, change: Change) -> pd.DataFrame:
    inputs, predictions, targets = games(random, rows, change)
    return inputs.assign(prediction=predictions, target=targets)


@cache
def _cancer() -> tuple[pd.DataFrame, Any, Any]:
    """Return the ten means of the set and a category, whether the tumour is benign, and a model that takes NaN."""
    from sklearn.datasets import load_breast_cancer
    from sklearn.ensemble import HistGradientBoostingClassifier

    inputs, benign = load_breast_cancer(return_X_y=True, as_frame=True)
    inputs = inputs[[name for name in inputs.columns if name.startswith("mean ")]]
    model = HistGradientBoostingClassifier(max_iter=30, random_state=0).fit(inputs, benign)
    sizes = pd.qcut(inputs["mean area"], [0, 0.5, 0.8, 1], labels=["small", "middle", "large"]).astype(object)
    return inputs.assign(size=sizes), benign.to_numpy(), model


def _cells(random: Random, rows: int, change: Change) -> pd.DataFrame:
    inputs, benign, model = _cancer()
    standard = (inputs["mean texture"] - inputs["mean texture"].mean()) / inputs["mean texture"].std()
    weights = np.exp(change.covariate * standard.to_numpy())
    chosen = random.choice(len(inputs), rows, p=weights / weights.sum())
    is_redrawn = random.random(rows) < change.label
    chosen[is_redrawn] = random.choice(np.flatnonzero(benign == 1), int(is_redrawn.sum()))
    frame, targets = inputs.iloc[chosen].reset_index(drop=True), benign[chosen]
    texture, smooth, compact = (f"mean {name}" for name in ("texture", "smoothness", "compactness"))
    frame[texture] += change.shift * inputs[texture].std()
    frame[smooth] = inputs[smooth].mean() + (1 + change.scale) * (frame[smooth] - inputs[smooth].mean())
    if change.flip:
        # The greatest value changes place with the least: the column's distribution stays.
        order = frame[compact].to_numpy().argsort()
        frame.loc[order, compact] = frame[compact].to_numpy()[order[::-1]]
    frame.loc[random.random(rows) < change.missing, "mean symmetry"] = np.nan
    is_swapped = random.random(rows) < change.swap
    frame.loc[is_swapped, "size"] = np.where(frame.loc[is_swapped, "size"] == "small", "middle", "small")
    targets = np.where(random.random(rows) < change.concept, 1 - targets, targets)
    return frame.assign(prediction=model.predict(frame.drop(columns="size")), target=targets)


def _streams(directory: Path, months: int, river: Path) -> Iterator[Month]:
    from sklearn.ensemble import HistGradientBoostingClassifier

    script = Path(__file__).parent / "river_streams.py"
    settings = [str(value) for value in (months, REFERENCE_ROWS, ROWS, QUIET_DAYS, SUDDEN_DAYS, SLOW_DAYS)]
    subprocess.run([river, script, directory, *settings], check=True)
    for raw in sorted(directory.glob("*.stream.parquet")):
        source, kind, number = raw.name.removesuffix(".stream.parquet").split("-")
        frame = pd.read_parquet(raw)
        is_training = frame["day"] == REFERENCE - 1
        inputs = frame.drop(columns=["day", "target"])
        numbers = inputs.apply(
            lambda column: column if column.dtype.kind == "f" else pd.factorize(column, sort=True)[0]
        )
        model = HistGradientBoostingClassifier(max_iter=50, random_state=0)
        model.fit(numbers[is_training], frame["target"][is_training])
        frame["prediction"] = model.predict(numbers)
        yield _write(frame[~is_training], directory, source, kind, int(number))
