"""Move files to S3 and back, in a separate process: ``moving.py SYSTEM WORK PATH``, answered with one line of JSON.

`SYSTEM` is registry, mlflow or boto3. The answer has the seconds, the growth of the peak memory in MiB and the number
of requests to S3. Before measuring, everything is imported and one small file is moved.
"""

import contextlib
import importlib
import json
import os
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

BUCKET = "benchmark"


class Boto3:
    """Plain boto3: ``upload_file`` or ``download_file``, one file after another."""

    def __init__(self) -> None:
        import boto3

        self._s3 = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])

    def upload(self, source: Path) -> Callable[[Path], None]:
        """Upload a file or the files of a directory; return a function that downloads them again."""
        prefix = uuid.uuid4().hex
        files = [source] if source.is_file() else sorted(path for path in source.rglob("*") if path.is_file())
        keys = {f"{prefix}/{path.relative_to(source.parent).as_posix()}": path for path in files}
        for key, path in keys.items():
            self._s3.upload_file(str(path), BUCKET, key)

        def download(target: Path) -> None:
            for key in keys:
                (target / key).parent.mkdir(parents=True, exist_ok=True)
                self._s3.download_file(BUCKET, key, str(target / key))

        return download


class Tracker:
    """The artifacts of a run: the same calls for `registry` and mlflow."""

    def __init__(self, system: str, directory: Path) -> None:
        self.mlflow: Any = importlib.import_module(system)
        self.mlflow.set_tracking_uri(f"sqlite:///{directory / system}-{uuid.uuid4().hex}.db")
        self.client = self.mlflow.MlflowClient()
        self.experiment = self.client.create_experiment("moving", f"s3://{BUCKET}/{uuid.uuid4().hex}")

    def upload(self, source: Path) -> Callable[[Path], None]:
        """Log a file or a directory to a run; return a function that downloads it again."""
        run_id = self.client.create_run(self.experiment).info.run_id
        if source.is_file():
            self.client.log_artifact(run_id, str(source))
        else:
            self.client.log_artifacts(run_id, str(source), source.name)
        return lambda target: self.client.download_artifacts(run_id, source.name, str(target))


class Sealer(Tracker):
    """Sealed models of `registry`: hashed, written once, and compared with the checksums of S3."""

    def __init__(self, directory: Path) -> None:
        super().__init__("registry", directory)
        os.environ["REGISTRY_CACHE_DIR"] = str(directory / f"cache-{uuid.uuid4().hex}")
        self.run_id = self.client.create_run(self.experiment).info.run_id

    def upload(self, source: Path) -> Callable[[Path], None]:
        """Register a directory; return a function that downloads it into the cache."""
        name = uuid.uuid4().hex
        self.client.create_registered_model(name)
        directory = source if source.is_dir() else source.parent
        self.client.create_model_version(name, str(directory), self.run_id)
        open_model = importlib.import_module("registry.client.models.loading").open_model
        parse = importlib.import_module("registry.uris").parse

        def bring(_: Path) -> None:
            with open_model(self.client.backend, parse(f"models:/{name}/1")):
                pass

        return bring


def main() -> None:
    """Do one work and print what it cost."""
    system, work, path = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="moving-", dir=Path(path).parent.parent) as temporary:
        directory = Path(temporary)
        counted = _counting()
        answer = _load(system, counted, directory) if work == "load" else _move(system, work, Path(path), directory)
    print(json.dumps(answer))


def _move(system: str, work: str, source: Path, directory: Path) -> dict[str, float]:
    mover = _mover(system, directory)
    warm = directory / "warm" / "small"
    warm.parent.mkdir()
    warm.write_bytes(b"small")
    mover.upload(warm)(directory / "warm")
    down = mover.upload(source) if work == "download" else None
    target = directory / "target"
    target.mkdir()
    with _measured() as answer:
        if down is None:
            mover.upload(source)
        else:
            down(target)
    return answer


def _mover(system: str, directory: Path) -> Any:
    if system == "boto3":
        return Boto3()
    return Sealer(directory) if system == "sealed" else Tracker(system, directory)


def _load(system: str, counted: list[str], directory: Path) -> dict[str, float]:
    """Time the first and the second ``load_model`` of a version in Production, perhaps logged by another process."""
    os.environ["REGISTRY_CACHE_DIR"] = str(directory / "cache")
    tracker = Tracker(system, directory)
    version = _logged(tracker)
    flavor = importlib.import_module(f"{system}.xgboost")
    answer: dict[str, float] = {}
    for which in ("first", "second"):
        counted.clear()
        start = time.perf_counter()
        flavor.load_model(f"models:/{version.name}/Production")
        answer[f"{which}_seconds"] = time.perf_counter() - start
        answer[f"{which}_requests"] = len(counted)
    return answer


def _logged(tracker: Tracker) -> Any:
    import numpy
    import xgboost

    table = numpy.random.default_rng(0).normal(size=(1_000, 20))
    model = xgboost.XGBRegressor(n_estimators=50, n_jobs=1).fit(table, table[:, 0])
    with tracker.mlflow.start_run(experiment_id=tracker.experiment):
        info = importlib.import_module(f"{tracker.mlflow.__name__}.xgboost").log_model(model, name="model")
    tracker.client.create_registered_model("model")
    version = tracker.client.create_model_version("model", info.model_uri, info.run_id)
    tracker.client.transition_model_version_stage("model", version.version, "Production")
    return version


def _counting() -> list[str]:
    """Return a list that records each request to S3 from now on."""
    from botocore.httpsession import URLLib3Session

    counted: list[str] = []
    send = URLLib3Session.send

    def sending(session: Any, request: Any) -> Any:
        counted.append(request.method)
        return send(session, request)

    URLLib3Session.send = sending
    return counted


@contextlib.contextmanager
def _measured() -> Iterator[dict[str, float]]:
    answer: dict[str, float] = {}
    forget = Path("/proc/self/clear_refs")
    if forget.exists():
        forget.write_text("5")  # the peak so far, because this process has uploaded the files before
    before = _memory("VmRSS")
    start = time.perf_counter()
    yield answer
    answer["seconds"] = time.perf_counter() - start
    answer["mebibytes"] = max(_memory("VmHWM") - before, 0)


def _memory(name: str) -> float:
    """Return a value of this process's status file on Linux, in MiB; 0 on other systems."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:")), 0.0)


if __name__ == "__main__":
    main()
