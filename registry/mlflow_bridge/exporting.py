"""Export everything that a registry has into an MLflow tracking URI, by mlflow's own client.

Runs get new ids there, as MLflow's client gives them; tags with the ids of here tell a later export what is there. A
tag that is written last says that a run is complete. Guarantees: this registry is only read; a version appears in
MLflow by one call, once its files are there.
"""

import hashlib
import math
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from registry.blobs import BlobStore, Stamp
from registry.client import MlflowClient
from registry.entities import Experiment, Manifest
from registry.entities.history import digest_of
from registry.entities.paging import all_pages
from registry.entities.portable_model import PortableRun
from registry.exceptions import InvalidStateError, RegistryError, UnavailableError
from registry.mlflow_bridge.export_models import ModelExport
from registry.mlflow_bridge.export_process import MlflowProcess, MlflowRefusedError
from registry.mlflow_bridge.export_worker import PARENT_TAG, REGISTRY_TAG, RUN_TAG, identity, update_digest
from registry.mlflow_bridge.importing import Progress, ignore
from registry.mlflow_bridge.report import Count, TransferReport
from registry.settings import redacted_uri
from registry.store.transfer.run_export import ExportedRun, Point, SeriesSummary

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

EXPERIMENT_TAG: Final = "registry.experiment_id"
_PAGE: Final = 20_000
_BATCH: Final = 100
_GREATEST: Final = 1.7976931348623157e308
_KINDS: Final = (
    "experiments",
    "runs",
    "params",
    "tags",
    "points",
    "data set inputs",
    "files of runs",
    "logged models",
    "registered models",
    "versions",
    "aliases",
)


def export_mlflow(
    target: str,
    *,
    artifacts: str | Path | None = None,
    registry_uri: str | None = None,
    tracking_uri: str | Path | None = None,
    python: str | None = None,
    progress: Progress | None = None,
) -> TransferReport:
    """Export all active experiments, runs, logged models and registered models into MLflow 3, with their files.

    Names, users, times, status, params, tags, whole metric histories, data sets, version numbers, stages, aliases and
    descriptions are kept. Runs and logged models get new ids, and tags with those of here. Exporting again completes
    what is missing, and brings runs and models up to date that have changed here.

    Args:
        target: MLflow's tracking URI, such as ``sqlite:///mlflow.db`` or ``http://host:5000``.
        artifacts: Where MLflow keeps the files of new experiments, if `target` is a database: a directory or
            ``s3://…``. Default: ``./mlartifacts``. A server decides it itself.
        registry_uri: MLflow's registry URI, if registered models are kept elsewhere.
        tracking_uri: The registry to export. Default: the one that is set.
        python: The Python of an environment that has mlflow 3. Default: this one.
        progress: Called with a kind, how many are done, and how many there are.

    Returns:
        What both sides have now, what was compared, and what could not be exported.

    Raises:
        InvalidStateError: There is no such Python, or its MLflow has no logged models.
        MissingDependencyError: That Python has no mlflow.
        UnavailableError: MLflow's store cannot be used, or its process ended; exporting again goes on.

    Example:
        >>> from registry.mlflow_bridge import export_mlflow
        >>> report = export_mlflow("sqlite:///mlflow.db", python="/opt/mlflow/bin/python")  # doctest: +SKIP
        >>> report.is_complete, report.by_kind["versions"].there  # doctest: +SKIP
        (True, 3)
    """
    client = MlflowClient(tracking_uri, read_only=True)
    return export_from(client, target, artifacts=artifacts, registry_uri=registry_uri, python=python, progress=progress)


def export_from(
    client: MlflowClient,
    target: str,
    *,
    artifacts: str | Path | None = None,
    registry_uri: str | None = None,
    python: str | None = None,
    progress: Progress | None = None,
) -> TransferReport:
    """Export what a client's registry has; see `export_mlflow`."""
    client.backend.experiments.registry_id()  # whether there is one, before mlflow is started, which takes seconds
    with MlflowProcess(python) as process:
        export = Export(client, process, progress or ignore)
        return export.run(target, registry_uri, None if _is_server(target) else _absolute(artifacts or "mlartifacts"))


def _is_server(target: str) -> bool:
    return target.partition(":")[0].lower() in ("http", "https", "databricks", "databricks-uc", "uc")


def _absolute(place: str | Path) -> str:
    return str(place).rstrip("/") if "://" in str(place) else str(Path(place).absolute())


@dataclass(slots=True)
class TargetExperiment:
    """An experiment of MLflow: what earlier exports wrote into it, by the ids of here."""

    experiment_id: str
    runs: dict[str, list[Any]]
    models: dict[str, list[str]]


@dataclass(slots=True)
class _Histories:
    """The histories of a run as MLflow must have them: how many points, and their digest, by key."""

    by_key: dict[str, list[Any]] = field(default_factory=dict)
    repeated: int = 0
    infinite: int = 0


class Export:
    """One export: its two sides, and what was seen."""

    def __init__(self, client: MlflowClient, process: MlflowProcess, progress: Progress) -> None:
        self.client = client
        self.backend = client.backend
        self.process = process
        self.here: Counter[str] = Counter()
        self.there: Counter[str] = Counter()
        self.added: Counter[str] = Counter()
        self.problems: list[str] = []
        self.notes: list[str] = []
        self.differences: list[str] = []
        self.compared = 0
        self.run_ids: dict[str, str] = {}
        self.progress = progress
        self.registry_id = self.backend.experiments.registry_id()
        self._experiments: dict[str, TargetExperiment] = {}
        self._orphans: dict[str, str] = {}
        self._runs_done = 0
        self._repeated = 0
        self._infinite = 0

    def run(self, target: str, registry_uri: str | None, artifacts: str | None) -> TransferReport:
        """Export everything, read it back and compare."""
        began = time.monotonic()
        try:
            opened = self.process.ask("open", tracking_uri=target, registry_uri=registry_uri, artifacts=artifacts)
        except MlflowRefusedError as error:
            raise UnavailableError(f"MLflow cannot use {redacted_uri(target)}: {error.message}") from error
        if not opened["has_logged_models"]:
            raise InvalidStateError(
                f"MLflow {opened['version']} has no logged models. Install mlflow 3.1 or newer in the environment that "
                "--python names (python=…)."
            )
        models = ModelExport(self)
        experiments = list(self._active_experiments())
        run_ids = {one.name: self.backend.run_export.run_ids(one.name) for one in experiments}
        total = sum(map(len, run_ids.values()))
        for experiment in experiments:
            self._export_experiment(experiment, run_ids[experiment.name], models, total)
        self._set_parents()
        models.link()
        models.export_registered_models()
        self._note_what_mlflow_cannot_hold()
        return TransferReport(
            place=redacted_uri(target),
            counts=[Count(kind, self.there[kind], self.here[kind], self.added[kind]) for kind in _KINDS],
            compared=self.compared,
            differences=self.differences,
            problems=self.problems,
            notes=self.notes,
            seconds=time.monotonic() - began,
        )

    @contextmanager
    def reporting(self, what: str) -> Iterator[None]:
        """Export one thing in the block; one that fails is a problem, and does not stop the others.

        Raises:
            UnavailableError: The process ended, or a server does not answer.
        """
        try:
            yield
        except UnavailableError:
            raise
        except RegistryError as error:
            self.problems.append(f"{what} was not exported: {error.message}")

    def experiment(self, name: str) -> TargetExperiment:
        """Return MLflow's experiment of a name; create it, with the tags of ours, if it is missing.

        Raises:
            InvalidStateError: It is deleted there.
        """
        if name not in self._experiments:
            ours = self.backend.experiments.find_by_name(name)
            tags = {} if ours is None else {**ours.tags, EXPERIMENT_TAG: ours.experiment_id}
            found = self.process.ask("experiment", name=name, tags=tags)
            if found.get("deleted"):
                raise InvalidStateError(
                    f"MLflow's experiment {name!r} is deleted. Restore it (mlflow experiments restore), or rename ours."
                )
            self._refuse_our_own_place(name, found["location"])
            self.added["experiments"] += int(found["is_new"])
            self._experiments[name] = TargetExperiment(found["id"], found["runs"], found["models"])
        return self._experiments[name]

    def _refuse_our_own_place(self, name: str, location: str) -> None:
        ours = Path(self.backend.place.artifact_root)
        if Path(location.removeprefix("file://")).is_relative_to(ours):
            raise InvalidStateError(
                f"MLflow keeps the files of {name!r} at {location}, among those of this registry, where gc would "
                "remove them. Rename MLflow's experiment, or export to a new database with --artifacts (artifacts=…)."
            )

    def expect(self, what: str, expected: Any, actual: Any) -> None:
        """Compare a value with what MLflow has."""
        self.compared += 1
        if expected != actual:
            self.differences.append(f"{what} is {actual!r:.200} in MLflow, {expected!r:.200} here.")

    @contextmanager
    def downloaded(self, store: BlobStore, manifest: Manifest | None = None) -> Iterator[str]:
        """Download files to a temporary directory; with a manifest, exactly its files, whose digests are checked."""
        with tempfile.TemporaryDirectory(prefix="registry-export-") as directory:
            if manifest is None:
                store.download("", Path(directory))
            else:
                store.fetch(manifest, Path(directory))
            yield directory

    def _active_experiments(self) -> Iterator[Experiment]:
        return all_pages(lambda token: self.client.search_experiments(page_token=token))

    def _export_experiment(
        self, experiment: Experiment, run_ids: Sequence[str], models: ModelExport, total: int
    ) -> None:
        self.here["experiments"] += 1
        self.here["runs"] += len(run_ids)
        with self.reporting(f"The experiment {experiment.name!r}"):
            there = self.experiment(experiment.name)
            self.there["experiments"] += 1
            for start in range(0, len(run_ids), _BATCH):
                for run_id, exported in self.backend.run_export.runs(run_ids[start : start + _BATCH]).items():
                    with self.reporting(f"The run {run_id}"):
                        self._export_run(exported, there, models)
                    self._runs_done += 1
                    self.progress("runs", self._runs_done, total)
            for model_id in self.backend.run_export.lone_models(experiment.name):
                models.export_logged_model(model_id)

    def _export_run(self, exported: ExportedRun, there: TargetExperiment, models: ModelExport) -> None:
        """Write a run unless it is there unchanged; read it back either way."""
        run = exported.run
        existing, state_there, is_deleted = there.runs.get(run.run_id, (None, None, False))
        if is_deleted:
            raise InvalidStateError(f"It is deleted in MLflow, as {existing}. Restore it there to complete it.")
        store = self.backend.run_files(run.run_id)
        sizes = {info.path: info.file_size for info in store.walk()}
        model_ids = self.backend.run_export.models_of_run(run.run_id)
        state = _digest(exported, self.backend.run_export.series(run.run_id), store.stamps())
        is_written = state_there == state
        run_id = str(existing)
        if not is_written:
            run_id = self.process.ask(
                "run",
                run_id=existing,
                experiment_id=there.experiment_id,
                run=_document(exported, self._added_tags(run)),
            )
        self.run_ids[run.run_id] = run_id
        histories = self._export_points(run.run_id, None if is_written else run_id)
        if sizes and not is_written:
            with self.downloaded(store) as directory:
                self.process.ask("run_files", run_id=run_id, directory=directory)
            self.added["files of runs"] += len(sizes)
        for model_id in model_ids:
            models.export_logged_model(model_id)
        models.note_links(exported)
        if not is_written:
            self.process.ask("finish", run_id=run_id, status=run.status, end_time=run.end_time, state=state)
            self.added["runs"] += int(existing is None)
        self._compare(exported, run_id, histories, sizes)

    def _added_tags(self, run: PortableRun) -> dict[str, str]:
        """Return tags that a run gets there: the ids of here, and the id that its parent has there."""
        tags = {RUN_TAG: run.run_id, REGISTRY_TAG: self.registry_id}
        if (parent := run.tags.get(PARENT_TAG)) is not None:
            if parent in self.run_ids:
                tags[PARENT_TAG] = self.run_ids[parent]
            else:
                self._orphans[run.run_id] = parent
        return tags

    def _set_parents(self) -> None:
        """Set the parents of runs that were exported before their parents."""
        for run_id, parent in self._orphans.items():
            if run_id in self.run_ids and parent in self.run_ids:
                self.process.ask("set_parent", run_id=self.run_ids[run_id], parent_id=self.run_ids[parent])

    def _export_points(self, run_id: str, target_id: str | None) -> _Histories:
        """Send the points of a run, unless `target_id` is None; return what MLflow must have."""
        histories = _Histories()
        keys = sorted(self.backend.run_export.series(run_id))
        latest = {
            key: Point(step, at, value) for key, step, at, value in self.backend.model_export.latest_points(run_id)
        }
        for key in keys:
            digest, count = hashlib.sha256(), 0
            after: tuple[int, int] | None = None
            while page := self.backend.run_export.points(run_id, key, after=after, limit=_PAGE):
                after = page[-1][:2]
                count += self._send(histories, target_id, key, page, digest)
            histories.by_key[key] = [count, digest.hexdigest()]
        # Of a history that gc has removed, the latest point is left.
        for key in sorted(latest.keys() - set(keys)):
            digest = hashlib.sha256()
            count = self._send(histories, target_id, key, [latest[key]], digest)
            histories.by_key[key] = [count, digest.hexdigest()]
        self._repeated += histories.repeated
        self._infinite += histories.infinite
        return histories

    def _send(
        self, histories: _Histories, target_id: str | None, key: str, page: Sequence[Point], digest: "Hash"
    ) -> int:
        """Send a page of points without repeated ones; add them to the digest, and return how many they are."""
        points = {identity(point): point for point in map(_finite, page)}
        ordered = sorted(points)
        update_digest(digest, ordered)
        histories.repeated += len(page) - len(points)
        histories.infinite += sum(math.isinf(point.value) for point in page)
        if target_id is not None:
            sent = [points[each] for each in ordered]
            self.added["points"] += self.process.ask(
                "points",
                run_id=target_id,
                key=key,
                steps=[point.step for point in sent],
                timestamps=[point.time for point in sent],
                values=[point.value for point in sent],
            )
        return len(points)

    def _compare(
        self, exported: ExportedRun, run_id: str, histories: _Histories, sizes: Mapping[str, int | None]
    ) -> None:
        """Read a run back, count what it has, and compare all of it."""
        run, there = exported.run, self.process.ask("read_run", run_id=run_id)
        of_run = f"of the run {run.run_id}"
        expected = _document(exported, self._added_tags(run))
        for name in ("name", "user_id", "status", "start_time"):
            self.expect(f"The {name} {of_run}", getattr(run, name), there[name])
        if run.end_time is not None:
            self.expect(f"The end_time {of_run}", run.end_time, there["end_time"])
        inputs = sorted({(use.name, use.digest) for use in run.inputs})
        if run.run_id in self._orphans:
            del expected["tags"][PARENT_TAG]  # it is set once the parent is there
        tags = {key: there["tags"][key] for key in expected["tags"] if key in there["tags"]}
        self.expect(f"The params {of_run}", run.params, there["params"])
        self.expect(f"The tags {of_run}", expected["tags"], tags)
        self.expect(f"The data sets {of_run}", [list(use) for use in inputs], there["inputs"])
        self.expect(f"The files {of_run}", sizes, there["files"])
        for key in sorted({*histories.by_key, *there["histories"]}):
            expected_points, actual = histories.by_key.get(key), there["histories"].get(key)
            self.expect(f"The history of {key!r} {of_run}", expected_points, actual)
        self.there["runs"] += 1
        for kind, ours, theirs in (
            ("params", len(run.params), len(there["params"])),
            ("tags", len(run.tags), len(run.tags.keys() & there["tags"].keys())),
            ("points", _total(histories.by_key), _total(there["histories"])),
            ("data set inputs", len(inputs), len(there["inputs"])),
            ("files of runs", len(sizes), len(there["files"])),
        ):
            self.here[kind] += ours
            self.there[kind] += theirs

    def _note_what_mlflow_cannot_hold(self) -> None:
        if self._infinite:
            self.notes.append(
                f"{self._infinite} infinite values are {_GREATEST:.3e} in MLflow: its SQL stores hold no infinity."
            )
        if self._repeated:
            self.notes.append(f"{self._repeated} repeated points were written once, as MLflow keeps equal points once.")


def _document(exported: ExportedRun, added_tags: Mapping[str, str]) -> dict[str, Any]:
    run = exported.run
    return {
        "name": run.name,
        "user_id": run.user_id,
        "start_time": run.start_time,
        "params": run.params,
        "tags": {**run.tags, **added_tags},
        "inputs": [
            {
                "dataset": {
                    "name": use.name,
                    "digest": use.digest,
                    "source_type": use.source_type,
                    "source": use.source,
                    "schema": use.schema,
                    "profile": use.profile,
                },
                "tags": use.tags,
            }
            for use in run.inputs
        ],
    }


def _digest(exported: ExportedRun, series: Mapping[str, SeriesSummary], stamps: Mapping[str, Stamp]) -> str:
    """Return a digest by which a later export sees whether a run has changed here."""
    values = [_document(exported, {}), exported.run.status, exported.run.end_time, sorted(map(repr, series.items()))]
    return digest_of([*values, sorted(map(repr, stamps.items()))])[:32]


def _finite(point: Point) -> Point:
    """Return a point as MLflow's SQL stores keep it."""
    return point._replace(value=math.copysign(_GREATEST, point.value)) if math.isinf(point.value) else point


def _total(histories: Mapping[str, Sequence[Any]]) -> int:
    return sum(int(count) for count, _ in histories.values())
