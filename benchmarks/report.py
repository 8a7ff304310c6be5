"""Print figures as a table, and write them as JSON."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Figure:
    """One row: seconds per operation of each system, or bytes, and the promised ratios."""

    title: str
    database: str
    registry: float
    mlflow: float | None = None
    raw: float | None = None
    faster_at_least: float | None = None
    slower_at_most: float | None = None
    unit: str = "seconds"

    @property
    def faster(self) -> float | None:
        """Return how many times faster than MLflow it is."""
        return None if self.mlflow is None else self.mlflow / self.registry

    @property
    def slower(self) -> float | None:
        """Return how many times slower than raw SQL it is."""
        return None if self.raw is None else self.registry / self.raw


def table(figures: Iterable[Figure]) -> str:
    """Return a Markdown table; ✗ marks a ratio that misses its promise."""
    head = ("work", "database", "registry", "mlflow", "raw", "× faster than mlflow", "× slower than raw")
    rows = [head, *map(_cells, figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def write_json(path: Path, facts: dict[str, str], figures: Iterable[Figure]) -> None:
    """Write facts and figures; times are seconds per operation."""
    rows = [{**asdict(figure), "faster": figure.faster, "slower": figure.slower} for figure in figures]
    path.write_text(json.dumps({"facts": facts, "figures": rows}, indent=2) + "\n", encoding="utf-8")


def _cells(figure: Figure) -> tuple[str, ...]:
    faster = _ratio(
        figure.faster, figure.faster_at_least, "≥", missed=(figure.faster or 0) < (figure.faster_at_least or 0)
    )
    missed = figure.slower_at_most is not None and (figure.slower or 0) > figure.slower_at_most
    slower = _ratio(figure.slower, figure.slower_at_most, "≤", missed=missed)
    shown = _size if figure.unit == "bytes" else shown_seconds
    times = (shown(figure.registry), shown(figure.mlflow), shown(figure.raw))
    return (figure.title, figure.database, *times, faster, slower)


def _ratio(ratio: float | None, promised: float | None, sign: str, *, missed: bool) -> str:
    if ratio is None:
        return "–"
    shown = f"{ratio:.1f}"
    return shown if promised is None else f"{shown} ({sign} {promised:g}){' ✗' if missed else ''}"


def shown_seconds(seconds: float | None) -> str:
    """Format a time with three digits and a fitting unit."""
    if seconds is None:
        return "–"
    for factor, unit in ((1, "s"), (1e3, "ms")):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"


def _size(number: float | None) -> str:
    return "–" if number is None else f"{number / 2**20:,.0f} MiB"
