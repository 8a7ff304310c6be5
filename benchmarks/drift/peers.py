"""False alarms and power beside evidently and alibi-detect: the same files, each tool with its defaults."""

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pandas as pd

from benchmarks.drift.months import NO_DRIFT, REFERENCE, Month, write_months
from registry.monitoring.comparison import FALSE_INCIDENTS, Sensitivity, alpha_of, compare_profiles
from registry.monitoring.detectors import DEFAULT_DETECTORS
from registry.monitoring.profiles import Profile, ProfileBuilder, make_profile

REGISTRY: Final = "registry"
RIVER: Final = "river"
TOOLS: Final = ("evidently", "alibi")
_HERE: Final = Path(__file__).parent
_ANSWERS: Final = ["prediction", "target"]


@dataclass(frozen=True)
class Figure:
    """What one verdict of one tool said of one kind of drift of one source.

    Without drift, `found` is the number of checks that raised an alarm, of `checks`. With drift, it is the number of
    months, of `checks`, in which an alarm was raised, the first after `days` (median).
    """

    source: str
    kind: str
    tool: str
    verdict: str
    checks: int
    found: int
    days: float | None = None


def compare_tools(months: int, pythons: Mapping[str, Path]) -> list[Figure]:
    """Let each tool judge the same months; print a line on stderr for each that is done."""
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="registry-drift-") as directory:
        written = list(write_months(Path(directory), months, pythons.get(RIVER)))
        print(f"{len(written)} months written", file=sys.stderr, flush=True)
        for tool in (REGISTRY, *(tool for tool in TOOLS if tool in pythons)):
            verdicts = _own_verdicts(written) if tool == REGISTRY else _verdicts(tool, pythons[tool], written)
            alarms = {}
            for month, found in zip(written, verdicts, strict=True):
                alarms[month] = found
                print(json.dumps([tool, month.source, month.kind, month.number, found]), file=sys.stderr, flush=True)
            figures += summarize(tool, alarms)
    return figures


def summarize(tool: str, alarms: Mapping[Month, Mapping[str, Sequence[int]]]) -> Iterator[Figure]:
    """Yield a figure per source, kind and verdict, from the days of alarms of each month."""
    for source, kind in dict.fromkeys((month.source, month.kind) for month in alarms):
        chosen = {month: found for month, found in alarms.items() if (month.source, month.kind) == (source, kind)}
        for verdict in dict.fromkeys(verdict for found in chosen.values() for verdict in found):
            days = [found[verdict] for found in chosen.values()]
            if kind == NO_DRIFT:
                checks = sum(month.days for month in chosen)
                yield Figure(source, kind, tool, verdict, checks, sum(map(len, days)))
            else:
                first = [found[0] + 1 for found in days if found]
                median = statistics.median(first) if first else None
                yield Figure(source, kind, tool, verdict, len(days), len(first), median)


def _verdicts(tool: str, python: Path, months: Sequence[Month]) -> Iterator[dict[str, list[int]]]:
    script = _HERE / f"{tool}_verdicts.py"
    command = [str(python), "-W", "ignore", str(script), *(str(month.place) for month in months)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("{"):
                yield json.loads(line)
    if process.returncode:
        raise SystemExit(f"{script.name} failed in {python}.")


def _own_verdicts(months: Sequence[Month]) -> Iterator[dict[str, list[int]]]:
    sensitivity = Sensitivity(alpha_of("1d", FALSE_INCIDENTS))
    for month in months:
        frame = pd.read_parquet(month.place)
        days = frame.pop("day")
        known = make_profile(*_split(frame[days == REFERENCE]))
        alarms = []
        for day in range(month.days):
            seen = _window(known, frame[days == day])
            if any(result.drifted for result in compare_profiles(known, seen, DEFAULT_DETECTORS, sensitivity)):
                alarms.append(day)
        yield {"check": alarms}


def _window(known: Profile, frame: pd.DataFrame) -> Profile:
    builder = ProfileBuilder(like=known, seed=0)
    builder.add(*_split(frame))
    return builder.finish()


def _split(frame: pd.DataFrame) -> tuple[pd.DataFrame, "pd.Series[int]", "pd.Series[int]"]:
    return frame.drop(columns=_ANSWERS), frame["prediction"], frame["target"]


def table(figures: Sequence[Figure]) -> str:
    """Return the figures as a Markdown table: a row per source and kind, a column per verdict."""
    columns = dict.fromkeys((figure.tool, figure.verdict) for figure in figures)
    cells = {(figure.source, figure.kind, figure.tool, figure.verdict): _cell(figure) for figure in figures}
    head = ["Data", "Drift", *(tool if verdict == "check" else f"{tool}, {verdict}" for tool, verdict in columns)]
    lines = [head, ["---"] * len(head)]
    for source, kind in dict.fromkeys((figure.source, figure.kind) for figure in figures):
        lines.append([source, kind, *(cells.get((source, kind, *column), "–") for column in columns)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(figure: Figure) -> str:
    if figure.kind == NO_DRIFT:
        return f"{figure.found} of {figure.checks} checks"
    days = "" if figure.days is None else f", day {figure.days:g}"
    return f"{figure.found} of {figure.checks}{days}"
