"""Compute where the periods of a timeline are drawn: in percent of its width, so that it fits every screen."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from registry.entities.history import moment_of
from registry.entities.stages import ACTIVE_STAGES
from registry.store.registry.history_queries import StageTenure

MAX_LANES: Final = 10
_TICKS: Final = 4
# Narrower periods are drawn this wide (percent), so that they can be seen.
_LEAST: Final = 0.3


@dataclass(frozen=True, slots=True)
class Bar:
    """A period as a bar: `left` and `width` in percent."""

    tenure: StageTenure
    left: float
    width: float


@dataclass(frozen=True, slots=True)
class Lane:
    """The periods of one stage or alias."""

    stage: str
    bars: Sequence[Bar]


@dataclass(frozen=True, slots=True)
class Timeline:
    """Lanes on one scale; `ticks` are positions in percent with times in microseconds."""

    lanes: Sequence[Lane]
    ticks: Sequence[tuple[float, int]]
    hidden_lanes: int


def draw_timeline(tenures: Sequence[StageTenure], now_us: int | None) -> Timeline | None:
    """Lay out tenures from the first beginning to now, or to the last one that is known; None if there are none."""
    if not tenures:
        return None
    first = min(tenure.since for tenure in tenures)
    last = max(now_us or 0, *(tenure.until or tenure.since for tenure in tenures), first + 1)
    lanes: dict[str, list[Bar]] = {stage: [] for stage in reversed(ACTIVE_STAGES)}
    for tenure in sorted(tenures, key=lambda one: one.since):
        left = _percent(tenure.since, first, last)
        width = max(_percent(last if tenure.until is None else tenure.until, first, last) - left, _LEAST)
        lanes.setdefault(tenure.stage, []).append(Bar(tenure, min(left, 100 - _LEAST), width))
    used = [Lane(stage, bars) for stage, bars in lanes.items() if bars]
    ticks = [(100 * part / _TICKS, first + (last - first) * part // _TICKS) for part in range(_TICKS + 1)]
    return Timeline(used[:MAX_LANES], ticks, max(0, len(used) - MAX_LANES))


def tick_text(microseconds: int, span_us: int) -> str:
    """Return the label of a tick: a date, or a time if the whole timeline is shorter than two days."""
    return moment_of(microseconds).strftime("%H:%M:%S" if span_us < 172_800_000_000 else "%Y-%m-%d")


def _percent(moment: int, first: int, last: int) -> float:
    return round(100 * (moment - first) / (last - first), 3)
