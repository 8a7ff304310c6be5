"""`compare_profiles`: every detector on every column, and which differences are drift.

Guarantees: without any drift, the expected number of checks in a month that find something is at most the budget,
however often is checked. Each check does so with a probability of at most ``budget x interval / month``, whatever its
number of columns and detectors (Benjamini-Hochberg); expectations of dependent checks add up like those of independent
ones. The budget counts checks, not causes: one that is wrong names several where columns repeat each other, and beside
columns that did drift only the expected share of wrong results is bounded.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

import numpy as np

from registry.entities.times import check_duration
from registry.exceptions import InvalidParameterError
from registry.monitoring.column_profiles import ColumnProfile
from registry.monitoring.columns import NUMBER
from registry.monitoring.detectors import (
    ALL_DETECTORS,
    CORRELATION,
    DEFAULT_DETECTORS,
    DETECTORS,
    PERFORMANCE_DETECTOR,
    Detector,
    Finding,
    NoFindingError,
    Pair,
    find_decay,
)
from registry.monitoring.joint import JOINT_DETECTORS, JointDetector
from registry.monitoring.profiles import Profile
from registry.monitoring.report import ALL_INPUTS, JOINT, PERFORMANCE, ColumnResult, finite
from registry.validation.arguments import check_list

MONTH: Final = timedelta(days=30)
MINIMUM_ROWS: Final = 100
FALSE_INCIDENTS: Final = 0.1


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """What counts as drift.

    Attributes:
        alpha: The probability with which one check may find something where nothing drifted.
        minimum_rows: The number of rows below which nothing is tested.
        thresholds: The least effect by detector, where it is not the detector's own.
    """

    alpha: float
    minimum_rows: int = MINIMUM_ROWS
    thresholds: Mapping[str, float] | None = None

    def threshold(self, detector: str, default: float) -> float:
        """Return the least effect of a detector that counts."""
        return (self.thresholds or {}).get(detector, default)


def alpha_of(every: str | timedelta, false_incidents: float) -> float:
    """Return the probability with which one check may find something where nothing drifted.

    Raises:
        InvalidParameterError: The interval or the budget is not positive.
    """
    interval = check_duration(every, "every", positive=True)
    if isinstance(false_incidents, bool) or not isinstance(false_incidents, int | float) or not false_incidents > 0:
        raise InvalidParameterError(f"false_incidents must be a number greater than 0, got {false_incidents!r}.")
    return min(0.05, false_incidents * (interval / MONTH))


def check_detectors(detectors: Sequence[str] | None) -> tuple[str, ...]:
    """Return the names of detectors.

    Raises:
        InvalidParameterError: A name is unknown.
    """
    if detectors is None:
        return DEFAULT_DETECTORS
    names = check_list(detectors, "detectors", str)
    unknown = [name for name in names if name not in ALL_DETECTORS]
    if unknown or not names:
        what = f"There is no detector {unknown[0]!r}" if unknown else "No detector is named"
        raise InvalidParameterError(f"{what}; choose among {', '.join(ALL_DETECTORS)}.")
    return tuple(dict.fromkeys(names))


def compare_profiles(
    reference: Profile, window: Profile, detectors: Sequence[str], sensitivity: Sensitivity
) -> tuple[ColumnResult, ...]:
    """Run detectors on all columns and segments, correct for the number of tests, and decide what is drift.

    Within a segment, the distributions of predictions and targets are compared, and the performance.
    """
    results = _compare(reference, window, detectors, sensitivity)
    for name in detectors:
        # Only a reference that was made with correlations says that they matter.
        if name in JOINT_DETECTORS and (name != CORRELATION or reference.correlations):
            results.append(_of_inputs(reference, window, JOINT_DETECTORS[name], sensitivity))
    in_segments = [name for name in detectors if name not in DETECTORS or DETECTORS[name].aspect == "distribution"]
    for column, value in reference.segments:
        seen = window.get_segment(column, value) if (column, value) in window.segments else Profile(0, ())
        found = _compare(reference.get_segment(column, value), seen, in_segments, sensitivity)
        results += [replace(result, segment=f"{column}={value}") for result in found]
    return _decide(results, sensitivity.alpha)


def _compare(
    reference: Profile, window: Profile, detectors: Sequence[str], sensitivity: Sensitivity
) -> list[ColumnResult]:
    """Run the detectors of columns, and of performance."""
    results = [result for column in reference.columns for result in _of_column(reference, window, column, detectors)]
    if PERFORMANCE_DETECTOR in detectors:
        results += _of_performance(reference, window, sensitivity)
    return [_with_threshold(result, sensitivity, window) for result in results]


def _of_column(
    reference: Profile, window: Profile, column: ColumnProfile, detectors: Sequence[str]
) -> Iterator[ColumnResult]:
    observed = window.find(*column.key)
    chosen = [DETECTORS[name] for name in detectors if name in DETECTORS and column.kind in DETECTORS[name].kinds]
    if observed is None or observed.kind != column.kind:
        note = "not observed" if observed is None else f"observed as {observed.kind}"
        yield from (_unavailable(column, detector, note) for detector in chosen)
        return
    # Categories are compared by their counts alone.
    rows = [one.values(*column.key) if column.kind == NUMBER else None for one in (reference, window)]
    pair = Pair(column, observed, rows[0], rows[1])
    for detector in chosen:
        try:
            if detector.aspect != "missing" and not (column.present and observed.present):
                raise NoFindingError("there are no values")
            finding = detector.find(pair)
        except NoFindingError as error:
            yield _unavailable(column, detector, str(error))
        else:
            yield _result(column, detector, finding)


def _result(column: ColumnProfile, detector: Detector, finding: Finding) -> ColumnResult:
    return ColumnResult(
        column.name,
        column.role,
        column.kind,
        detector.name,
        detector.aspect,
        statistic=finite(finding.statistic),
        effect=finite(finding.effect),
        threshold=detector.threshold,
        p_value=finding.p_value,
    )


def _unavailable(column: ColumnProfile, detector: Detector, note: str) -> ColumnResult:
    return ColumnResult(column.name, column.role, column.kind, detector.name, detector.aspect, note=note)


def _of_performance(reference: Profile, window: Profile, sensitivity: Sensitivity) -> list[ColumnResult]:
    if reference.performance is None:
        return []  # it is not known how good the model was
    name = reference.performance.metric
    result = ColumnResult(name, PERFORMANCE, "metric", PERFORMANCE_DETECTOR, "metric")
    if window.performance is None:
        return [replace(result, note="no ground truth")]
    if window.performance.rows < sensitivity.minimum_rows:
        return [replace(result, note=_too_few(window.performance.rows, sensitivity))]
    try:
        finding, threshold = find_decay(reference.performance, window.performance)
    except NoFindingError as error:
        return [replace(result, note=str(error))]
    low, high = window.performance.interval()
    return [
        replace(
            result,
            statistic=finite(finding.statistic),
            effect=finite(finding.effect),
            threshold=threshold,
            p_value=finding.p_value,
            low=finite(low),
            high=finite(high),
        )
    ]


def _of_inputs(reference: Profile, window: Profile, detector: JointDetector, sensitivity: Sensitivity) -> ColumnResult:
    result = ColumnResult(ALL_INPUTS, JOINT, "rows", detector.name, detector.aspect)
    if window.rows < sensitivity.minimum_rows:
        return replace(result, note=_too_few(window.rows, sensitivity))
    threshold = sensitivity.threshold(detector.name, detector.threshold)
    try:
        columns, finding = detector.find(reference, window, threshold)
    except NoFindingError as error:
        return replace(result, note=str(error))
    return replace(
        result,
        column=columns,
        statistic=finding.statistic,
        effect=finding.effect,
        threshold=threshold,
        p_value=finding.p_value,
    )


def _with_threshold(result: ColumnResult, sensitivity: Sensitivity, window: Profile) -> ColumnResult:
    """Return a result with the threshold of this check; without figures if there are too few rows."""
    if result.note:
        return result
    column = window.find(result.role, result.column)
    rows = window.rows if column is None or result.aspect == "missing" else column.present
    if column is not None and rows < sensitivity.minimum_rows:
        empty = ColumnResult(result.column, result.role, result.kind, result.detector, result.aspect)
        return replace(empty, note=_too_few(rows, sensitivity))
    return replace(result, threshold=sensitivity.threshold(result.detector, result.threshold or 0.0))


def _too_few(rows: int, sensitivity: Sensitivity) -> str:
    return f"too few rows: {rows} of {sensitivity.minimum_rows}"


def _decide(results: Sequence[ColumnResult], alpha: float) -> tuple[ColumnResult, ...]:
    """Adjust the p-values (Benjamini-Hochberg) and mark what is both sure and large enough."""
    tested = [position for position, result in enumerate(results) if result.p_value is not None]
    adjusted = dict(zip(tested, adjust_p_values([results[position].p_value for position in tested]), strict=True))
    return tuple(
        replace(
            result,
            p_adjusted=adjusted[position],
            drifted=adjusted[position] <= alpha and (result.effect or 0.0) >= (result.threshold or 0.0),
        )
        if position in adjusted
        else result
        for position, result in enumerate(results)
    )


def adjust_p_values(p_values: Sequence[Any]) -> list[float]:
    """Return p-values after the correction of Benjamini and Hochberg (1995), in the same order.

    Without any drift, some adjusted p-value is at most `alpha` with a probability of at most `alpha`: for independent
    tests, and for those that go together (Benjamini and Yekutieli, 2001).
    """
    values = np.asarray(p_values, dtype=np.float64)
    if not len(values):
        return []
    order = np.argsort(values)[::-1]
    ranks = np.arange(len(values), 0, -1)
    adjusted = np.empty(len(values))
    adjusted[order] = np.minimum.accumulate(np.minimum(1.0, values[order] * len(values) / ranks))
    return [float(value) for value in adjusted]
