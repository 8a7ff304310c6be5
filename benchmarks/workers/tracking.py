"""Works on runs through MLflow's names: the same calls for `registry` and mlflow."""

import importlib
import time
from typing import Any

from timing import timed

PARAMS = {f"p{number}": number for number in range(10)}
METRICS = {f"m{number}": number / 7 for number in range(10)}
FILTER = "metrics.m0 > 0.5 and params.p0 = '3'"


class Tracking:
    """Runs, points and searches in one system; `system` is the name of its module."""

    def __init__(self, system: str, url: str) -> None:
        self.system = system
        if system == "registry" and not url.startswith("sqlite"):
            _migrate(url)
        self.mlflow: Any = importlib.import_module(system)
        self.mlflow.set_tracking_uri(url)
        self.client = self.mlflow.MlflowClient()
        self.client.get_experiment("0")
        self._series: dict[str, str] = {}

    def ready(self) -> bool:
        """Create the schema."""
        return True

    def run(self, count: int) -> float:
        """Log a run with 10 params and 10 metrics."""

        def one(_: int) -> None:
            with self.mlflow.start_run():
                self.mlflow.log_params(PARAMS)
                self.mlflow.log_metrics(METRICS)

        return timed(count, one)

    def log_metric(self, count: int) -> float:
        """Log one durable point per call."""
        with self.mlflow.start_run():
            self.mlflow.log_metric("loss", 1.0, step=0)
            return timed(count, lambda number: self.mlflow.log_metric("loss", 1.0 / (number + 1), step=number))

    def log_batch(self, count: int) -> float:
        """Log 1,000 points of ten series per call."""
        run_id = self.client.create_run("0").info.run_id
        now, point = int(time.time() * 1000), self.mlflow.entities.Metric

        def one(call: int) -> None:
            numbers = range(1000 * call, 1000 * (call + 1))
            self.client.log_batch(run_id, [point(f"m{n % 10}", n / 3, now, n) for n in numbers])

        return timed(count, one)

    def log_async(self, count: int) -> float:
        """Queue one point per call, and wait until all are durable."""
        with self.mlflow.start_run():
            start = time.perf_counter()
            timed(count, lambda n: self.mlflow.log_metric("loss", n / 3, step=n, synchronous=False))
            self.mlflow.flush_async_logging()
            return (time.perf_counter() - start) / count

    def search(self, count: int, experiment: str) -> float:
        """Find the best five runs of an experiment."""
        query = {"filter_string": FILTER, "order_by": ["metrics.m1 DESC"], "max_results": 5}
        found = self.client.search_runs([experiment], **query)
        assert len(found) == 5, found
        return timed(count, lambda _: self.client.search_runs([experiment], **query))

    def top_five(self, count: int) -> float:
        """Find the best five of ten runs of their own experiment."""
        if "top" not in self._series:
            self._series["top"] = str(self.client.create_experiment("top five"))
            for number in range(10):
                run_id = self.client.create_run(self._series["top"]).info.run_id
                self.client.log_metric(run_id, "m1", number)
        query = {"filter_string": "metrics.m1 > 1", "order_by": ["metrics.m1 DESC"], "max_results": 5}
        return timed(count, lambda _: self.client.search_runs([self._series["top"]], **query))

    def frame(self, count: int, experiment: str, runs: int = 1000) -> float:
        """Read the runs of an experiment as a DataFrame."""
        found: list[int] = []
        figure = timed(count, lambda _: found.append(len(self.mlflow.search_runs([experiment], max_results=runs))))
        assert found == [runs] * count, found
        return figure

    def get_run(self, count: int) -> float:
        """Read a run with everything logged to it."""
        run_id = self.client.search_runs(["0"], max_results=1)[0].info.run_id
        return timed(count, lambda _: self.client.get_run(run_id))

    def load_series(self, key: str, count: int) -> float:
        """Log a run with a series of `count` points, by arrays; return seconds per point."""
        import numpy

        run_id = self._series[key] = self.client.create_run("0").info.run_id
        values = numpy.sin(numpy.arange(count) / 1000)
        return timed(1, lambda _: self.client.log_metric_history(run_id, key, numpy.arange(count), values)) / count

    def append_point(self, count: int, key: str) -> float:
        """Append one point to that series per call."""
        run_id = self._series[key]
        return timed(count, lambda n: self.client.log_metric(run_id, key, 0.5, step=10**8 + n))

    def sample(self, count: int, key: str) -> float:
        """Read that series as a DataFrame of 1,000 points."""
        run_id = self._series[key]
        return timed(count, lambda _: self.mlflow.metric_history(run_id, key, max_points=1000))


def _migrate(url: str) -> None:
    schema = importlib.import_module("registry.store.schema")
    schema.upgrade(importlib.import_module("registry.store.engine").connect(url))
