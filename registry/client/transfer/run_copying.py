"""Copies runs with their points, files and logged models to another registry, or completes what is there of them.

Ids, times, status, params, tags and data sets stay; experiments map by name; files go where the target keeps its own.
Guarantees: the source is only read. The target alone tells what is missing, so nothing is lost or doubled by a crash, a
repetition, or two copies at once; and what was deleted in the target stays deleted.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from registry.blobs import AdoptedBlobStore, BlobStore, Stamp
from registry.client.backend import Backend, open_backend
from registry.client.transfer.importing import find_or_create_experiment
from registry.client.transfer.logged_model_copying import LoggedModelCopier
from registry.entities import LifecycleStage, Manifest
from registry.entities.copy_report import CopiedRun, CopyCounts, CopyOutcome, CopyReport
from registry.entities.portable_model import PortableRun
from registry.exceptions import (
    InvalidParameterError,
    InvalidStateError,
    NotFoundError,
    NotOwnerError,
    RegistryError,
    UnavailableError,
)
from registry.settings import current_base, current_settings, place_of, redacted_uri
from registry.store.ownership import root_of_artifacts
from registry.store.transfer.run_export import ExportedLoggedModel, ExportedRun, Point, RunCounts
from registry.store.transfer.run_merge import Origin, Presence, copied_tags

PAGE: Final = 20_000
"""Points that are read, compared and written at a time."""
_BATCH: Final = 100
_EARLIEST: Final = -(2**63)
_GONE: Final = {
    Presence.DELETED: "it is deleted there; restore_run brings it back, and the next copy completes it",
    Presence.REMOVED: "gc has removed it there for good",
}

Watcher = Callable[[CopiedRun], None]
"""A function that is told of each run once it is copied."""


def open_target(to: str | Path, *, base: Path | None = None, read_only: bool = False) -> Backend:
    """Open the registry to copy to; with `read_only`, for a dry run, nothing is made.

    Raises:
        NotFoundError: There is no SQLite file to read.
    """
    settings, uri = current_settings(), str(to)
    base = base or current_base(uri)
    database = place_of(uri, settings, base).database_url
    if read_only and database.startswith("sqlite:///") and not Path(database.removeprefix("sqlite:///")).exists():
        raise NotFoundError(f"There is no registry at {uri} yet: everything would be sent, and the registry be made.")
    return open_backend(uri, settings, base=base, read_only=read_only)


@dataclass(slots=True)
class CopyMemory:
    """What a process that sends an SQLite file again and again need not compare again.

    Losing it costs time and nothing else.
    """

    mark: int = 0
    removed: int = 0
    compared: set[str] = field(default_factory=set)
    pending: dict[str, dict[str, int]] = field(default_factory=dict)
    runs: dict[str, ExportedRun] = field(default_factory=dict)
    files: dict[str, dict[str, Stamp]] = field(default_factory=dict)
    linked: dict[str, ExportedRun] = field(default_factory=dict)
    models: dict[str, ExportedLoggedModel] = field(default_factory=dict)


@dataclass(slots=True)
class _Progress:
    """What was sent of one run so far."""

    points: int = 0
    files: int = 0
    size_bytes: int = 0
    models: int = 0
    merged: bool = False
    notes: list[str] = field(default_factory=list)

    @property
    def is_something(self) -> bool:
        return self.merged or bool(self.points or self.files or self.models)


class RunCopier:
    """Copies runs from one registry to another; `experiment` is the target's experiment for all of them.

    With `dry_run` the target is only read, and the report says what would be sent.
    """

    def __init__(
        self,
        source: Backend,
        target: Backend,
        *,
        source_uri: str,
        target_uri: str,
        experiment: str | None = None,
        dry_run: bool = False,
        memory: CopyMemory | None = None,
        places: Callable[[str], str] = lambda uri: uri,
        on_run: Watcher | None = None,
    ) -> None:
        if source.database.url == target.database.url:
            raise InvalidParameterError(
                f"{redacted_uri(target_uri)!r} is the registry that the runs are in; give another one as the target."
            )
        self._source = source
        self._target = target
        self._uris = (redacted_uri(source_uri), redacted_uri(target_uri))
        self._origin = Origin(source.experiments.registry_id(), redacted_uri(source_uri))
        self._experiment = experiment
        self._dry_run = dry_run
        self._memory = memory
        self._places = places
        self._on_run = on_run
        self._experiments: dict[str, str] = {}
        self._files = [0, 0]
        self._models = LoggedModelCopier(
            source,
            target,
            self._origin,
            experiment_id=self._experiment_id,
            places=places,
            known={} if memory is None else memory.models,
            dry_run=dry_run,
        )
        self._errors: list[RegistryError] = []

    def copy(self, run_ids: Sequence[str], models: Sequence[str] = ()) -> CopyReport:
        """Copy runs, and logged models that have no run. A run that fails does not stop the others.

        Raises:
            UnavailableError: A registry does not answer; the next copy goes on where this one stopped.
        """
        try:
            return self._copy(run_ids, models)
        except UnavailableError as error:
            raise UnavailableError(
                f"{error.message} The copy stopped here; what arrived stays. Repeat it when the registry answers: it "
                "sends what is missing, and nothing twice."
            ) from error

    def _copy(self, run_ids: Sequence[str], models: Sequence[str]) -> CopyReport:
        self._note_new_points()
        results: list[CopiedRun] = []
        exported: list[ExportedRun] = []
        for start in range(0, len(run_ids), _BATCH):
            batch = run_ids[start : start + _BATCH]
            originals = self._source.run_export.runs(batch)
            unknown = [run_id for run_id in batch if not self._is_known(run_id)]
            copies = self._target.run_export.runs(unknown) if unknown else {}
            removed = self._target.run_export.tombstones(unknown) if unknown else set()
            for run_id in batch:
                if (original := originals.get(run_id)) is None:
                    continue  # it was removed from the source meanwhile
                exported.append(original)
                results.append(self._attempt(original, copies.get(run_id), is_removed=run_id in removed))
                if self._on_run is not None:
                    self._on_run(results[-1])
        sent, notes = self._copy_lone_models(models)
        notes += self._link([original for original in exported if original.inputs or original.outputs])
        errors = tuple(self._errors)
        counts = self._count(run_ids, models)
        return CopyReport(*self._uris, self._dry_run, tuple(results), sent, tuple(notes), errors, *counts)

    def _note_new_points(self) -> None:
        memory = self._memory
        if memory is None:
            return
        new = self._source.run_export.new_points(memory.mark)
        if new.removed != memory.removed:
            memory.compared.clear()
        memory.mark, memory.removed = new.mark, new.removed
        for run_id, steps in new.steps.items():
            known = memory.pending.setdefault(run_id, {})
            for key, step in steps.items():
                known[key] = min(step, known.get(key, step))

    def _is_known(self, run_id: str) -> bool:
        """Tell whether the target had all of a run before, so that only what is new must be sent."""
        return self._memory is not None and run_id in self._memory.compared

    def _attempt(self, original: ExportedRun, copy: ExportedRun | None, *, is_removed: bool) -> CopiedRun:
        run, progress = original.run, _Progress()
        experiment = self._experiment or run.experiment
        if copy is not None:
            experiment = copy.run.experiment
        is_known = self._is_known(run.run_id)
        try:
            presence = self._presence(original, copy, is_removed=is_removed)
            if presence == Presence.PRESENT:
                presence = self._copy_one(original, copy, progress)
        except UnavailableError:
            raise
        except RegistryError as error:
            self._errors.append(error)
            progress.notes.append(error.message)
            outcome = CopyOutcome.FAILED
        else:
            if presence != Presence.PRESENT:
                progress.notes.append(_GONE[presence])
                outcome = CopyOutcome.SKIPPED
            elif copy is None and not is_known:
                outcome = CopyOutcome.COPIED
            else:
                outcome = CopyOutcome.CONTINUED if progress.is_something else CopyOutcome.UNCHANGED
        return CopiedRun(
            run.run_id,
            run.name,
            experiment,
            outcome,
            progress.points,
            progress.files,
            progress.size_bytes,
            progress.models,
            "; ".join(progress.notes),
        )

    def _presence(self, original: ExportedRun, copy: ExportedRun | None, *, is_removed: bool) -> Presence:
        if is_removed:
            return Presence.REMOVED
        if copy is not None and copy.lifecycle_stage != LifecycleStage.ACTIVE:
            return Presence.DELETED
        if original.lifecycle_stage != LifecycleStage.ACTIVE:
            raise InvalidStateError(f"The run {original.run.run_id} is deleted in {self._uris[0]}.")
        return Presence.PRESENT

    def _copy_one(self, original: ExportedRun, copy: ExportedRun | None, progress: _Progress) -> Presence:
        run_id, memory = original.run.run_id, self._memory
        is_known = self._is_known(run_id)
        if is_known and memory is not None and memory.runs.get(run_id) != original:
            copy = self._target.run_export.runs([run_id]).get(run_id)
        if not (is_known and memory is not None and memory.runs.get(run_id) == original):
            presence = self._merge(original, copy, progress)
            if presence != Presence.PRESENT:
                return presence
        sent = self._copy_points(run_id, is_known=is_known)
        if sent is None:
            return Presence.DELETED
        progress.points = sent
        self._copy_files(original, progress)
        for model_id in self._source.run_export.models_of_run(run_id):
            steps = dict(original.outputs)
            progress.models += self._models.copy(model_id, run_id, steps.get(model_id, 0), progress.notes)
        if memory is not None and not self._dry_run:
            memory.runs[run_id] = original
            memory.compared.add(run_id)
            memory.pending.pop(run_id, None)
        return Presence.PRESENT

    def _merge(self, original: ExportedRun, copy: ExportedRun | None, progress: _Progress) -> Presence:
        run = original.run
        if copy is not None and _is_covered(run, copy.run, self._origin.registry_id):
            return Presence.PRESENT
        if self._dry_run:
            self._target.run_import.check(run, source=self._uris[0], target=self._uris[1])
            progress.merged = True
            return Presence.PRESENT
        if copy is not None:
            experiment_id = copy.experiment_id
        else:
            experiment_id = self._experiment_id(run.experiment, original.experiment_id)
        presence = self._target.run_merge.merge_run(
            run.run_id, experiment_id, self._origin, lambda: self._read_again(run.run_id)
        )
        progress.merged = True
        return presence

    def _read_again(self, run_id: str) -> PortableRun | None:
        found = self._source.run_export.runs([run_id]).get(run_id)
        return None if found is None else found.run

    def _experiment_id(self, name: str, source_id: str) -> str:
        """Return the target's experiment of a name; create it with the tags of the source's if it is missing."""
        target_name = self._experiment or name
        if target_name not in self._experiments:
            tags = self._source.experiments.get(source_id).tags if self._experiment is None else {}
            self._experiments[target_name] = find_or_create_experiment(self._target, target_name, tags)
        return self._experiments[target_name]

    def _copy_points(self, run_id: str, *, is_known: bool) -> int | None:
        """Send the points that the target lacks; return how many, or None if the run was deleted there."""
        starts: dict[str, tuple[int, int] | None]
        if is_known and self._memory is not None:
            starts = {key: (step, _EARLIEST) for key, step in self._memory.pending.get(run_id, {}).items()}
        else:
            own, others = self._source.run_export.series(run_id), self._target.run_export.series(run_id)
            starts = {key: None for key, summary in own.items() if others.get(key) != summary}
            if self._dry_run:
                there = (others[key].points if key in others else 0 for key in starts)
                return sum(max(own[key].points - count, 0) for key, count in zip(starts, there, strict=True))
        total = 0
        for pages in self._pages(run_id, starts):
            added = self._target.run_merge.add_points(run_id, pages)
            if added is None:
                return None
            total += added
        return total

    def _pages(self, run_id: str, starts: Mapping[str, tuple[int, int] | None]) -> Iterator[dict[str, list[Point]]]:
        """Yield pages of series, about PAGE points together, at most one page of a series at a time."""
        pages: dict[str, list[Point]] = {}
        for key, start in starts.items():
            after = start
            while page := self._source.run_export.points(run_id, key, after=after, limit=PAGE):
                if key in pages or sum(map(len, pages.values())) + len(page) > PAGE:
                    if pages:
                        yield pages
                    pages = {}
                pages[key] = page
                after = page[-1][:2]
        if pages:
            yield pages

    def _copy_files(self, original: ExportedRun, progress: _Progress) -> None:
        run_id = original.run.run_id
        source = self._source.blobs(self._places(original.artifact_uri))
        stamps = source.stamps()
        known = {} if self._memory is None else self._memory.files.get(run_id, {})
        changed = {path: stamp for path, stamp in stamps.items() if known.get(path) != stamp}
        adopted = self._source.runs.files(run_id).adopted if changed or not known else None
        if adopted is not None:  # what was put beside them later is not the run's
            stamps, changed = _of_manifest(stamps, adopted), _of_manifest(changed, adopted)
        self._files[0] += len(stamps)
        if not changed and adopted is None:
            self._files[1] += len(stamps)
            return
        copy = self._target.run_export.runs([run_id]).get(run_id)
        if copy is None:  # only a dry run gets here
            progress.files, progress.size_bytes = len(changed), sum(stamp.size for stamp in changed.values())
            return
        target = self._target.blobs(copy.artifact_uri)
        if target.root == source.root:
            raise InvalidStateError(
                f"Both registries keep the files of run {run_id} at {target.root}, so that each could remove those of "
                "the other. Give the target's experiment a place of its own: create_experiment(name, "
                "artifact_location=…), before the copy."
            )
        there = target.stamps()
        missing = {
            path: stamp
            for path, stamp in changed.items()
            if not _is_there(path, stamp, source, there.get(path), target)
        }
        progress.files, progress.size_bytes = len(missing), sum(stamp.size for stamp in missing.values())
        self._files[1] += len(stamps.keys() & (there.keys() | (set() if self._dry_run else missing.keys())))
        if self._dry_run:
            return
        if adopted is not None:
            for entry in adopted.entries:
                if entry.path in missing or entry.path not in {*stamps, *there}:
                    with AdoptedBlobStore(source, adopted).open(entry.path):
                        pass  # this compares it with its digest
        if missing:
            self._check_replaceable(copy, missing.keys() & there.keys())
            target.copy_from(source, missing)
        if self._memory is not None:
            self._memory.files[run_id] = stamps

    def _check_replaceable(self, copy: ExportedRun, paths: set[str]) -> None:
        root = root_of_artifacts(copy.artifact_uri, copy.experiment_id)
        if self._target.ownership.is_copy(root) and paths:
            raise NotOwnerError(
                f"{copy.artifact_uri}/{min(paths)} belongs to another database, of which {self._uris[1]} seems to be a "
                "copy, and is not replaced. See 'registry adopt'."
            )

    def _copy_lone_models(self, models: Sequence[str]) -> tuple[int, list[str]]:
        sent, notes = 0, list[str]()
        for model_id in models:
            try:
                sent += self._models.copy(model_id, None, 0, notes)
            except UnavailableError:
                raise
            except RegistryError as error:
                self._errors.append(error)
                notes.append(error.message)
        return sent, notes

    def _link(self, exported: Sequence[ExportedRun]) -> list[str]:
        """Record which logged models the runs used and made, now that all of these are there."""
        notes: list[str] = []
        memory = self._memory
        if self._dry_run:
            return notes
        if memory is not None:
            exported = [original for original in exported if memory.linked.get(original.run.run_id) != original]
        for start in range(0, len(exported), _BATCH):
            batch = exported[start : start + _BATCH]
            copies = self._target.run_export.runs([original.run.run_id for original in batch])
            for original in batch:
                copy = copies.get(original.run.run_id)
                if copy is None:
                    continue
                missing: list[str] = []
                if not ({*original.inputs} <= {*copy.inputs} and {*original.outputs} <= {*copy.outputs}):
                    missing = self._target.run_merge.link_models(original.run.run_id, original.inputs, original.outputs)
                notes += [
                    f"run {original.run.run_id} names the logged model {model_id}, which is not there; copy its run, "
                    "then this one again"
                    for model_id in missing
                ]
                if memory is not None and not missing:
                    memory.linked[original.run.run_id] = original
        return notes

    def _count(self, run_ids: Sequence[str], models: Sequence[str]) -> tuple[CopyCounts, CopyCounts]:
        if self._memory is not None:
            return CopyCounts(), CopyCounts()
        export = self._source.run_export
        all_models = [*models, *(model_id for run_id in run_ids for model_id in export.models_of_run(run_id))]
        sides = [backend.run_export.counts(run_ids, all_models) for backend in (self._source, self._target)]
        first, second = (_with_files(counts, files) for counts, files in zip(sides, self._files, strict=True))
        return first, second


def _with_files(counts: RunCounts, files: int) -> CopyCounts:
    return CopyCounts(counts.runs, counts.params, counts.points, files, counts.models)


def _is_covered(run: PortableRun, copy: PortableRun, registry_id: str) -> bool:
    """Tell whether a copy has all that a run has, except its points, files and models."""
    same = ("name", "user_id", "status", "start_time", "end_time")
    return (
        all(getattr(run, name) == getattr(copy, name) for name in same)
        and run.params.items() <= copy.params.items()
        and copied_tags(run, registry_id).items() <= copy.tags.items()
        and all(use in copy.inputs for use in run.inputs)
    )


def _of_manifest(stamps: Mapping[str, Stamp], manifest: Manifest) -> dict[str, Stamp]:
    listed = {entry.path for entry in manifest.entries}
    return {path: stamp for path, stamp in stamps.items() if path in listed}


def _is_there(path: str, stamp: Stamp, source: BlobStore, there: Stamp | None, target: BlobStore) -> bool:
    return there is not None and there.size == stamp.size and target.has_same(path, there, source)
