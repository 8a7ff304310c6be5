"""Distributions of columns: what a check compared, small enough to be kept beside its report and drawn.

They are a picture of the evidence, not the evidence: the report's digest does not cover them.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from registry.exceptions import InvalidParameterError

if TYPE_CHECKING:
    from registry.monitoring.column_profiles import ColumnProfile
    from registry.monitoring.profiles import Profile

FORMAT: Final = 1
DISTRIBUTIONS_FILE: Final = "distributions.json"
BINS: Final = 20
MAX_CATEGORIES: Final = 15
MAX_COLUMNS: Final = 1_000
_LONGEST_CATEGORY: Final = 100
# The outer bins take what lies beyond these shares, so that one outlier does not squeeze the rest into one bin.
_OUTER_SHARES: Final = (0.005, 0.995)


@dataclass(frozen=True, slots=True)
class Distribution:
    """One column of the reference and of the window, counted in the same bins or categories.

    Attributes:
        role: ``input``, ``prediction`` or ``target``.
        name: The column.
        kind: ``number``, ``category`` or ``time`` (milliseconds since the epoch).
        reference: Counts of the reference: one per bin, or one per category and one for all others.
        window: The same of the window.
        edges: The inner edges of the bins, one less than there are bins; the outer bins are open.
        categories: The categories, one less than there are counts.
        reference_missing: The share of the reference's values that are missing.
        window_missing: The same of the window.
    """

    role: str
    name: str
    kind: str
    reference: tuple[int, ...]
    window: tuple[int, ...]
    edges: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()
    reference_missing: float = 0.0
    window_missing: float = 0.0


@dataclass(frozen=True, slots=True)
class Distributions:
    """What a check compared: the distributions of its columns, and how good the model was on the reference.

    Attributes:
        columns: One per column that both the reference and the window have.
        metric: The metric of the reference's performance, or None if it is not known.
        reference_value: Its value.
    """

    columns: tuple[Distribution, ...]
    metric: str | None = None
    reference_value: float | None = None

    def find(self, role: str, name: str) -> Distribution | None:
        """Return the distribution of a column, or None."""
        return next((column for column in self.columns if (column.role, column.name) == (role, name)), None)

    def to_json(self) -> str:
        """Return the text of the file."""
        return json.dumps({"format": FORMAT, **asdict(self)}, sort_keys=True, allow_nan=False, ensure_ascii=False)

    @classmethod
    def from_json(cls, data: bytes) -> "Distributions":
        """Return what `to_json` gave.

        Raises:
            InvalidParameterError: The bytes are something else, or of a later format.
        """
        try:
            values = json.loads(data)
            if values["format"] != FORMAT:
                raise InvalidParameterError(f"These are no distributions of format {FORMAT}.")
            columns = tuple(_distribution_from(column) for column in values["columns"])
            metric, value = values["metric"], values["reference_value"]
            return cls(columns, None if metric is None else str(metric), None if value is None else float(value))
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise InvalidParameterError(f"These are no distributions of a check: {error!r}.") from error


def describe_distributions(reference: "Profile", window: "Profile") -> Distributions:
    """Return the distributions of the columns of two profiles."""
    columns = [
        distribution
        for column in reference.columns[:MAX_COLUMNS]
        if (observed := window.find(*column.key)) is not None
        and observed.kind == column.kind
        and (distribution := _describe(reference, window, column, observed)) is not None
    ]
    performance = reference.performance
    if performance is None:
        return Distributions(tuple(columns))
    return Distributions(tuple(columns), performance.metric, performance.value)


def _describe(
    reference: "Profile", window: "Profile", column: "ColumnProfile", observed: "ColumnProfile"
) -> Distribution | None:
    categories: tuple[str, ...] = ()
    edges: tuple[float, ...] = ()
    counts: Sequence[tuple[int, ...]]
    if column.categories is not None:
        categories, counts = _count_categories(column, observed)
    else:
        samples = [profile.values(*column.key) for profile in (reference, window)]
        if all(sample is not None and len(sample) for sample in samples):
            edges, counts = _count_samples(samples)
        elif column.counts and column.edges == observed.edges:
            edges, counts = column.edges, (column.counts, observed.counts)
        else:
            return None
    return Distribution(
        column.role,
        column.name,
        column.kind,
        counts[0],
        counts[1],
        edges,
        categories,
        column.missing / max(1, column.count),
        observed.missing / max(1, observed.count),
    )


def _count_categories(
    column: "ColumnProfile", observed: "ColumnProfile"
) -> tuple[tuple[str, ...], tuple[tuple[int, ...], ...]]:
    """Return the categories with the largest shares on either side, and their counts with those of all others."""
    both = [dict(profile.categories or {}) for profile in (column, observed)]
    totals = [max(1, sum(counts.values())) for counts in both]

    def share(category: str) -> float:
        return max(counts.get(category, 0) / total for counts, total in zip(both, totals, strict=True))

    kept = sorted(both[0] | both[1], key=lambda category: (-share(category), category))[:MAX_CATEGORIES]
    counted = tuple(
        (
            *(counts.get(category, 0) for category in kept),
            profile.other + sum(count for category, count in counts.items() if category not in kept),
        )
        for profile, counts in zip((column, observed), both, strict=True)
    )
    return tuple(category[:_LONGEST_CATEGORY] for category in kept), counted


def _count_samples(samples: Sequence[Any]) -> tuple[tuple[float, ...], tuple[tuple[int, ...], ...]]:
    """Return the inner edges of equally wide bins over both samples, and the counts of each sample."""
    import numpy as np

    ends = np.concatenate([np.quantile(sample, _OUTER_SHARES) for sample in samples])
    with np.errstate(over="ignore", invalid="ignore"):  # the width of numbers near the greatest float is infinite
        edges = np.unique(np.linspace(ends.min(), ends.max(), BINS + 1)[1:-1])
    edges = edges[np.isfinite(edges)]
    counts = [np.bincount(np.searchsorted(edges, sample, side="right"), minlength=len(edges) + 1) for sample in samples]
    return tuple(edges.tolist()), tuple(tuple(count.tolist()) for count in counts)


def _distribution_from(values: Mapping[str, Any]) -> Distribution:
    """Return a distribution of the file, which anybody who may write the run's files could have written."""
    reference, window = (tuple(int(count) for count in values[key]) for key in ("reference", "window"))
    edges = tuple(float(edge) for edge in values["edges"])
    categories = tuple(str(category) for category in values["categories"])
    if (
        not len(reference) == len(window) == (len(categories) if not edges else len(edges)) + 1
        or min(*reference, *window) < 0
        or not all(map(math.isfinite, edges))
    ):
        raise ValueError("the counts do not fit the bins")
    return Distribution(
        str(values["role"]),
        str(values["name"]),
        str(values["kind"]),
        reference,
        window,
        edges,
        categories,
        float(values["reference_missing"]),
        float(values["window_missing"]),
    )
