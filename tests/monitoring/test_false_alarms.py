"""Simulated months: without drift the budget of false incidents holds; with drift, every kind is found."""

import dataclasses
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from volumes import volume

ROOT = Path(__file__).parent.parent.parent

pytestmark = pytest.mark.skipif(
    not (ROOT / "benchmarks").is_dir(), reason="the benchmarks are in a checkout and in the source distribution"
)


def run(*options: str) -> str:
    """Run the command of the simulation."""
    command = [sys.executable, "-m", "benchmarks.drift", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def simulate(**months: int) -> list[dict[str, Any]]:
    """Run the simulation with so many months of each part; the others are left out."""
    options = [f"--{part}-months={months.get(part, 0)}" for part in ("daily", "hourly", "classifier", "power")]
    return [json.loads(line) for line in run(*options).splitlines()]


def most_incidents(months: int) -> float:
    """Return the number of false incidents that the budget allows, and chance on top of it once in a thousand."""
    return 0.1 * months + 3 * math.sqrt(0.1 * months) + 1


def test_a_screened_simulation_counts_what_an_unscreened_one_does() -> None:
    from benchmarks.drift.false_alarms import false_alarms

    whole, screened = (list(false_alarms(2, "1d", 500, seed=4, screened=screened))[-1] for screened in (False, True))
    assert dataclasses.replace(whole, seconds=0.0) == dataclasses.replace(screened, seconds=0.0)
    assert (screened.months, screened.checks) == (2, 60)


def test_the_screen_lets_every_small_p_value_through() -> None:
    from benchmarks.drift.false_alarms import COLUMNWISE, screen, windows
    from benchmarks.drift.games import games, reference
    from registry.monitoring.columns import read_columns
    from registry.monitoring.comparison import Sensitivity, compare_profiles

    like = reference(np.random.default_rng(3))
    kinds = {column.key: column.kind for column in like.columns}
    columns = read_columns(*games(np.random.default_rng(5), 200 * 60), kinds=kinds)
    smallest = [
        min(one.p_value for one in compare_profiles(like, seen, COLUMNWISE, Sensitivity(0.01)) if one.p_value)
        for seen in windows(np.random.default_rng(5), like, 200, 60, 1.0)
    ]
    assert screen(like, columns, 60, 0.05).tolist() == [p_value <= 0.05 for p_value in smallest]
    assert 5 < sum(p_value <= 0.05 for p_value in smallest) < 55


@pytest.mark.slow
def test_a_few_months_without_drift_keep_the_budget() -> None:
    daily, hourly = simulate(daily=30, hourly=10)
    assert (daily["months"], daily["checks"]) == (30, 900)
    assert (hourly["months"], hourly["checks"]) == (10, 7_200)
    for found in (daily, hourly):
        assert found["incidents"] <= most_incidents(found["months"])


@pytest.mark.storm
def test_the_budget_holds_however_often_is_checked() -> None:
    daily, hourly, classifier = simulate(daily=volume(1_000, 100), hourly=volume(1_000, 50), classifier=volume(100, 2))
    for found in (daily, hourly, classifier):
        assert found["incidents"] <= most_incidents(found["months"])
        assert found["without_thresholds"] <= 2 * most_incidents(found["months"])


@pytest.mark.storm
def test_every_kind_of_drift_is_found_within_days() -> None:
    for found in simulate(power=volume(30, 3)):
        assert (found["kind"], found["found"]) == (found["kind"], found["months"])
        assert found["median_delay"] <= 10
