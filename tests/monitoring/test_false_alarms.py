"""Simulated months: without drift the budget of false incidents holds; with drift, every kind is found."""

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from volumes import volume

ROOT = Path(__file__).parent.parent.parent

pytestmark = pytest.mark.skipif(
    not (ROOT / "benchmarks").is_dir(), reason="the benchmarks are in a checkout and in the source distribution"
)


def simulate(**months: int) -> list[dict[str, Any]]:
    """Run the simulation with so many months of each part; the others are left out."""
    options = [f"--{part}-months={months.get(part, 0)}" for part in ("daily", "hourly", "classifier", "power")]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.drift", *options], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def most_incidents(months: int) -> float:
    """Return the number of false incidents that the budget allows, and chance on top of it once in a thousand."""
    return 0.1 * months + 3 * math.sqrt(0.1 * months) + 1


@pytest.mark.slow
def test_a_few_months_without_drift_keep_the_budget() -> None:
    (daily,) = simulate(daily=12)
    assert (daily["months"], daily["checks"]) == (12, 360)
    assert daily["incidents"] <= most_incidents(12)


@pytest.mark.storm
def test_the_budget_holds_however_often_is_checked() -> None:
    daily, hourly, classifier = simulate(daily=volume(1_000, 30), hourly=volume(1_000, 2), classifier=volume(100, 2))
    for found in (daily, hourly, classifier):
        assert found["incidents"] <= most_incidents(found["months"])
        assert found["without_thresholds"] <= 2 * most_incidents(found["months"])


@pytest.mark.storm
def test_every_kind_of_drift_is_found_within_days() -> None:
    for found in simulate(power=volume(30, 3)):
        assert (found["kind"], found["found"]) == (found["kind"], found["months"])
        assert found["median_delay"] <= 10
