"""Counters and histograms of a server, in Prometheus's text format; those of several workers add up.

Each worker writes what it has counted to a file of its own in a directory that they share; the one that is asked adds
the others' to its own. Counters of a worker that ended stay, so that none ever falls.
"""

import json
import os
import threading
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

Labels = tuple[tuple[str, str], ...]

_BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_HELP: Final = {
    "registry_requests_total": ("counter", "Requests for predictions, by what they were answered with."),
    "registry_request_seconds": ("histogram", "Seconds from a request's head to its answer."),
    "registry_rows_total": ("counter", "Rows that were predicted."),
    "registry_swaps_total": ("counter", "How often a model was replaced by another."),
    "registry_shadow_requests_total": ("counter", "Requests that a shadow answered too, and how that went."),
    "registry_shadow_rows_total": ("counter", "Rows that a shadow predicted too."),
    "registry_shadow_differing_rows_total": ("counter", "Rows that a shadow predicted otherwise."),
    "registry_shadow_difference_total": ("counter", "Sum of absolute differences of a shadow's predictions."),
    "registry_shadow_seconds": ("histogram", "Seconds that a prediction takes, of the shadow and of who answers."),
    "registry_model_ready": ("gauge", "Whether a model is loaded and answers."),
    "registry_model_info": ("gauge", "Which version answers."),
    "registry_model_check_age_seconds": ("gauge", "Seconds since the registry was last asked with success."),
    "registry_model_failures": ("gauge", "Failed attempts to follow since the last success."),
    "registry_model_recorded": ("gauge", "Whether a monitor has its requests recorded."),
    "registry_model_unrecorded_rows": ("gauge", "Rows that were to be recorded and could not be."),
}


_OK: Final = 200


class RequestSeries:
    """The labels of the requests that one version is asked by one protocol, made once."""

    def __init__(self, model: str, version: str, protocol: str) -> None:
        self.labels: Labels = (("model", model), ("version", version))
        self._protocol = protocol
        self._with_status: dict[int, Labels] = {}

    def with_status(self, status: int) -> Labels:
        """Return the labels with protocol and status."""
        labels = self._with_status.get(status)
        if labels is None:
            labels = (*self.labels, ("protocol", self._protocol), ("status", str(status)))
            self._with_status[status] = labels
        return labels


class Metrics:
    """What one worker has counted."""

    def __init__(self, shared: Path | None = None) -> None:
        self._lock = threading.Lock()
        self._counters: dict[tuple[str, Labels], float] = defaultdict(float)
        self._histograms: dict[tuple[str, Labels], list[float]] = {}
        self._shared = shared

    def count(self, name: str, labels: Mapping[str, object], amount: float = 1) -> None:
        """Add to a counter."""
        with self._lock:
            self._counters[name, _labels(labels)] += amount

    def observe(self, name: str, labels: Mapping[str, object], seconds: float) -> None:
        """Add a duration to a histogram."""
        key = name, _labels(labels)
        with self._lock:
            self._add_duration(key, seconds)

    def _add_duration(self, key: tuple[str, Labels], seconds: float) -> None:
        cells = self._histograms.get(key)
        if cells is None:
            cells = self._histograms[key] = [0.0] * (len(_BUCKETS) + 2)
        cells[bisect_left(_BUCKETS, seconds)] += 1
        cells[-1] += seconds

    def count_request(self, series: "RequestSeries", status: int, seconds: float, rows: int) -> None:
        """Count a request for predictions, and the rows of one that was answered."""
        labels = series.labels
        with self._lock:
            self._counters["registry_requests_total", series.with_status(status)] += 1
            self._add_duration(("registry_request_seconds", labels), seconds)
            if status == _OK:
                self._counters["registry_rows_total", labels] += rows

    def share(self) -> None:
        """Write what was counted to where the other workers find it."""
        if self._shared is None:
            return
        with self._lock:
            counters = [[name, labels, value] for (name, labels), value in self._counters.items()]
            histograms = [[name, labels, cells] for (name, labels), cells in self._histograms.items()]
        fresh = self._shared / f".{os.getpid()}"
        fresh.write_text(json.dumps({"counters": counters, "histograms": histograms}), encoding="utf-8")
        fresh.replace(self._shared / f"{os.getpid()}.json")

    def text(self, gauges: Iterable[tuple[str, Mapping[str, object], float]]) -> str:
        """Return everything in Prometheus's format, with these gauges of this moment."""
        counters, histograms = self._sums()
        lines: dict[str, list[str]] = defaultdict(list)
        for (name, labels), value in sorted(counters.items()):
            lines[name].append(f"{name}{_shown(labels)} {_number(value)}")
        for (name, labels), cells in sorted(histograms.items()):
            total = 0.0
            for bound, cell in zip([*map(_number, _BUCKETS), "+Inf"], cells, strict=False):
                total += cell
                lines[name].append(f"{name}_bucket{_shown((*labels, ('le', bound)))} {_number(total)}")
            lines[name] += [
                f"{name}_sum{_shown(labels)} {cells[-1]!r}",
                f"{name}_count{_shown(labels)} {_number(total)}",
            ]
        for name, gauge_labels, value in gauges:
            lines[name].append(f"{name}{_shown(_labels(gauge_labels))} {_number(value)}")
        parts = []
        for name, samples in lines.items():
            kind, words = _HELP[name]
            parts += [f"# HELP {name} {words}", f"# TYPE {name} {kind}", *samples]
        return "\n".join(parts) + "\n"

    def _sums(self) -> tuple[dict[tuple[str, Labels], float], dict[tuple[str, Labels], list[float]]]:
        with self._lock:
            counters = defaultdict(float, self._counters)
            histograms = {key: list(cells) for key, cells in self._histograms.items()}
        for file in self._shared.glob("*.json") if self._shared is not None else ():
            if file.stem == str(os.getpid()):
                continue
            counted = json.loads(file.read_text(encoding="utf-8"))
            for name, labels, value in counted["counters"]:
                counters[name, tuple(map(tuple, labels))] += value
            for name, labels, cells in counted["histograms"]:
                key = name, tuple(map(tuple, labels))
                histograms[key] = [a + b for a, b in zip(histograms.get(key, [0.0] * len(cells)), cells, strict=True)]
        return counters, histograms


def _labels(labels: Mapping[str, object]) -> Labels:
    return tuple((key, str(value)) for key, value in labels.items())


def _shown(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{key}="{_escaped(value)}"' for key, value in labels) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
