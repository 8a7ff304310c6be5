"""`DriftReport`: what a check found, as a value that can be stored, compared, shown and drawn.

Guarantees: `DriftReport.from_dict(report.to_dict()) == report`, and the digest covers every field but `run_id`.
"""

import hashlib
import html
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Final

from registry.entities.history import digest_of
from registry.entities.times import format_milliseconds
from registry.exceptions import IntegrityError, InvalidParameterError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

FORMAT: Final = 1
REPORT_FILE: Final = "report.json"
# What a column is to the model. "performance" are metrics on ground truth; "joint" is all inputs together.
INPUT: Final = "input"
PREDICTION: Final = "prediction"
TARGET: Final = "target"
PERFORMANCE: Final = "performance"
JOINT: Final = "joint"
# The column of a result of all inputs together.
ALL_INPUTS: Final = "*"
_LONGEST_CAUSE: Final = 250
_DIGITS: Final = 12


@dataclass(frozen=True, slots=True)
class ColumnResult:
    """What one detector found in one column.

    Attributes:
        column: The column, the metric of a ``performance`` result, ``*`` for all inputs together, or the pair of
            columns whose correlation changed most surely.
        role: ``input``, ``prediction``, ``target``, ``performance`` or ``joint``.
        kind: ``number`` or ``category``; ``metric`` for performance, ``rows`` for all inputs together.
        detector: The name of the detector, such as ``ks``.
        aspect: What the detector looks at: ``distribution``, ``missing``, ``new_categories``, ``range``, ``metric``,
            ``joint`` or ``correlation``. Detectors of one aspect share a cause.
        statistic: The detector's own figure; None if it could not be computed.
        effect: How large the difference is, in the detector's unit, whatever the number of rows.
        threshold: The effect below which nothing counts as drift, however sure it is.
        p_value: How likely chance alone gives such a statistic; None for detectors without a test.
        p_adjusted: The same after the correction for all tests of the check.
        drifted: Whether this is drift: surely more than chance, and large enough to matter.
        note: Why there is no result, such as ``too few rows: 12 of 100``; empty if there is one.
        low: The lower end of the confidence interval of the statistic; for performance only.
        high: The upper end.
        segment: The rows that were compared, such as ``venue=home``; empty for all rows.

    Example:
        >>> from registry.monitoring import ColumnResult
        >>> result = ColumnResult("age", "input", "number", "ks", "distribution", 0.3, 0.3, 0.1, 1e-9, 1e-8, True)
        >>> result.cause
        'input/age:distribution'
    """

    column: str
    role: str
    kind: str
    detector: str
    aspect: str
    statistic: float | None = None
    effect: float | None = None
    threshold: float | None = None
    p_value: float | None = None
    p_adjusted: float | None = None
    drifted: bool = False
    note: str = ""
    low: float | None = None
    high: float | None = None
    segment: str = ""

    @property
    def cause(self) -> str:
        """Return the stable name of what this result would be the cause of.

        It is ``role/column:aspect``, and within a segment ``role/column:aspect[segment]``. Names that are too long for
        a database are cut, and a digest keeps them apart.
        """
        within = f"[{self.segment}]" if self.segment else ""
        name = f"{self.role}/{self.column}:{self.aspect}{within}".replace("\0", "\\0")
        if len(name) <= _LONGEST_CAUSE:
            return name
        digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGITS]
        return f"{name[: _LONGEST_CAUSE - _DIGITS - 1]}~{digest}"


@dataclass(frozen=True, slots=True)
class DriftReport:
    """What a model saw in a window of time, held against a reference. Made by `check`.

    Attributes:
        name: The registered model.
        version: The version that answered.
        model_id: Its logged model.
        stage: The stage that was checked, or None if a version was.
        window_start: The beginning of the window, in milliseconds since the epoch, UTC; it belongs to the window.
        window_end: The end of the window; it no longer belongs to it.
        against: ``reference``, ``previous`` or ``version N``.
        against_digest: The SHA-256 of the reference's profile.
        rows: The rows of the window.
        reference_rows: The rows of the reference.
        alpha: The share of checks without drift that may raise an alarm; follows from the budget of false incidents.
        results: One per column and detector, and those of segments.
        digest_of_data: The SHA-256 over the digests of the files of the window.
        run_id: The run that the report was logged as, or None. It is not part of the digest.

    Example:
        >>> from registry.monitoring import DriftReport
        >>> report = DriftReport("churn", 3, "m-1", "Production", 0, 3_600_000, "reference", None, 500, 5_000, 0.0033)
        >>> report.drifted, report.causes
        (False, ())
        >>> DriftReport.from_dict(report.to_dict()) == report
        True
    """

    name: str
    version: int
    model_id: str
    stage: str | None
    window_start: int
    window_end: int
    against: str
    against_digest: str | None
    rows: int
    reference_rows: int
    alpha: float
    results: tuple[ColumnResult, ...] = ()
    digest_of_data: str | None = None
    run_id: str | None = None

    @property
    def drifted(self) -> bool:
        """Tell whether any column drifted."""
        return any(result.drifted for result in self.results)

    @property
    def causes(self) -> tuple[str, ...]:
        """Return the names of what drifted, sorted, each once.

        A name such as ``input/age:distribution`` is the same in every check that finds the same, whichever detector
        finds it, so it can be used to open one incident per cause.
        """
        return tuple(sorted({result.cause for result in self.results if result.drifted}))

    @property
    def unavailable(self) -> tuple[ColumnResult, ...]:
        """Return the results that could not be computed; their `note` says why."""
        return tuple(result for result in self.results if result.note)

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as values that JSON can hold."""
        return {"format": FORMAT, **asdict(self), "results": [asdict(result) for result in self.results]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "DriftReport":
        """Return the report that `to_dict` gave.

        Raises:
            InvalidParameterError: The values are not those of a report, or of a later format.
        """
        if not isinstance(values, Mapping) or values.get("format") != FORMAT:
            raise InvalidParameterError(f"This is no drift report of format {FORMAT}; read it with a newer registry.")
        own = {field.name for field in fields(cls)}
        try:
            results = tuple(ColumnResult(**result) for result in values["results"])
            return cls(**{key: value for key, value in values.items() if key in own} | {"results": results})
        except (TypeError, KeyError) as error:
            raise InvalidParameterError(f"This is no drift report: {error}.") from error

    def digest(self) -> str:
        """Return the SHA-256 of the report (hex). It is the same before and after the report is logged as a run."""
        return _digest_of(self.to_dict())

    def to_frame(self) -> "pd.DataFrame":
        """Return a row per result: of each column, segment and detector."""
        import pandas as pd

        names = [field.name for field in fields(ColumnResult)]
        return pd.DataFrame([asdict(result) for result in self.results], columns=names)

    def plot(self) -> "Figure":
        """Draw the effect of each result as a share of its threshold; what drifted is red.

        Raises:
            MissingDependencyError: matplotlib is not installed.
        """
        from registry.monitoring.figures import draw_report

        return draw_report(self)

    def with_run(self, run_id: str) -> "DriftReport":
        """Return the report with the run that it was logged as."""
        return replace(self, run_id=run_id)

    def _repr_html_(self) -> str:
        title = html.escape(f"{self.name} version {self.version} against {self.against}")
        start, end = format_milliseconds(self.window_start), format_milliseconds(self.window_end)
        window = f"{start} to {end}, {self.rows:,} rows"
        verdict = "<b style='color:#b00020'>drifted</b>" if self.drifted else html.escape(self._verdict())
        within = ("segment",) if any(result.segment for result in self.results) else ()
        cells = ("column", "role", *within, "detector", "effect", "threshold", "p_adjusted", "drifted", "note")
        head = "".join(f"<th>{cell}</th>" for cell in cells)
        rows = sorted(self.results, key=lambda one: (not one.drifted, one.segment, one.role, one.column, one.detector))
        body = "".join(
            f"<tr>{''.join(f'<td>{html.escape(_format_cell(getattr(row, cell)))}</td>' for cell in cells)}</tr>"
            for row in rows
        )
        return (
            f"<p>{title}: {verdict}<br>{window}</p><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        )

    def __repr__(self) -> str:
        about = f"{self.name!r} version {self.version} against {self.against}, {self.rows} rows"
        return f"DriftReport({about}, {self._verdict()})"

    def _verdict(self) -> str:
        if self.drifted:
            return f"drifted: {', '.join(self.causes)}"
        if self.rows and len(self.unavailable) < len(self.results):
            return "no drift"
        notes = ", ".join(dict.fromkeys(result.note for result in self.results if result.note))
        return f"nothing was compared: {notes}" if notes else "nothing was compared"


def read_report(data: bytes, digest: str) -> DriftReport:
    """Return the report in the bytes of a ``report.json``.

    Raises:
        InvalidParameterError: The bytes are something else, or of a later format.
        IntegrityError: The report is not the one with this digest.
    """
    try:
        values = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InvalidParameterError(f"This is no drift report: {error}.") from error
    report = DriftReport.from_dict(values)
    try:
        # Of what was read, not of the report: a later version may know more fields.
        is_recorded = _digest_of(values) == digest
    except ValueError:  # NaN, which no report has
        is_recorded = False
    if not is_recorded:
        raise IntegrityError(f"The report of {report.name!r} differs from the digest that its check recorded.")
    return report


def _digest_of(values: Mapping[str, Any]) -> str:
    return digest_of({key: value for key, value in values.items() if key != "run_id"})


def finite(value: float | None) -> float | None:
    """Return a number as JSON can hold it: None instead of NaN and infinity."""
    return None if value is None or not math.isfinite(value) else float(value)


def _format_cell(value: Any) -> str:
    return "" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)
