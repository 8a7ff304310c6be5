"""Where monitoring keeps its files: runs of the experiment ``monitoring/<model>``.

Each kind of files has a run per day (UTC). So `gc` and everything else that knows runs knows these files: to forget a
day is to delete its run.

Guarantees: a file is whole or absent, and never overwritten, so any number of processes may write. Two that begin a day
at once may make two runs of it; readers read both.
"""

import functools
import io
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from registry.blobs import BlobStore
from registry.client import MlflowClient
from registry.entities import Run, ViewType
from registry.entities.model_registry import ResolvedModel
from registry.entities.paging import all_pages
from registry.exceptions import AlreadyExistsError, InvalidParameterError, RunNotFoundError
from registry.validation.values import now_ms

KIND_TAG: Final = "registry.monitoring.kind"
DAY_TAG: Final = "registry.monitoring.day"
OBSERVATIONS: Final = "observations"
PREDICTIONS: Final = "predictions"
GROUND_TRUTH: Final = "ground truth"
REFERENCE: Final = "reference"
CHECK: Final = "check"
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS


def experiment_name(model_name: str) -> str:
    """Return the name of the experiment that holds what is observed of a registered model."""
    return f"monitoring/{model_name}"


def find_experiment(client: MlflowClient, model_name: str) -> str | None:
    """Return the id of a model's monitoring experiment, or None."""
    experiment = client.get_experiment_by_name(experiment_name(model_name))
    return None if experiment is None else experiment.experiment_id


def ensure_experiment(client: MlflowClient, model_name: str) -> str:
    """Return the id of a model's monitoring experiment; create it if it is missing."""
    name = experiment_name(model_name)
    experiment_id = find_experiment(client, model_name)
    if experiment_id is not None:
        return experiment_id
    try:
        return client.create_experiment(name)
    except AlreadyExistsError:
        # Another process was faster, or it is deleted, which the next call says.
        return client.get_experiment(find_experiment(client, model_name) or "").experiment_id


def registered_version(resolved: ResolvedModel, uri: object) -> tuple[str, int]:
    """Return the name and version of a model.

    Raises:
        InvalidParameterError: It is no version of a registered model.
    """
    if resolved.name is None or resolved.version is None:
        raise InvalidParameterError(
            f"{str(uri)!r} is no version of a registered model, and only those are observed. Register it, and name it "
            "like 'models:/churn/3' or 'models:/churn/Production'."
        )
    return resolved.name, resolved.version


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of observations: rows of `version` in the time from `start` (milliseconds) on, for `hours` hours."""

    store: BlobStore
    path: str
    start: int
    hours: int
    version: int

    def read(self) -> bytes:
        """Return the bytes."""
        return self.store.read(self.path)


def write_file(
    client: MlflowClient, model_name: str, kind: str, data: bytes, *, version: int, start: int, hours: int = 1
) -> None:
    """Store a file of rows whose time begins at `start` (milliseconds since the epoch). It is durable on return."""
    moment = datetime.fromtimestamp(start / 1000, UTC)
    # Listings are sorted by name: of the files of an hour, the one that was written last comes last.
    name = f"{moment:%Y%m%dT%H%M%SZ}_{hours}h_v{version}_{now_ms()}{uuid.uuid4().hex}.parquet"
    path = f"{kind.replace(' ', '_')}/{name}"
    day = f"{moment:%Y-%m-%d}"
    run_id = _day_run(client, model_name, kind, day)
    try:
        client.log_stream(run_id, io.BytesIO(data), path)
    except (RunNotFoundError, InvalidParameterError):
        # The day's run was deleted since this process first wrote to it.
        _day_run.cache_clear()
        client.log_stream(_day_run(client, model_name, kind, day), io.BytesIO(data), path)


def find_files(
    client: MlflowClient, model_name: str, kind: str, start: int, end: int, version: int | None = None
) -> Iterator[StoredFile]:
    """Yield the files whose time begins in a window, oldest first; of one version if given."""
    experiment_id = find_experiment(client, model_name)
    if experiment_id is None:
        return
    for run in _runs_of_days(client, experiment_id, kind, start, end):
        store = client.backend.run_files(run.info.run_id, run.info.artifact_uri)
        for info in store.walk(kind.replace(" ", "_")):
            file = _parse(store, info.path)
            if start <= file.start < end and version in (None, file.version):
                yield file


def delete_days(client: MlflowClient, model_name: str, before: int) -> int:
    """Delete the runs of whole days before a time (milliseconds); return how many. `gc` removes their files later."""
    experiment_id = find_experiment(client, model_name)
    if experiment_id is None:
        return 0
    first_kept = before // DAY_MS * DAY_MS
    deleted = 0
    for kind in (OBSERVATIONS, PREDICTIONS, GROUND_TRUTH):
        for run in _runs_of_days(client, experiment_id, kind, 0, first_kept):
            client.delete_run(run.info.run_id)
            deleted += 1
    return deleted


def new_run(client: MlflowClient, model_name: str, kind: str, run_name: str, tags: dict[str, str], start: int) -> Run:
    """Create a run of a model's monitoring experiment."""
    tags = {KIND_TAG: kind, **tags}
    return client.create_run(ensure_experiment(client, model_name), start_time=start, tags=tags, run_name=run_name)


@functools.lru_cache(maxsize=1024)
def _day_run(client: MlflowClient, model_name: str, kind: str, day: str) -> str:
    start = int(datetime.fromisoformat(f"{day}T00:00:00+00:00").timestamp() * 1000)
    found = _runs_of_days(client, ensure_experiment(client, model_name), kind, start, start + 1)
    run = next(found, None)
    if run is None:
        run = new_run(client, model_name, kind, f"{kind} {day}", {DAY_TAG: day}, start)
        client.set_terminated(run.info.run_id, end_time=start + DAY_MS)
    return run.info.run_id


def _runs_of_days(client: MlflowClient, experiment_id: str, kind: str, start: int, end: int) -> Iterator[Run]:
    """Return the runs of the days that a window touches, oldest first."""
    text = (
        f"tags.`{KIND_TAG}` = '{kind}' AND attributes.start_time >= {start // DAY_MS * DAY_MS} "
        f"AND attributes.start_time < {end}"
    )
    order = ["attributes.start_time"]
    return all_pages(
        lambda token: client.search_runs([experiment_id], text, ViewType.ACTIVE_ONLY, order_by=order, page_token=token)
    )


def _parse(store: BlobStore, path: str) -> StoredFile:
    moment, hours, version, _ = path.rpartition("/")[2].split("_")
    start = datetime.strptime(moment, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return StoredFile(store, path, int(start.timestamp() * 1000), int(hours[:-1]), int(version[1:]))
