"""Client method for garbage collection: removes unreferenced rows and bytes for good.

Rows are marked first, then bytes are removed, then the rows that waited for them; the store decides what may go.

Guarantees:
- without `apply` nothing changes;
- only what this database has a row for, below roots that it owns, is removed;
- a crash leaves at worst bytes that the next gc finds again.
"""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from registry.client.base import ClientBase
from registry.entities.times import parse_duration
from registry.exceptions import InvalidParameterError, InvalidTypeError, NotFoundError, StorageError, UnavailableError
from registry.validation.arguments import check_list, describe_value

if TYPE_CHECKING:
    from registry.client.backend import Backend
    from registry.entities.reports import GarbageItem, GarbageReport
    from registry.store.gc import Candidate, Windows

RETENTION: Final = timedelta(days=30)
GRACE: Final = timedelta(hours=24)


class GcMethods(ClientBase):
    """Client method that removes unreferenced data. It is not MLflow's: its gc is a command."""

    def collect_garbage(
        self,
        *,
        apply: bool = False,
        older_than: timedelta | str = RETENTION,
        grace: timedelta | str = GRACE,
        run_ids: Iterable[str] | None = None,
        experiment_ids: Iterable[str] | None = None,
    ) -> "GarbageReport":
        """List what may be removed, or remove it for good.

        These are: runs, experiments and versions deleted more than `older_than` ago, with their files; logged models
        that no version in any stage and no kept run references; files of uploads that began more than `grace` ago and
        never became a model; and checks of monitors that are older than `older_than`, except the newest ones and those
        that an incident, a trigger or a promotion refers to. The runs of these checks are deleted with them.

        Versions keep their row and history. A run that a version names keeps its row, params, tags and latest metrics.

        Args:
            apply: Remove it. By default nothing changes.
            older_than: Retention after deletion, and of checks: a timedelta or a text such as ``"30d"`` (default).
            grace: Age from which an unfinished upload counts as abandoned, 24 hours by default.
            run_ids: Only these runs with their models, and what `experiment_ids` names. By default all.
            experiment_ids: Only these experiments with their runs and models, and what `run_ids` names. By default all.

        Returns:
            The items with kind, location and size in bytes, ``counts`` by kind, and removals that failed.

        Raises:
            InvalidParameterError: a length of time is negative or does not parse.
            NotFoundError: a run or experiment that is named may not be removed now.
            ReadOnlyError: `apply` with a read-only client.
            NotOwnerError: `apply` in a copy of a database, whose bytes belong to the original; nothing was changed.
            StorageError, UnavailableError: the bytes cannot be measured.

        Example:
            >>> client.delete_run(client.create_run("1", run_name="crashed").info.run_id)
            >>> plan = client.collect_garbage(older_than="0s")
            >>> plan.applied, plan.counts, plan.items[0].name
            (False, {'run': 1}, 'crashed')
            >>> client.collect_garbage().counts  # deleted less than 30 days ago
            {}
        """
        from registry.entities.reports import GarbageReport
        from registry.store.gc import Windows

        now = self.backend.gc.now_ms()
        windows = Windows(expired=now - _milliseconds(older_than), abandoned=now - _milliseconds(grace))
        found = _choose(self.backend.gc.find(windows), run_ids, experiment_ids)
        if not apply:
            return GarbageReport(False, tuple(_item(self.backend, candidate) for candidate in found))
        return collect(self.backend, found, windows)


def _choose(
    found: Sequence["Candidate"], run_ids: Iterable[str] | None, experiment_ids: Iterable[str] | None
) -> Sequence["Candidate"]:
    """Return the candidates that belong to these runs and experiments, or all if neither is given."""
    if run_ids is None and experiment_ids is None:
        return found
    runs, experiments = _ids(run_ids, "run_ids"), _ids(experiment_ids, "experiment_ids")
    chosen = [item for item in found if item.run_id in runs or item.experiment_id in experiments]
    for kind, ids in (("run", runs), ("experiment", experiments)):
        if missing := ids - {item.id for item in chosen if item.kind == kind}:
            raise NotFoundError(
                f"gc may not remove the {kind} {sorted(missing)[0]!r} now: there is none, it is not deleted, it was "
                "deleted too short a time ago (older_than), or a version needs it."
            )
    return chosen


def _ids(ids: Iterable[str] | None, what: str) -> set[str]:
    try:
        return set(check_list(ids, what, str))
    except InvalidTypeError:
        raise InvalidTypeError(f"{what} must be a list of ids, got {describe_value(ids)}.") from None


def collect(backend: "Backend", found: Sequence["Candidate"], windows: "Windows") -> "GarbageReport":
    """Remove those candidates that may still go, and the bytes that this and earlier gcs marked for removal."""
    from registry.entities.reports import GarbageReport

    store, items, with_run = backend.gc, [], set[int]()
    owned = {candidate.claimed_root for candidate in found if candidate.claimed_root is not None}
    for root in sorted(owned):
        backend.ownership.begin_collection(root)
    unjudged = store.find_unjudged_checks([candidate.key for candidate in found if candidate.kind == "check"])
    checks = {key for batch in unjudged for key in store.remove_checks(batch, windows)}
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
        elif candidate.kind == "check":
            gone = candidate.key in checks
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


def _remove_bytes(backend: "Backend", owned: set[str]) -> list[str]:
    """Remove the marked bytes below these roots. An unreachable location does not stop the others.

    Bytes that another gc marked below other roots meanwhile are left to it.
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


def _item(backend: "Backend", candidate: "Candidate") -> "GarbageItem":
    from registry.entities.reports import GarbageItem

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
