"""Where monitoring keeps its files: runs of the experiment ``monitoring/<model>``.

Each kind of files has a run per day (UTC). So `gc` and everything else that knows runs knows these files: to forget a
day is to delete its run.

Guarantees: a file is whole or absent, and never overwritten, so any number of processes may write. Two that begin a day
at once may make two runs of it; readers read both. A merged file names the files that it replaces, its sources: readers
read it instead of them, whether they are still there or not, and of merged files that share sources they read one.
"""

import contextlib
import functools
import io
import json
import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, ParamSpec, TypeVar

from registry.blobs import BlobStore, Range
from registry.client import MlflowClient
from registry.entities import Run, ViewType
from registry.entities.model_registry import ModelVersion, ResolvedModel
from registry.entities.paging import FileInfo, all_pages
from registry.exceptions import AlreadyExistsError, ArtifactNotFoundError, InvalidParameterError, RunNotFoundError
from registry.flavors.optional_imports import optional_import
from registry.validation.values import now_ms

KIND_TAG: Final = "registry.monitoring.kind"
DAY_TAG: Final = "registry.monitoring.day"
OBSERVATIONS: Final = "observations"
PREDICTIONS: Final = "predictions"
GROUND_TRUTH: Final = "ground truth"
REFERENCE: Final = "reference"
CHECK: Final = "check"
EXTRA: Final = "monitoring"
MERGED_SUFFIX: Final = ".merged.parquet"
SOURCES_KEY: Final = b"registry.sources"
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
_ATTEMPTS: Final = 3
_USUAL_FOOTER: Final = 64 << 10
_NAME: Final = re.compile(
    r"([0-9]{8}T[0-9]{6}Z)_([0-9]{1,4})h_v([0-9]{1,18})_([0-9]{13})[0-9a-f]+(?:\.merged)?\.parquet"
)
P = ParamSpec("P")
T = TypeVar("T")


def experiment_name(model_name: str) -> str:
    """Return the name of the experiment that holds what is observed of a registered model."""
    return f"monitoring/{model_name}"


def find_experiment(client: MlflowClient, model_name: str) -> str | None:
    """Return the id of a model's monitoring experiment, or None."""
    experiment = client.get_experiment_by_name(experiment_name(model_name))
    return None if experiment is None else experiment.experiment_id


def ensure_experiment(client: MlflowClient, name: str) -> str:
    """Return the id of an experiment; create it if it is missing. Of a deleted one the id is returned too."""
    experiment = client.get_experiment_by_name(name)
    if experiment is not None:
        return experiment.experiment_id
    try:
        return client.create_experiment(name)
    except AlreadyExistsError:
        experiment = client.get_experiment_by_name(name)
        if experiment is None:  # it was there between our two looks
            raise
        return experiment.experiment_id


def resolve_version(client: MlflowClient, model: str | ModelVersion) -> tuple[ResolvedModel, str, int]:
    """Return the version of a registered model that a URI or a `ModelVersion` stands for now, its name and its number.

    Raises:
        NotFoundError: The URI leads to nothing.
        InvalidParameterError: It is no version of a registered model.
    """
    uri = f"models:/{model.name}/{model.version}" if isinstance(model, ModelVersion) else model
    resolved = client.resolve(uri)
    return resolved, *registered_version(resolved, uri)


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
    """A file of observations: rows of `version` in the time from `start` (milliseconds) on, for `hours` hours.

    `stamp` is when it was written, of a merged file the newest of its sources. `sources` are the names of the files
    that a merged one replaces; `read_sources` finds them.
    """

    store: BlobStore
    path: str
    size: int
    start: int
    hours: int
    version: int
    stamp: int
    sources: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """Return the name, which is unique within its directory."""
        return self.path.rpartition("/")[2]

    @property
    def address(self) -> str:
        """Return where it is, for messages."""
        return f"{self.store.root}/{self.path}"

    @property
    def is_merged(self) -> bool:
        """Tell whether it replaces others."""
        return self.path.endswith(MERGED_SUFFIX)

    @property
    def end(self) -> int:
        """Return when its time ends, in milliseconds."""
        return self.start + self.hours * HOUR_MS

    def read(self) -> bytes:
        """Return the bytes."""
        return self.store.read(self.path)


def write_file(
    client: MlflowClient, model_name: str, kind: str, data: bytes, *, version: int, start: int, hours: int = 1
) -> None:
    """Store a file of rows whose time begins at `start` (milliseconds since the epoch). It is durable on return."""
    moment = datetime.fromtimestamp(start / 1000, UTC)
    path = f"{directory_of(kind)}/{file_name(start, hours, version, now_ms(), uuid.uuid4().hex)}"
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
    """Yield the files whose time begins in a window, oldest first; of one version if given.

    Of a merged file only a part may belong to the window.
    """
    experiment_id = find_experiment(client, model_name)
    if experiment_id is None:
        return
    for run in find_days(client, experiment_id, kind, start, end):
        listed = [file for file in list_files(client, run, kind) if version in (None, file.version)]
        for file in choose_files(listed)[0]:
            if (start < file.end and file.start < end) if file.is_merged else (start <= file.start < end):
                yield file


def list_files(client: MlflowClient, run: Run, kind: str) -> list[StoredFile]:
    """Return the files of a day, by name. What has another name is none of ours."""
    store = client.backend.run_files(run.info.run_id)
    return [file for info in store.walk(directory_of(kind)) if (file := _parse(store, info)) is not None]


def choose_files(
    files: Sequence[StoredFile], known: Iterable[StoredFile] = ()
) -> tuple[list[StoredFile], list[StoredFile]]:
    """Return which files of a day to read, and which are replaced by merged ones.

    Two processes that merge at once may replace the same files. Then one of the merged files counts, and the rest of
    the other's sources are read themselves: the one whose sources are gone, else the larger one. The sources of `known`
    files, which an earlier call returned, are not read again.
    """
    read_before = {file.path: file for file in known if file.is_merged}
    names = {file.name for file in files}
    merged = [read_before.get(file.path) or read_sources(file) for file in files if file.is_merged]
    merged.sort(key=lambda one: (-len(one.sources - names), -len(one.sources), one.path))
    covered: set[str] = set()
    kept: set[str] = set()
    for file in merged:
        if covered.isdisjoint(file.sources):
            covered |= file.sources
            kept.add(file.path)
    plain = [file for file in files if not file.is_merged]
    chosen = [file for file in merged if file.path in kept] + [file for file in plain if file.name not in covered]
    replaced = [file for file in merged if file.path not in kept] + [file for file in plain if file.name in covered]
    return sorted(chosen, key=lambda one: one.path), replaced


def read_sources(file: StoredFile) -> StoredFile:
    """Return a merged file with the names of its sources, of which only the end is read."""
    arrow, parquet = optional_import("pyarrow", EXTRA), optional_import("pyarrow.parquet", EXTRA)
    footer = _read_footer(file)
    try:
        # Arrow finds the schema from the end of the file, so the rows before it are not needed.
        names = json.loads(parquet.read_schema(io.BytesIO(footer)).metadata[SOURCES_KEY])
        return replace(file, sources=frozenset(map(str, names)))
    except (arrow.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidParameterError(f"{file.address} is no merged file: {error!r}.") from error


def _read_footer(file: StoredFile) -> bytes:
    """Return the end of a Parquet file: its description, the length of that in four bytes, and ``PAR1``."""
    end = _read_end(file, _USUAL_FOOTER)
    length = int.from_bytes(end[-8:-4], "little") + 8
    return end if length <= len(end) else _read_end(file, length)


def _read_end(file: StoredFile, length: int) -> bytes:
    if not file.size:
        return b""
    with file.store.open(file.path, Range(max(0, file.size - length), file.size)) as stream:
        return stream.read()


def to_parquet(table: Any, metadata: Mapping[bytes, bytes]) -> bytes:
    """Return the Parquet file of an Arrow table with this metadata alone."""
    parquet = optional_import("pyarrow.parquet", EXTRA)
    buffer = io.BytesIO()
    parquet.write_table(table.replace_schema_metadata(metadata), buffer, compression="zstd")
    return buffer.getvalue()


def retried(read: Callable[P, T]) -> Callable[P, T]:
    """Read again if a file went away meanwhile, because a merged one has replaced it."""

    @functools.wraps(read)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        for _ in range(_ATTEMPTS - 1):
            with contextlib.suppress(ArtifactNotFoundError):
                return read(*args, **kwargs)
        return read(*args, **kwargs)

    return call


def directory_of(kind: str) -> str:
    """Return the directory of a kind of files in its run."""
    return kind.replace(" ", "_")


def delete_days(client: MlflowClient, model_name: str, before: int) -> int:
    """Delete the runs of whole days before a time (milliseconds); return how many. `gc` removes their files later."""
    experiment_id = find_experiment(client, model_name)
    if experiment_id is None:
        return 0
    first_kept = before // DAY_MS * DAY_MS
    deleted = 0
    for kind in (OBSERVATIONS, PREDICTIONS, GROUND_TRUTH):
        for run in find_days(client, experiment_id, kind, 0, first_kept):
            client.delete_run(run.info.run_id)
            deleted += 1
    return deleted


def new_run(client: MlflowClient, model_name: str, kind: str, run_name: str, tags: dict[str, str], start: int) -> Run:
    """Create a run of a model's monitoring experiment."""
    tags = {KIND_TAG: kind, **tags}
    experiment_id = ensure_experiment(client, experiment_name(model_name))
    return client.create_run(experiment_id, start_time=start, tags=tags, run_name=run_name)


@functools.lru_cache(maxsize=1024)
def _day_run(client: MlflowClient, model_name: str, kind: str, day: str) -> str:
    start = int(datetime.fromisoformat(f"{day}T00:00:00+00:00").timestamp() * 1000)
    experiment_id = find_experiment(client, model_name)
    run = None if experiment_id is None else next(find_days(client, experiment_id, kind, start, start + 1), None)
    if run is None:
        run = new_run(client, model_name, kind, f"{kind} {day}", {DAY_TAG: day}, start)
        client.set_terminated(run.info.run_id, end_time=start + DAY_MS)
    return run.info.run_id


def find_days(client: MlflowClient, experiment_id: str, kind: str, start: int, end: int) -> Iterator[Run]:
    """Yield the runs of the days that a window touches, oldest first."""
    text = (
        f"tags.`{KIND_TAG}` = '{kind}' AND attributes.start_time >= {start // DAY_MS * DAY_MS} "
        f"AND attributes.start_time < {end}"
    )
    order = ["attributes.start_time"]
    return all_pages(
        lambda token: client.search_runs([experiment_id], text, ViewType.ACTIVE_ONLY, order_by=order, page_token=token)
    )


def file_name(start: int, hours: int, version: int, stamp: int, unique: str, suffix: str = ".parquet") -> str:
    """Return the name of a file; listings are in the order of the names."""
    moment = datetime.fromtimestamp(start / 1000, UTC)
    return f"{moment:%Y%m%dT%H%M%SZ}_{hours}h_v{version}_{stamp:013d}{unique}{suffix}"


def _parse(store: BlobStore, info: FileInfo) -> StoredFile | None:
    found = _NAME.fullmatch(info.path.rpartition("/")[2])
    if found is None:
        return None
    moment, *numbers = found.groups()
    try:
        start = datetime.strptime(moment, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None
    hours, version, stamp = map(int, numbers)
    return StoredFile(store, info.path, info.file_size or 0, int(start.timestamp() * 1000), hours, version, stamp)
