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


def test_figures_of_tools_count_checks_without_drift_and_months_with_drift() -> None:
    from benchmarks.drift.months import Month
    from benchmarks.drift.peers import Figure, summarize, table

    place = Path("month.parquet")
    quiet = [Month("games", "no drift", number, 30, place) for number in (0, 1)]
    shifted = [Month("games", "shift", number, 5, place) for number in (0, 1, 2)]
    alarms = {quiet[0]: [3, 9], quiet[1]: [], shifted[0]: [0, 1], shifted[1]: [3], shifted[2]: []}
    figures = list(summarize("registry", {month: {"check": days} for month, days in alarms.items()}))
    assert figures == [
        Figure("games", "no drift", "registry", "check", 60, 2),
        Figure("games", "shift", "registry", "check", 3, 2, 2.5),
    ]
    figures.append(Figure("games", "no drift", "alibi", "KSDrift", 60, 5))
    assert table(figures).splitlines() == [
        "| Data | Drift | registry | alibi, KSDrift |",
        "| --- | --- | --- | --- |",
        "| games | no drift | 2 of 60 checks | 5 of 60 checks |",
        "| games | shift | 2 of 3, day 2.5 | – |",
    ]


def test_a_peer_that_is_not_known_is_refused() -> None:
    with pytest.raises(subprocess.CalledProcessError) as failure:
        run("--peers", "nannyml=python")
    assert "There is no peer 'nannyml'; there are evidently, alibi, river." in failure.value.stderr


@pytest.mark.slow
def test_every_kind_of_drift_of_both_sources_is_found_and_no_alarm_is_raised_without() -> None:
    rows = [line.strip("| ").split(" | ") for line in run("--peers", "", "--peer-months", "1").splitlines()[2:]]
    assert {source: found for source, kind, found in rows if kind == "no drift"} == {
        "games": "0 of 30 checks",
        "cells": "0 of 30 checks",
    }
    assert {found.partition(",")[0] for _, kind, found in rows if kind != "no drift"} == {"1 of 1"}
    assert len(rows) == 22


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
