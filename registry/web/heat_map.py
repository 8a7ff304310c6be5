"""Lay out checks as a heat map: a row per column, a cell per check. Pure.

A cell shows the effect as a share of the threshold: 1 and more is large enough to matter. A mark says that it is drift,
so that the map can be read without its colours.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from registry.monitoring.report import ALL_INPUTS, JOINT, PERFORMANCE, ColumnResult, DriftReport
from registry.web.formatting import number

DRIFT_MARK: Final = "▲"
NOTHING_MARK: Final = "·"
CORRELATION: Final = "correlation"
CORRELATIONS: Final = "correlations of inputs"
_LARGEST: Final = 10.0
_SHOWN_RESULTS: Final = 8
_ORDER: Final = {PERFORMANCE: 0, "prediction": 1, "target": 2, JOINT: 3, "input": 4}
# Role, column and segment of a row; the segment is empty for all rows of the data.
Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Cell:
    """What one check found in one column.

    Attributes:
        level: ``gone`` (not in the report), ``unknown`` (not measured), ``low``, ``some`` (half the threshold),
            ``unsure`` (over the threshold, but perhaps by chance), ``drift`` or ``strong`` (twice the threshold).
        text: What stands in it.
        title: The figures of all detectors.
    """

    level: str
    text: str
    title: str


@dataclass(frozen=True, slots=True)
class Row:
    """One column and its cells, in the order of the checks."""

    key: Key
    cells: Sequence[Cell]


def draw_heat_map(reports: Sequence[DriftReport | None]) -> list[Row]:
    """Return the rows of reports that are given oldest first: what drifted last comes first."""
    by_report = [_group(report) for report in reports]
    keys = dict.fromkeys(key for groups in by_report for key in groups)
    newest = next((groups for groups in reversed(by_report) if groups), {})

    def order(key: Key) -> tuple[float, float, int, str, str]:
        seen = [largest_effect(groups[key]) for groups in by_report if key in groups]
        return -largest_effect(newest.get(key, ())), -max(seen, default=0.0), _ORDER.get(key[0], 9), key[1], key[2]

    return [Row(key, [_cell(groups.get(key)) for groups in by_report]) for key in sorted(keys, key=order)]


def key_of(result: ColumnResult) -> Key:
    """Return the row of a result. All correlations share one: which pair changed most differs from check to check."""
    column = CORRELATIONS if result.role == JOINT and result.aspect == CORRELATION else result.column
    return result.role, column, result.segment


def name_of(key: Key) -> str:
    """Return what a row is called."""
    role, column, segment = key
    if role == JOINT:
        column = "all inputs together" if column == ALL_INPUTS else column
    elif role not in (PERFORMANCE, "input"):
        column = f"{column} ({role})"
    return f"{column}, where {segment}" if segment else column


def relative_effect(result: ColumnResult) -> float | None:
    """Return an effect as a share of its threshold, or None if it was not measured."""
    if result.note or result.effect is None:
        return None
    if not result.threshold:
        return _LARGEST if result.drifted else 0.0
    return max(0.0, result.effect / result.threshold)


def largest_effect(results: Sequence[ColumnResult]) -> float:
    """Return the largest relative effect; drift counts for more than what chance may explain."""
    return max(((relative_effect(one) or 0.0) + (100.0 if one.drifted else 0.0) for one in results), default=0.0)


def results_of(report: DriftReport, key: Key) -> list[ColumnResult]:
    """Return the results of one column, the largest effect first."""
    found = [result for result in report.results if key_of(result) == key]
    return sorted(found, key=lambda one: -largest_effect([one]))


def _group(report: DriftReport | None) -> Mapping[Key, Sequence[ColumnResult]]:
    groups: dict[Key, list[ColumnResult]] = {}
    for result in () if report is None else report.results:
        groups.setdefault(key_of(result), []).append(result)
    return groups


def _cell(results: Sequence[ColumnResult] | None) -> Cell:
    if results is None:
        return Cell("gone", "", "not in the report")
    ordered = sorted(results, key=lambda one: -largest_effect([one]))
    title = "; ".join(map(describe_result, ordered[:_SHOWN_RESULTS]))
    worst, effect = ordered[0], relative_effect(ordered[0])
    if effect is None:
        return Cell("unknown", NOTHING_MARK, title)
    text = f"{effect:.1f}" if effect < _LARGEST else "10+"
    if worst.drifted:
        return Cell("strong" if effect >= 2 else "drift", f"{DRIFT_MARK}{text}", title)
    return Cell("unsure" if effect >= 1 else "some" if effect >= 0.5 else "low", text, title)


def describe_result(result: ColumnResult) -> str:
    """Return a result as a sentence: ``psi 0.31 of 0.1, p 0.002: drift``."""
    if result.note:
        return f"{result.detector}: {result.note}"
    pair = f" of {result.column}" if result.role == JOINT and result.aspect == CORRELATION else ""
    parts = f"{result.detector}{pair} {number(_rounded(result.effect))} of {number(result.threshold)}"
    sure = "" if result.p_adjusted is None else f", p {result.p_adjusted:.2g}"
    return f"{parts}{sure}{': drift' if result.drifted else ''}"


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.3g}")
