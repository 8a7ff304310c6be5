"""Compaction: the many small files that services write in a day become few.

A day is merged some hours after it ended, and the small files are removed a day later, so that whoever reads them
meanwhile still finds them. How far a day is stands in a tag of its run. Guarantees: whatever moment a process is killed
at, and however many do this at once, no row is lost and none counts twice; writers and readers wait for nothing.
"""

import hashlib
import io
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from registry.client import MlflowClient
from registry.entities import LifecycleStage, Run
from registry.entities.times import check_duration
from registry.exceptions import ArtifactNotFoundError, InvalidParameterError, RunNotFoundError
from registry.fluent import state
from registry.monitoring.merged_files import columns_of, merge_observations, merge_rows
from registry.monitoring.storage import (
    DAY_MS,
    GROUND_TRUTH,
    HOUR_MS,
    MERGED_SUFFIX,
    OBSERVATIONS,
    PREDICTIONS,
    StoredFile,
    choose_files,
    directory_of,
    file_name,
    find_days,
    find_experiment,
    list_files,
    retried,
)
from registry.validation.values import now_ms

MERGED_TAG: Final = "registry.monitoring.merged"
DONE: Final = "done"
# A service writes a file within half a minute; later ones stay as they are, or are merged by the next pass.
SETTLED_MS: Final = 2 * HOUR_MS
GRACE_MS: Final = DAY_MS
SMALL_BYTES: Final = 8 << 20
_MOST_BYTES: Final = 64 << 20
_MOST_SOURCES: Final = 5_000
_MILLISECOND: Final = timedelta(milliseconds=1)
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Compaction:
    """What a pass did.

    Attributes:
        merged: How many small files were merged.
        written: Into how many.
        removed: How many files were removed that had been merged before.
    """

    merged: int = 0
    written: int = 0
    removed: int = 0


def compact_observations(
    name: str,
    *,
    since: str | timedelta | None = None,
    grace: str | timedelta = timedelta(milliseconds=GRACE_MS),
    limit: int | None = None,
    client: MlflowClient | None = None,
) -> Compaction:
    """Merge the small files of days that are over, and remove those that were merged a day ago.

    `registry monitor run` does it for the models that it checked. Any number of processes may do it at once, beside any
    number that write and read.

    Args:
        name: The registered model.
        since: Only days that began this long ago or later, and only until they are done. Default: all days, also
            those to which late files came after they were done.
        grace: How long small files stay after they were merged, for those who read them now.
        limit: At most this many days and kinds of files, 1 or more. Default: all.
        client: The client of the registry. Default: that of the tracking URI.

    Returns:
        How many files were merged, written and removed. A damaged file is left as it is, and the log names it.

    Raises:
        InvalidParameterError: `since` or `grace` is no duration, or `limit` is below 1.
        MissingDependencyError: pyarrow is not installed.
        StorageError: A file cannot be written.

    Example:
        >>> mlflow.monitoring.compact_observations("churn")
        Compaction(merged=0, written=0, removed=0)
    """
    client = state.client() if client is None else client
    if limit is not None and (type(limit) is not int or limit < 1):
        raise InvalidParameterError(f"limit must be an integer of 1 or more, got {limit!r:.60}.")
    grace_ms, now = check_duration(grace, "grace") // _MILLISECOND, now_ms()
    first = 0 if since is None else now - check_duration(since, "since") // _MILLISECOND
    experiment_id = find_experiment(client, name)
    counted = Compaction()
    if experiment_id is None:
        return counted
    for kind, run in _days(client, experiment_id, first, now - DAY_MS - SETTLED_MS):
        progress = run.data.tags.get(MERGED_TAG)
        if since is not None and (progress == DONE or _is_waiting(progress, grace_ms)):
            continue
        try:
            for done in _compact_day(client, run, kind, grace_ms):
                counted = Compaction(
                    counted.merged + done.merged, counted.written + done.written, counted.removed + done.removed
                )
        except (ArtifactNotFoundError, RunNotFoundError):
            continue  # another process removes files of the day that it merged, or gc removes all
        except InvalidParameterError as error:
            if _is_active(client, run.info.run_id):
                _logger.warning("The %s of a day of %r were not compacted: %s", kind, name, error)
            continue  # or somebody deleted the day
        limit = None if limit is None else limit - 1
        if limit == 0:
            break
    return counted


def _days(client: MlflowClient, experiment_id: str, first: int, last: int) -> Iterator[tuple[str, Run]]:
    """Yield the days that began in a time, with the kind of their files."""
    for kind in (OBSERVATIONS, PREDICTIONS, GROUND_TRUTH):
        for run in list(find_days(client, experiment_id, kind, first, last + 1)):
            if (run.info.start_time or 0) <= last:
                yield kind, run


def _compact_day(client: MlflowClient, run: Run, kind: str, grace_ms: int) -> Iterator[Compaction]:
    """Remove what was merged a while ago, merge what is small; yield what was done, step by step."""
    run_id = run.info.run_id
    chosen, replaced = _look(client, run, kind)
    # The tag is set before a merged file is written and read after the files were listed, so the grace is kept.
    progress = _progress(client, run_id)
    is_waiting = _is_waiting(progress, grace_ms)
    if replaced and _is_time(progress) and not is_waiting:
        replaced[0].store.delete([file.path for file in replaced])
        yield Compaction(removed=len(replaced))
        replaced = []
    has_written = False
    small = [file for file in chosen if not file.is_merged and file.size <= SMALL_BYTES]
    # Of observations so many rows are kept of each hour; of others all rows, which are in memory meanwhile.
    for group in _groups(small, None if kind == OBSERVATIONS else _MOST_BYTES):
        data = merge_observations(group) if kind == OBSERVATIONS else merge_rows(group)
        chosen, replaced = _look(client, run, kind, known=[*chosen, *replaced])
        if not {file.name for file in group} <= {file.name for file in chosen}:
            continue  # another process was faster
        client.set_tag(run_id, MERGED_TAG, str(now_ms()))
        client.log_stream(run_id, io.BytesIO(data), f"{directory_of(kind)}/{_merged_name(group)}")
        has_written = True
        yield Compaction(merged=len(group), written=1)
    if has_written or is_waiting:
        return
    if replaced and not _is_time(progress):
        client.set_tag(run_id, MERGED_TAG, str(now_ms()))
    # Another process that merges meanwhile has set the tag anew; then the day is not done.
    elif not replaced and progress != DONE and _progress(client, run_id) == progress:
        client.set_tag(run_id, MERGED_TAG, DONE)


@retried
def _look(
    client: MlflowClient, run: Run, kind: str, known: Sequence[StoredFile] = ()
) -> tuple[list[StoredFile], list[StoredFile]]:
    """Return which files of a day to read now, and which are replaced."""
    return choose_files(list_files(client, run, kind), known)


def _is_active(client: MlflowClient, run_id: str) -> bool:
    try:
        return client.get_run(run_id).info.lifecycle_stage == LifecycleStage.ACTIVE
    except RunNotFoundError:
        return False


def _progress(client: MlflowClient, run_id: str) -> str | None:
    """Return how far a day is: when it was merged last (milliseconds), or that it is done, or None."""
    return client.get_run(run_id).data.tags.get(MERGED_TAG)


def _is_time(progress: str | None) -> bool:
    return progress is not None and progress.isdecimal()


def _is_waiting(progress: str | None, grace_ms: int) -> bool:
    """Tell whether small files of a day were merged, and have to stay for now."""
    return _is_time(progress) and int(progress or 0) > now_ms() - grace_ms


def _groups(files: Sequence[StoredFile], most_bytes: int | None) -> Iterator[Sequence[StoredFile]]:
    """Yield the files that become one: of one version, with the same columns, and not too many at once."""
    groups: dict[Any, list[StoredFile]] = {}
    for file in files:
        try:
            columns = columns_of(file)
        except InvalidParameterError as error:
            _logger.warning("A damaged file is left out of compaction. %s", error)
            continue
        group = groups.setdefault((file.version, columns), [])
        is_large = most_bytes is not None and sum(one.size for one in group) + file.size > most_bytes
        if len(group) >= _MOST_SOURCES or is_large:
            yield group
            group = groups[file.version, columns] = []
        group.append(file)
    yield from (group for group in groups.values() if len(group) > 1)


def _merged_name(files: Sequence[StoredFile]) -> str:
    """Return a name that follows from the sources: two processes that merge the same write the same file."""
    start, end = min(file.start for file in files), max(file.end for file in files)
    names = "\n".join(sorted(file.name for file in files))
    unique = hashlib.sha256(names.encode()).hexdigest()[:32]
    hours, stamp = (end - start) // HOUR_MS, max(file.stamp for file in files)
    return file_name(start, hours, files[0].version, stamp, unique, MERGED_SUFFIX)
