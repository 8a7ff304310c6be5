"""Compare a sample of the imported runs with the source, value by value, through the client that users have."""

import heapq
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from registry.blobs.digests import hash_stream
from registry.client import MlflowClient
from registry.entities import Metric, Run
from registry.exceptions import RegistryError
from registry.mlflow_bridge.files import hash_files
from registry.mlflow_bridge.renames import Renames
from registry.mlflow_bridge.source import Source, SourceRun
from registry.store.transfer.outside_runs import SOURCE_TAG, STATE_TAG, Series

_RUNS: Final = 25
_WITH_FILES: Final = 5
_POINTS: Final = 100_000


class Sample:
    """Some runs of an import, the same in every import of the same source; long histories are left out."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, str, SourceRun, Sequence[Series]]] = []

    def offer(self, run: SourceRun, series: Sequence[Series]) -> None:
        """Keep a run if it belongs to the sample."""
        if sum(len(one.steps) for one in series) > _POINTS:
            return
        # Run ids are random; those whose ends are smallest are a random sample.
        order = -hash_of(run.run.run_id)
        item = (order, run.run.run_id, run, series)
        if len(self._heap) < _RUNS:
            heapq.heappush(self._heap, item)
        elif item[:2] > self._heap[0][:2]:
            heapq.heapreplace(self._heap, item)

    def runs(self) -> list[tuple[SourceRun, Sequence[Series]]]:
        """Return the runs and their histories."""
        return [(run, series) for _, _, run, series in sorted(self._heap, key=lambda item: item[:2], reverse=True)]


def hash_of(run_id: str) -> int:
    """Return a number for the order of a sample."""
    return int.from_bytes(run_id[::-1].encode()[:8].ljust(8, b"\0"), "big")


def compare_runs(client: MlflowClient, source: Source, sample: Sample, renames: Renames) -> tuple[int, list[str]]:
    """Return how many values of the sample were compared, and those that differ."""
    compared, differences = 0, []
    for number, (run, series) in enumerate(sample.runs()):
        pairs = _compared(client, run, series, renames)
        for what, expected, actual in (*pairs, *(_files(client, source, run) if number < _WITH_FILES else ())):
            compared += 1
            if expected != actual:
                differences.append(
                    f"{what} of the run {run.run.run_id} is {actual!r:.200} here, {expected!r:.200} in the source."
                )
    return compared, differences


def _compared(
    client: MlflowClient, source: SourceRun, series: Sequence[Series], renames: Renames
) -> Iterator[tuple[str, Any, Any]]:
    """Yield what, the value in the source and the value here."""
    expected, run = source.run, client.get_run(source.run.run_id)
    keys = renames.keys
    yield "The name", expected.name, run.info.run_name
    yield "The user", expected.user_id, run.info.user_id
    yield "The status", expected.status, run.info.status
    yield "The start", expected.start_time, run.info.start_time
    yield "The end", expected.end_time, run.info.end_time
    yield "The lifecycle stage", "deleted" if source.is_deleted else "active", run.info.lifecycle_stage
    yield from _pairs("param", {keys.get(key, key): value for key, value in expected.params.items()}, run.data.params)
    tags = {key: value for key, value in run.data.tags.items() if key not in (SOURCE_TAG, STATE_TAG)}
    yield from _pairs("tag", {keys.get(key, key): value for key, value in expected.tags.items()}, tags)
    yield "The metrics", sorted(keys.get(one.key, one.key) for one in series), sorted(run.data.metrics)
    for one in series:
        points = zip(one.steps, one.timestamps, map(_comparable, one.values), strict=True)
        history = client.get_metric_history(source.run.run_id, keys.get(one.key, one.key))
        yield f"The history of {one.key!r}", sorted(points), sorted(map(_point, history))
    yield "The data sets", sorted({(use.name, use.digest) for use in expected.inputs}), _data_sets(run)


def _pairs(what: str, expected: Mapping[str, str], actual: Mapping[str, str]) -> Iterator[tuple[str, Any, Any]]:
    for key in sorted({*expected, *actual}):
        yield f"The {what} {key!r}", expected.get(key), actual.get(key)


def _data_sets(run: Run) -> list[tuple[str, str]]:
    return sorted({(use.dataset.name, use.dataset.digest) for use in run.inputs.dataset_inputs})


def _point(metric: Metric) -> tuple[int, int, str]:
    return metric.step, metric.timestamp, _comparable(metric.value)


def _comparable(value: float) -> str:
    return "nan" if math.isnan(value) else repr(value)


def _files(client: MlflowClient, source: Source, run: SourceRun) -> Iterator[tuple[str, Any, Any]]:
    """Yield the digests of a run's files in the source and here. Files that cannot be read are a problem already."""
    try:
        expected = hash_files(source.run_files(run))
    except RegistryError:
        return
    store = client.backend.blobs(client.get_run(run.run.run_id).info.artifact_uri)
    actual = {}
    for info in store.walk():
        with store.open(info.path) as stream:
            actual[info.path] = hash_stream(info.path, stream).sha256
    yield "The files", {entry.path: entry.sha256 for entry in expected.entries}, actual
