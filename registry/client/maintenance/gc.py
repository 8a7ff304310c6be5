"""Garbage collection: removing for good what nothing reaches, rows and bytes.

Owns the order: out of the tables first, then the bytes, then the rows that waited for them. Leaves to the store what
may go. Invariants: without `apply` nothing changes; only what this database has a row for, and whose root it owns, is
touched; a crash leaves at worst bytes that the next gc finds again.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from registry.client.backend import Backend
from registry.client.base import ClientBase
from registry.entities.reports import GarbageItem, GarbageReport
from registry.entities.times import parse_duration
from registry.exceptions import InvalidParameterError, InvalidTypeError, StorageError, UnavailableError
from registry.store.gc import Candidate, Windows

RETENTION: Final = timedelta(days=30)
GRACE: Final = timedelta(hours=24)


class GcMethods(ClientBase):
    """What a client does with what is no longer needed. These methods are ours: MLflow's gc is a command."""

    def collect_garbage(
        self, *, apply: bool = False, older_than: timedelta | str = RETENTION, grace: timedelta | str = GRACE
    ) -> GarbageReport:
        """What may go: a plan, or with `apply` what was removed for good.

        That is: runs, experiments and versions deleted more than `older_than` ago (``"30d"``), with their files;
        logged models that no version, whatever its stage, and no kept run reaches; and files of uploads that began
        more than `grace` ago and never became a model. Versions keep their row and history. A run that a version names
        keeps its row, params, tags and latest metrics.

        Raises:
            InvalidParameterError: a length of time is negative or does not parse.
            ReadOnlyError: `apply` with a read-only client.
            NotOwnerError: `apply` in a copy of a database, whose bytes belong to the original; nothing was changed.
            StorageError, UnavailableError: the bytes cannot be measured.
        """
        now = self.backend.gc.now_ms()
        windows = Windows(expired=now - _milliseconds(older_than), abandoned=now - _milliseconds(grace))
        found = self.backend.gc.find(windows)
        if not apply:
            return GarbageReport(False, tuple(_item(self.backend, candidate) for candidate in found))
        return collect(self.backend, found, windows)


def collect(backend: Backend, found: Sequence[Candidate], windows: Windows) -> GarbageReport:
    """Remove these candidates, as far as they may still go, and the bytes of all that earlier gcs condemned."""
    store, items, with_run = backend.gc, [], set[int]()
    owned = {candidate.claimed_root for candidate in found if candidate.claimed_root is not None}
    for root in sorted(owned):
        backend.ownership.begin_collection(root)
    for candidate in found:
        item = _item(backend, candidate)
        if candidate.kind == "run":
            models = store.purge_run(candidate.key, windows)
            with_run.update(models or ())
            gone = models is not None
        elif candidate.kind == "logged model":
            gone = candidate.key in with_run or store.purge_logged_model(candidate.key, windows)
        elif candidate.kind == "upload":
            gone = store.remove_upload(candidate.key, windows)
        else:
            gone = candidate.kind == "leftover"
        if gone:
            items.append(item)
    failures = _remove_bytes(backend, owned)
    for key in store.purged_runs():
        store.remove_run(key)
    items += [
        _item(backend, candidate)
        for candidate in found
        if candidate.kind == "experiment" and store.remove_experiment(candidate.key, windows)
    ]
    return GarbageReport(True, tuple(items), tuple(failures))


def _remove_bytes(backend: Backend, owned: set[str]) -> list[str]:
    """Remove the bytes that await it below these roots. One place that cannot be reached does not keep the others.

    What another gc noted below other roots in the meantime is left to it.
    """
    failures = []
    for removal in backend.gc.removals():
        if removal.claimed_root not in owned:
            continue
        try:
            backend.blobs(removal.root).purge(removal.path)
        except (StorageError, UnavailableError) as error:
            failures.append(error.message)
        else:
            backend.gc.forget_removal(removal.key)
    return failures


def _item(backend: Backend, candidate: Candidate) -> GarbageItem:
    size, location = candidate.size, None
    if candidate.root is not None and candidate.path is not None:
        location = f"{candidate.root.rstrip('/')}/{candidate.path}"
        if size is None:
            size = backend.blobs(candidate.root).total_size(candidate.path)
    return GarbageItem(
        candidate.kind, candidate.id, candidate.name, candidate.since, location, size or 0, candidate.versions
    )


def _milliseconds(window: timedelta | str) -> int:
    length = parse_duration(window) if isinstance(window, str) else window
    if not isinstance(length, timedelta):
        raise InvalidTypeError(f"A window of gc must be a timedelta or a text such as '30d', got {length!r}.")
    if length < timedelta(0):
        raise InvalidParameterError(f"A window of gc cannot be negative: {length}.")
    return length // timedelta(milliseconds=1)
