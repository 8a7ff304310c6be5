"""Lay out the drawings of the drift page: distributions as bars, performance over time. Pure; positions are percent."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from registry.entities.history import moment_of
from registry.entities.monitors import MonitorCheck
from registry.monitoring.distributions import Distribution
from registry.monitoring.report import PERFORMANCE, ColumnResult, DriftReport
from registry.store.registry.history_queries import StageTenure
from registry.web.formatting import cut, number
from registry.web.heat_map import relative_effect

HEIGHT: Final = 180
_MARGIN: Final = 14
_TICKS: Final = 4
_LONGEST_LABEL: Final = 60


@dataclass(frozen=True, slots=True)
class Bar:
    """One bin or category: shares of the rows, and the heights of their bars, all in percent."""

    label: str
    reference: float
    window: float
    reference_height: float
    window_height: float


@dataclass(frozen=True, slots=True)
class Bars:
    """The bars of a distribution; `ends` are labels below a histogram from left to right."""

    distribution: Distribution
    bars: Sequence[Bar]
    ends: Sequence[str]


@dataclass(frozen=True, slots=True)
class Point:
    """The performance that a check measured: `left` in percent, `top`, `high` and `low` in pixels."""

    check_id: int
    result: ColumnResult
    version: int
    time_ms: int
    left: float
    top: float
    high: float | None
    low: float | None


@dataclass(frozen=True, slots=True)
class Band:
    """A period in which a version held the stage: `left` and `width` in percent."""

    version: int
    left: float
    width: float
    is_open: bool


@dataclass(frozen=True, slots=True)
class PerformanceChart:
    """Performance over time. `ticks` are positions with times in microseconds; `scale` are tops with values."""

    metric: str
    stage: str
    points: Sequence[Point]
    bands: Sequence[Band]
    reference: tuple[float, float] | None
    scale: Sequence[tuple[float, float]]
    ticks: Sequence[tuple[float, int]]


def draw_bars(distribution: Distribution) -> Bars:
    """Lay out a distribution."""
    shares = [_shares(counts) for counts in (distribution.reference, distribution.window)]
    tallest = max(*shares[0], *shares[1], 1e-9)
    labels = _labels(distribution)
    bars = [
        Bar(label, one, other, round(100 * one / tallest, 2), round(100 * other / tallest, 2))
        for label, one, other in zip(labels, *shares, strict=True)
    ]
    if distribution.categories and not (distribution.reference[-1] or distribution.window[-1]):
        bars = bars[:-1]  # there are no others
    edges = distribution.edges
    ends = [_edge(distribution, edges[place]) for place in (0, len(edges) // 2, -1)] if len(edges) > 2 else []
    return Bars(distribution, bars, ends)


def draw_performance(
    reports: Sequence[tuple[MonitorCheck, DriftReport]],
    tenures: Sequence[StageTenure],
    stage: str,
    reference: tuple[str, float] | None,
) -> PerformanceChart | None:
    """Lay out the performance that checks measured, oldest first; None if none did.

    `reference` is the metric and its value on the reference of the newest report.
    """
    measured = [
        (check, report, result)
        for check, report in reports
        for result in report.results
        if result.role == PERFORMANCE and not result.segment and result.statistic is not None
    ]
    if not measured:
        return None
    metric = measured[-1][2].column
    measured = [one for one in measured if one[2].column == metric]
    # A window ends with a whole hour, often a little after the check; one that was made later is about the past.
    times = [min(report.window_end, check.end_time) for check, report, _ in measured]
    first, last = min(times), max(times)
    if first == last:
        first -= measured[-1][1].window_end - measured[-1][1].window_start
    known = [reference[1]] if reference is not None and reference[0] == metric else []
    low, high = _range([*known, *(v for _, _, one in measured for v in (one.statistic, one.low, one.high))])

    def top(value: float) -> float:
        return round(_MARGIN + (HEIGHT - 2 * _MARGIN) * (high - value) / (high - low), 1)

    def left(milliseconds: float) -> float:
        return round(2 + 96 * (milliseconds - first) / (last - first), 3)

    points = [
        Point(
            check.id,
            result,
            report.version,
            time,
            left(time),
            top(result.statistic or 0.0),
            None if result.high is None else top(result.high),
            None if result.low is None else top(result.low),
        )
        for (check, report, result), time in zip(measured, times, strict=True)
    ]
    return PerformanceChart(
        metric,
        stage,
        points,
        _bands(tenures, stage, first, last),
        (top(known[0]), known[0]) if known else None,
        [(top(value), value) for value in (high, (high + low) / 2, low)],
        [(left(at), int(at * 1000)) for at in (first + (last - first) * part / _TICKS for part in range(_TICKS + 1))],
    )


def time_label(microseconds: int, chart: PerformanceChart) -> str:
    """Return the label of a tick: a date, with the time if the ticks are less than a day apart, or a time alone."""
    apart = (chart.ticks[-1][1] - chart.ticks[0][1]) / _TICKS
    form = "%Y-%m-%d" if apart >= 86_400_000_000 else "%m-%d %H:%M" if apart >= 60_000_000 else "%H:%M:%S"
    return moment_of(microseconds).strftime(form)


def most_changed(report: DriftReport, distributions: Sequence[Distribution], limit: int) -> list[Distribution]:
    """Return the distributions whose columns have the largest effects: what drifted first."""
    effects: dict[tuple[str, str], float] = {}
    for result in (one for one in report.results if not one.segment):
        effect = (relative_effect(result) or 0.0) + (100.0 if result.drifted else 0.0)
        key = (result.role, result.column)
        effects[key] = max(effects.get(key, 0.0), effect)
    return sorted(distributions, key=lambda one: -effects.get((one.role, one.name), 0.0))[:limit]


def _bands(tenures: Sequence[StageTenure], stage: str, first: float, last: float) -> list[Band]:
    bands = []
    for tenure in sorted((one for one in tenures if one.stage == stage), key=lambda one: one.since):
        begin = max(tenure.since / 1000, first)
        end = last if tenure.until is None else min(tenure.until / 1000, last)
        if begin < end or (tenure.until is None and begin <= last):
            left = 2 + 96 * (begin - first) / (last - first)
            width = max(96 * (end - begin) / (last - first), 0.3)
            bands.append(Band(tenure.version, round(left, 3), round(width, 3), tenure.until is None))
    return bands


def _range(values: Sequence[float | None]) -> tuple[float, float]:
    known = [value for value in values if value is not None]
    low, high = min(known), max(known)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _shares(counts: Sequence[int]) -> list[float]:
    total = max(1, sum(counts))
    return [100 * count / total for count in counts]


def _labels(distribution: Distribution) -> list[str]:
    if not distribution.edges:
        return [*(cut(category, _LONGEST_LABEL) or "(empty)" for category in distribution.categories), "all others"]
    edges = [_edge(distribution, edge) for edge in distribution.edges]
    between = [f"{low} to {high}" for low, high in itertools.pairwise(edges)]
    return [f"below {edges[0]}", *between, f"{edges[-1]} and above"]


def _edge(distribution: Distribution, edge: float) -> str:
    if distribution.kind != "time":
        return number(float(f"{edge:.4g}"))
    try:
        return moment_of(int(edge) * 1000).strftime("%Y-%m-%d %H:%M")
    except OverflowError:
        return number(edge)
