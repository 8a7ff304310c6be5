"""Import everything that an MLflow store has: experiments, runs, logged models, registered models and all files.

Each run and each model is written by transactions of its own, so an import that was interrupted goes on where it
stopped, and a later one brings what is new. Guarantees: nothing is written to the source.
"""

import hashlib
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from registry.client import MlflowClient
from registry.client.transfer.importing import find_or_create_experiment
from registry.entities.history import canonical_json
from registry.entities.portable_model import PortableRun
from registry.exceptions import (
    AccessDeniedError,
    IntegrityError,
    InvalidParameterError,
    InvalidStateError,
    NotFoundError,
    PathExistsError,
)
from registry.mlflow_bridge.comparison import Sample, compare_runs
from registry.mlflow_bridge.database import DatabaseSource
from registry.mlflow_bridge.file_store import FileStoreSource
from registry.mlflow_bridge.files import FilePlaces, can_adopt, hash_files, parse_moved
from registry.mlflow_bridge.models import ModelImport
from registry.mlflow_bridge.renames import RefusedNames, Renames, find_fault, propose, read_renames
from registry.mlflow_bridge.report import Count, TransferReport
from registry.mlflow_bridge.server import server_source
from registry.mlflow_bridge.source import Files, Source, SourceExperiment, SourceModel, SourceRun
from registry.store.tracking.run_inputs import CONTEXT_TAG
from registry.store.tracking.run_read import run_location
from registry.store.transfer.outside_runs import AdoptedFiles, OutsideRun, Series
from registry.uris import parse_location
from registry.validation.values import checked_text

FileMode = Literal["copy", "adopt"]
Progress = Callable[[str, int, int], None]

_PROMPT_TAG: Final = "mlflow.prompt.is_prompt"
_WITHOUT_FILES: Final = " without files"
# What makes the files of one run unreadable, but not those of the next.
_FAULTS: Final = (
    AccessDeniedError,
    IntegrityError,
    InvalidParameterError,
    InvalidStateError,
    NotFoundError,
    PathExistsError,
)


def import_mlflow(
    source: str | Path,
    *,
    tracking_uri: str | Path | None = None,
    files: FileMode = "copy",
    deleted: bool = False,
    rename: Mapping[str, Mapping[str, str]] | str | Path | None = None,
    moved: Sequence[str] = (),
    server: str | None = None,
    reason: str | None = None,
    progress: Progress | None = None,
) -> TransferReport:
    """Import all experiments, runs, logged models and registered models of an MLflow store, with their files.

    Run ids, version numbers, stages, aliases, tags, descriptions and times are kept. Experiments are matched by name
    and get new ids. If two versions of a model are in Production, the higher number keeps it and the other is
    archived. The histories of models begin with the import. Calling it again imports only what is new or has changed.

    Args:
        source: A directory such as ``./mlruns``, the URL of a database (``sqlite:///mlflow.db``, ``postgresql://…``,
            ``mysql://…``), or ``http://…`` of a running server.
        tracking_uri: The registry to import into. Default: the one that is set.
        files: ``"copy"`` copies files; ``"adopt"`` leaves them where they are, records their digests, and never
            removes them. Files that only MLflow's server can read are always copied.
        deleted: Import deleted experiments and runs too; they are deleted here as well.
        rename: New names for names that are not allowed here: a YAML file, or a mapping of ``experiments``, ``models``,
            ``aliases`` or ``keys`` to mappings. A file that does not exist is written with proposals.
        moved: Places that changed since MLflow wrote them, as ``OLD=NEW``.
        server: URL of an MLflow server that reads ``mlflow-artifacts:`` places, for a source that is a database.
        reason: Why, for the histories of models.
        progress: Called with a kind, how many are done, and how many there are (0 if that is not known).

    Returns:
        What both sides have now, what was compared, and what could not be imported.

    Raises:
        InvalidNameError: Names are not allowed here; the message has a proposal for each. Nothing was imported.
        InvalidStateError: There is no MLflow store at `source`.
        MissingDependencyError: The driver of the database is not installed.
        UnavailableError: The source cannot be read.

    Example:
        >>> from pathlib import Path
        >>> from registry.mlflow_bridge import import_mlflow
        >>> Path("old/1").mkdir(parents=True)
        >>> _ = Path("old/1/meta.yaml").write_text("name: imported")
        >>> report = import_mlflow("old")
        >>> report.is_complete, report.by_kind["experiments"].here
        (True, 1)
    """
    if files not in ("copy", "adopt"):
        raise InvalidParameterError(f"files must be 'copy' or 'adopt', got {files!r}.")
    renames = read_renames(rename)
    opened = open_source(source, [parse_moved(text) for text in moved], server)
    try:
        options = Options(files == "adopt", deleted, reason, renames, progress or ignore)
        return Import(MlflowClient(tracking_uri), opened, options).run(rename)
    finally:
        opened.close()


def open_source(source: str | Path, moved: Sequence[tuple[str, str]], server: str | None) -> Source:
    """Open an MLflow store to read it.

    Raises:
        InvalidStateError: There is none.
        UnsupportedStoreError: It is of a kind that cannot be read.
    """
    text = str(source)
    scheme = text.partition("://")[0].lower() if "://" in text else ""
    if scheme in ("http", "https"):
        return server_source(text, moved)
    if scheme and scheme != "file":
        return DatabaseSource(text, lambda base: FilePlaces(base, moved, server))
    location = parse_location(text)
    directory = Path(getattr(location, "path", text))
    if directory.is_file():
        raise InvalidStateError(f"{text!r} is a file. If it is an SQLite database, write sqlite:///{text}.")
    return FileStoreSource(directory, FilePlaces(directory.absolute().parent, moved, server))


@dataclass(frozen=True, slots=True)
class Options:
    """How to import; see `import_mlflow`."""

    adopts: bool
    deleted: bool
    reason: str | None
    renames: Renames
    progress: Progress


def ignore(_kind: str, _done: int, _total: int) -> None:
    """Show no progress."""


class Import:
    """One import: its two sides, and what was seen."""

    def __init__(self, client: MlflowClient, source: Source, options: Options) -> None:
        self.client = client
        self.backend = client.backend
        self.source = source
        self.options = options
        self.renames = options.renames
        self.seen: Counter[str] = Counter()
        self.added: Counter[str] = Counter()
        self.problems: list[str] = []
        self.notes: list[str] = []
        self.experiment_ids: dict[str, str] = {}
        self.artifact_uris: dict[str, str] = {}
        self.experiment_of_run: dict[str, str] = {}
        self._sample = Sample()
        self._links: list[SourceRun] = []
        self._to_delete: set[str] = set()
        self._deleted_runs: dict[str, str] = {}
        self._missing_places: Counter[str] = Counter()
        self._origin = f"{source.system}: {source.uri}"

    def run(self, given_renames: Mapping[str, Any] | str | Path | None) -> TransferReport:
        """Import everything, then count and compare."""
        began = time.monotonic()
        experiments = [one for one in self.source.experiments() if self.options.deleted or not one.is_deleted]
        models = self._models_without_prompts()
        refused = RefusedNames()
        refused.check("experiments", [one.name for one in experiments], self.renames.experiments)
        refused.check("models", [model.name for model in models], self.renames.models, folds=True)
        refused.check("aliases", sorted({alias for model in models for alias in model.aliases}), self.renames.aliases)
        refused.raise_if_any(given_renames, self.renames)
        for experiment in experiments:
            self._prepare(experiment)
        total = self.source.run_count()
        for experiment in experiments:
            for batch in self.source.runs(experiment, deleted=self.options.deleted):
                self._import_batch(experiment, batch)
                self.options.progress("runs", self.seen["runs"], total)
        of_models = ModelImport(self)
        for experiment in experiments:
            for model in self.source.logged_models(experiment, deleted=self.options.deleted):
                of_models.import_logged_model(model)
        self._link()
        for number, registered in enumerate(models, 1):
            of_models.import_registered_model(registered)
            self.options.progress("registered models", number, len(models))
        self.backend.outside_runs.finish(self._deleted_runs, list(self._deleted_runs))
        of_models.delete_deleted()
        for experiment_id in sorted(self._to_delete):
            self.backend.experiments.delete(self.experiment_ids[experiment_id])
        for place, count in sorted(self._missing_places.items()):
            self.problems.append(
                f"{place} does not exist here; {count} runs were imported without files. If the files were moved, "
                "import again with --moved OLD=NEW (moved=…)."
            )
        self.problems += self.source.left_out()
        self.notes += self.source.remarks()
        compared, differences = compare_runs(self.client, self.source, self._sample, self.renames)
        compared_of_models, differences_of_models = of_models.compare()
        return TransferReport(
            place=self.source.uri,
            counts=self._counts(of_models),
            compared=compared + compared_of_models,
            differences=[*differences, *differences_of_models],
            problems=self.problems,
            notes=self.notes,
            seconds=time.monotonic() - began,
        )

    def _models_without_prompts(self) -> list[SourceModel]:
        """Return the registered models; MLflow keeps prompts among them, which have no files."""
        found = list(self.source.registered_models())
        models = [model for model in found if model.tags.get(_PROMPT_TAG) != "true"]
        if len(models) < len(found):
            self.notes.append(f"{len(found) - len(models)} prompts were left out; this registry keeps none.")
        return models

    def _prepare(self, experiment: SourceExperiment) -> None:
        """Find or create the experiment of the same name; one that the source deleted is deleted at the end."""
        name = self.renames.experiments.get(experiment.name, experiment.name)
        self.seen["experiments"] += 1
        existing = self.backend.experiments.find_by_name(name)
        if existing is not None and experiment.is_deleted and existing.lifecycle_stage != "active":
            self.backend.experiments.restore(existing.experiment_id)
        experiment_id = find_or_create_experiment(self.backend, name)
        if existing is None:
            self.added["experiments"] += 1
        self.experiment_ids[experiment.experiment_id] = experiment_id
        tags = {self.renames.keys.get(key, key): value for key, value in experiment.tags.items()}
        self.backend.experiments.set_tags(experiment_id, {**tags, self.source.origin_tag: experiment.experiment_id})
        if experiment.is_deleted and (existing is None or existing.lifecycle_stage != "active"):
            self._to_delete.add(experiment.experiment_id)

    def _import_batch(self, experiment: SourceExperiment, batch: Sequence[SourceRun]) -> None:
        by_id = {run.run.run_id: run for run in batch}
        states = self.backend.outside_runs.states(list(by_id))
        done: dict[str, str] = {}
        for run_id, series in self.source.series(list(by_id)):
            self._import_run(experiment, by_id.pop(run_id), series, states, done)
        for run in by_id.values():
            self._import_run(experiment, run, [], states, done)
        self.backend.outside_runs.finish(done)

    def _import_run(
        self,
        experiment: SourceExperiment,
        run: SourceRun,
        series: Sequence[Series],
        states: Mapping[str, str | None],
        done: dict[str, str],
    ) -> None:
        """Import one run unless it is here unchanged; `done` gets the state of a run that is to be finished."""
        run_id = run.run.run_id
        experiment_id = self.experiment_ids[experiment.experiment_id]
        self.artifact_uris[run_id] = run.artifact_uri
        self.experiment_of_run[run_id] = experiment_id
        self._see(run, series)
        renamed, columns = self._rename_keys(run.run, series)
        state = digest_of_run(run, series)
        is_here = run_id in states
        if is_here and states[run_id] is None:
            self.problems.append(f"A run {run_id} exists here that no import wrote; it was left as it is.")
            return
        if fault := self._find_fault(renamed, columns):
            self.problems.append(f"The run {run_id} was not imported: {fault}")
            return
        if run.input_models or run.output_models:
            self._links.append(run)
        is_deleted_with_experiment = experiment.experiment_id in self._to_delete
        self._sample.offer(replace(run, is_deleted=run.is_deleted or is_deleted_with_experiment), series)
        if states.get(run_id) == state:
            return
        try:
            found = self._find_files(run)
            adopted = self._adopt(found) if found is not None and self.options.adopts else None
        except _FAULTS as error:
            self.problems.append(f"The files of the run {run_id} were not imported: {error}")
            found, adopted, state = None, None, state + _WITHOUT_FILES
        else:
            if found is None and self._is_place_missing(run):
                state += _WITHOUT_FILES
        if states.get(run_id) == state:
            return
        self.backend.outside_runs.write(OutsideRun(renamed, experiment_id, columns, self._origin, adopted))
        if found is not None and adopted is None:
            try:
                is_ours = is_here and not str(states[run_id]).endswith(_WITHOUT_FILES)
                self._copy(found, experiment_id, run_id, is_ours=is_ours)
            except _FAULTS as error:
                self.problems.append(f"The files of the run {run_id} were not imported: {error}")
                state = f"{state}{_WITHOUT_FILES}"
        self.added["runs"] += 1
        self.added["points"] += sum(len(one.steps) for one in series)
        self.added["params"] += len(run.run.params)
        self.added["tags"] += len(run.run.tags)
        self.added["data set inputs"] += len(run.run.inputs)
        # A deleted run is marked at the end: until then its models can be linked to it. Those of a deleted experiment
        # are deleted with it, so that restoring it brings them back.
        is_deleted = run.is_deleted and not is_deleted_with_experiment
        (self._deleted_runs if is_deleted else done)[run_id] = state

    def _see(self, run: SourceRun, series: Sequence[Series]) -> None:
        self.seen["runs"] += 1
        self.seen["params"] += len(run.run.params)
        self.seen["tags"] += len(run.run.tags)
        self.seen["points"] += sum(len(one.steps) for one in series)
        uses = {(use.name, use.digest, use.tags.get(CONTEXT_TAG)) for use in run.run.inputs}
        self.seen["data set inputs"] += len(uses)

    def _rename_keys(self, run: PortableRun, series: Sequence[Series]) -> tuple[PortableRun, Sequence[Series]]:
        keys = self.renames.keys
        name = self.renames.experiments.get(run.experiment, run.experiment)
        changed = PortableRun(
            run.run_id,
            name,
            run.name,
            run.user_id,
            run.status,
            run.start_time,
            run.end_time,
            {keys.get(key, key): value for key, value in run.params.items()},
            {keys.get(key, key): value for key, value in run.tags.items()},
            run.inputs,
        )
        return changed, [Series(keys.get(one.key, one.key), one.steps, one.timestamps, one.values) for one in series]

    def _find_fault(self, run: PortableRun, series: Sequence[Series]) -> str | None:
        """Return why a run cannot be stored, or None."""
        for key in (*run.params, *run.tags, *(one.key for one in series)):
            if fault := find_fault("keys", key):
                return (
                    f"{fault} Rename the key, for example to {propose('keys', key)!r}, under 'keys' of --rename FILE."
                )
        try:
            for key, value in (*run.params.items(), *run.tags.items(), ("name", run.name), ("user", run.user_id)):
                checked_text(value, repr(key))
        except InvalidParameterError as error:
            return error.message
        return None

    def _find_files(self, run: SourceRun) -> Files | None:
        """Return the files of a run, or None if it has none."""
        found = self.source.run_files(run)
        return None if next(iter(found.store.walk(found.path)), None) is None else found

    def _is_place_missing(self, run: SourceRun) -> bool:
        """Tell whether the directory that holds the files of many runs does not exist here."""
        directory = self.source.run_files(run).store.local_directory
        if directory is None or directory.exists():
            return False
        above = directory.parent.parent if directory.name == "artifacts" else directory.parent
        if above.exists() or above.parent.exists():
            return False
        self._missing_places[str(above)] += 1
        return True

    def _adopt(self, found: Files) -> AdoptedFiles | None:
        return None if not can_adopt(found) else AdoptedFiles(found.location, hash_files(found))

    def _copy(self, found: Files, experiment_id: str, run_id: str, *, is_ours: bool) -> None:
        """Copy the files of a run; with `is_ours`, replace those that an earlier import stored."""
        above = self.backend.experiments.get(experiment_id).artifact_location
        location = run_location(above, run_id)
        directory = self.backend.blobs(location.removesuffix("/artifacts"))
        self.backend.ownership.claim(location, experiment_id)
        if is_ours:
            directory.purge("artifacts")
        try:
            manifest = self.backend.blobs(location).seal_from(found.store, found.path)
        except PathExistsError:
            raise  # somebody else's files stay
        except _FAULTS:
            directory.purge("artifacts")
            raise
        self.added["files of runs"] += len(manifest.entries)

    def _link(self) -> None:
        """Link the runs to the logged models that they used and made."""
        wanted = {model_id for run in self._links for model_id, _ in (*run.input_models, *run.output_models)}
        existing = self.backend.outside_models.existing(sorted(wanted))
        for run in self._links:
            self.backend.outside_runs.link_models(
                run.run.run_id,
                inputs=[link for link in run.input_models if link[0] in existing],
                outputs=[link for link in run.output_models if link[0] in existing],
            )

    def _counts(self, of_models: ModelImport) -> list[Count]:
        here = self.backend.outside_runs.counts(list(self.experiment_of_run))
        of_registry = self.backend.outside_models.counts(of_models.names)
        numbers = {
            "experiments": len(set(self.experiment_ids.values())),
            "runs": here.runs,
            "params": here.params,
            "tags": here.tags,
            "points": here.points,
            "data set inputs": here.inputs,
            "logged models": len(self.backend.outside_models.existing(of_models.logged_ids)),
            **of_registry,
        }
        return [Count(kind, self.seen[kind], number, self.added[kind]) for kind, number in numbers.items()]


def digest_of_run(run: SourceRun, series: Sequence[Series]) -> str:
    """Return a digest by which a later import sees whether a run has changed in the source."""
    last = [(one.key, len(one.steps), sum(one.steps), sum(one.timestamps), _total(one.values)) for one in series]
    one = run.run
    inputs = sorted(f"{use.name} {use.digest}" for use in one.inputs)
    values = [one.name, one.user_id, one.status, one.end_time, run.is_deleted, one.params, one.tags, inputs]
    return hashlib.sha256(canonical_json([*values, sorted(last)]).encode()).hexdigest()[:32]


def _total(values: Sequence[float]) -> str:
    return repr(math.fsum(value for value in values if math.isfinite(value) and abs(value) < 1e300))
