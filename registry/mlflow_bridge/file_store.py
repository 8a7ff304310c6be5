"""Read MLflow's file store (``./mlruns``), as MLflow 0.x to 3.12 wrote it.

Guarantees: only files are read. Files of runs that were moved together with the store are found.
"""

import functools
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

from registry.client.byte_stores import open_store
from registry.entities.portable_model import PortableInput, PortableMetric, PortableRun
from registry.exceptions import InvalidStateError, disk_error
from registry.flavors.untrusted.yaml import read_map
from registry.mlflow_bridge.files import FilePlaces
from registry.mlflow_bridge.source import (
    EXPERIMENT_TAG,
    MLFLOW,
    Files,
    SourceExperiment,
    SourceLoggedModel,
    SourceModel,
    SourceModelMetric,
    SourceRun,
    SourceVersion,
    model_id_in,
)
from registry.store.transfer.outside_runs import Series

P = ParamSpec("P")
T = TypeVar("T")
_META: Final = "meta.yaml"
_TRASH: Final = ".trash"
_MODELS: Final = "models"
_BATCH: Final = 200
_STATUS_OF_RUN: Final = {1: "RUNNING", 2: "SCHEDULED", 3: "FINISHED", 4: "FAILED", 5: "KILLED"}
_STATUS_OF_MODEL: Final = {1: "PENDING", 2: "READY", 3: "FAILED"}
_SOURCE_TYPES: Final = {1: "NOTEBOOK", 2: "JOB", 3: "PROJECT", 4: "LOCAL"}
_SOURCE_TAGS: Final = {
    "source_name": "mlflow.source.name",
    "entry_point_name": "mlflow.project.entryPoint",
    "source_version": "mlflow.source.git.commit",
}


class FileStoreSource:
    """A directory that MLflow wrote."""

    system = MLFLOW
    origin_tag = EXPERIMENT_TAG

    def __init__(self, directory: Path, places: FilePlaces) -> None:
        self._root = directory.absolute()
        self._places = places
        self._directories: dict[str, Path] = {}
        if not self._root.is_dir() or not self._experiment_directories():
            raise InvalidStateError(
                f"The directory {str(directory)!r} holds no file store of MLflow's: no directory in it has a meta.yaml."
            )

    @property
    def uri(self) -> str:
        """Return the path of the directory."""
        return str(self._root)

    def left_out(self) -> list[str]:
        """Return an empty list: all of it is read."""
        return []

    def remarks(self) -> list[str]:
        """Return an empty list: all is kept as it is."""
        return []

    def close(self) -> None:
        """Do nothing: no file stays open."""

    def experiments(self) -> list[SourceExperiment]:
        """Return all experiments, deleted ones too."""
        return [self._experiment(directory) for directory in self._experiment_directories()]

    def run_count(self) -> int:
        """Return the number of runs."""
        return sum(len(_subdirectories(directory)) for directory in self._experiment_directories())

    def runs(self, experiment: SourceExperiment, *, deleted: bool) -> Iterator[list[SourceRun]]:
        """Yield the runs of an experiment in batches."""
        of_experiment = self._find_experiment(experiment.experiment_id)
        batch: list[SourceRun] = []
        for directory in _subdirectories(of_experiment):
            run = _read_run(directory, of_experiment, experiment.name)
            if run.is_deleted and not deleted:
                continue
            self._directories[run.run.run_id] = directory
            batch.append(run)
            if len(batch) == _BATCH:
                yield batch
                batch = []
        if batch:
            yield batch

    def series(self, run_ids: Sequence[str]) -> Iterator[tuple[str, list[Series]]]:
        """Yield the metric histories of runs."""
        for run_id in run_ids:
            directory = self._directories[run_id] / "metrics"
            yield run_id, [_read_series(key, path) for key, path in _keyed_files(directory)]

    def logged_models(self, experiment: SourceExperiment, *, deleted: bool) -> Iterator[SourceLoggedModel]:
        """Yield the logged models of an experiment; none before MLflow 3."""
        for directory in _subdirectories(self._find_experiment(experiment.experiment_id) / _MODELS):
            model = _read_logged_model(directory, experiment.experiment_id)
            if deleted or not model.is_deleted:
                yield model

    def registered_models(self) -> Iterator[SourceModel]:
        """Yield the registered models, sorted by name."""
        for directory in _subdirectories(self._root / _MODELS):
            yield _read_model(directory)

    def run_files(self, run: SourceRun) -> Files:
        """Return the files of a run; beside its meta.yaml, if they are not where they were."""
        return self._beside(self._directories[run.run.run_id] / "artifacts", run.artifact_uri)

    def files(self, location: str, *, run_id: str | None = None, model_id: str | None = None) -> Files:
        """Return the files at a location; below the directory of its run or logged model, if the store was moved."""
        files = self._places.open(location)
        if files.store.local_directory is None or files.store.local_directory.exists():
            return files
        owner = model_id or run_id
        if owner is not None and f"/{owner}/" in location:
            path = location.partition(f"/{owner}/")[2]
            for experiment in self._experiment_directories():
                for candidate in (experiment / owner / path, experiment / _MODELS / owner / path):
                    if candidate.exists():
                        return Files(open_store(str(candidate)))
        return files

    def _beside(self, directory: Path, location: str) -> Files:
        if directory.is_dir():
            return Files(open_store(str(directory)))
        return self._places.open(location or str(directory))

    def _experiment_directories(self) -> list[Path]:
        found = [path for path in _subdirectories(self._root) if path.name != _MODELS]
        return sorted(found + _subdirectories(self._root / _TRASH), key=lambda path: (len(path.name), path.name))

    def _find_experiment(self, experiment_id: str) -> Path:
        return next(path for path in self._experiment_directories() if path.name == experiment_id)

    def _experiment(self, directory: Path) -> SourceExperiment:
        meta = read_map(directory / _META)
        return SourceExperiment(
            experiment_id=directory.name,
            name=str(meta["name"]) if "name" in meta else directory.name,
            artifact_location=str(meta.get("artifact_location") or directory),
            is_deleted=directory.parent.name == _TRASH or meta.get("lifecycle_stage") == "deleted",
            tags=_read_texts(directory / "tags"),
        )


def _subdirectories(directory: Path) -> list[Path]:
    """Return the directories in which a meta.yaml is, sorted by name."""
    try:
        if not directory.is_dir():
            return []
        return sorted(path for path in directory.iterdir() if (path / _META).is_file())
    except OSError as error:
        raise disk_error(f"The directory {str(directory)!r} cannot be read: {error.strerror}.", error) from None


def _keyed_files(directory: Path) -> list[tuple[str, Path]]:
    """Return the files below a directory with their keys, which are their relative paths."""
    if not directory.is_dir():
        return []
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    return [(path.relative_to(directory).as_posix(), path) for path in files]


def _read_texts(directory: Path) -> dict[str, str]:
    return {key: _read_text(path) for key, path in _keyed_files(directory)}


def _read_text(path: Path) -> str:
    try:
        # As MLflow reads it: universal newlines, and text that is not UTF-8 is an error.
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise InvalidStateError(f"The file {str(path)!r} is not UTF-8; it is not as MLflow wrote it.") from None
    except OSError as error:
        raise disk_error(f"The file {str(path)!r} cannot be read: {error.strerror}.", error) from None


def _naming_the_directory(read: Callable[Concatenate[Path, P], T]) -> Callable[Concatenate[Path, P], T]:
    """Turn a field of the wrong kind, or one that is missing, into an error that names the directory."""

    @functools.wraps(read)
    def read_named(directory: Path, /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return read(directory, *args, **kwargs)
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
            raise InvalidStateError(
                f"The files in {str(directory)!r} are not as MLflow wrote them: {type(error).__name__}: {error}. "
                "Mend them, or move the directory away and import again."
            ) from None

    return read_named


@_naming_the_directory
def _read_run(directory: Path, experiment: Path, experiment_name: str) -> SourceRun:
    meta = read_map(directory / _META)
    run_id = str(meta.get("run_id") or meta.get("run_uuid") or directory.name)
    tags = _read_texts(directory / "tags")
    for field, tag in _SOURCE_TAGS.items():
        # The fields of MLflow before 0.9; since then they are tags.
        if meta.get(field):
            tags.setdefault(tag, str(meta[field]))
    if "mlflow.source.name" in tags and meta.get("source_type") in _SOURCE_TYPES:
        tags.setdefault("mlflow.source.type", _SOURCE_TYPES[meta["source_type"]])
    status = meta.get("status", "FINISHED")
    used, made = _run_models(directory)
    run = PortableRun(
        run_id=run_id,
        experiment=experiment_name,
        name=tags.get("mlflow.runName") or str(meta.get("run_name") or meta.get("name") or run_id[:8]),
        user_id=str(meta.get("user_id") or tags.get("mlflow.user") or ""),
        status=_STATUS_OF_RUN.get(status, "FINISHED") if isinstance(status, int) else str(status),
        start_time=int(meta.get("start_time") or 0),
        end_time=None if meta.get("end_time") is None else int(meta["end_time"]),
        params=_read_texts(directory / "params"),
        tags=tags,
        inputs=_read_inputs(directory, experiment),
    )
    is_deleted = meta.get("lifecycle_stage") == "deleted"
    return SourceRun(run, str(meta.get("artifact_uri") or ""), is_deleted, used, made)


def _read_inputs(directory: Path, experiment: Path) -> list[PortableInput]:
    inputs = []
    for use in _subdirectories(directory / "inputs"):
        meta = read_map(use / _META)
        data = experiment / "datasets" / str(meta.get("source_id"))
        if meta.get("source_type") != "DATASET" or not (data / _META).is_file():
            continue
        found = read_map(data / _META)
        inputs.append(
            PortableInput(
                str(found["name"]),
                str(found["digest"]),
                str(found.get("source_type") or ""),
                str(found.get("source") or ""),
                found.get("schema"),
                found.get("profile"),
                {str(key): str(value) for key, value in (meta.get("tags") or {}).items()},
            )
        )
    return inputs


def _run_models(directory: Path) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    """Return the logged models that a run used and made, as (id, step)."""
    used: list[tuple[str, int]] = []
    made: list[tuple[str, int]] = []
    for kind, of_run in (("inputs", used), ("outputs", made)):
        for use in _subdirectories(directory / kind):
            meta = read_map(use / _META)
            if str(meta.get("destination_type", "")).startswith("MODEL"):
                of_run.append((str(meta["destination_id"]), int(meta.get("step") or 0)))
    return used, made


def _read_series(key: str, path: Path) -> Series:
    """Read a metric: a line per point with timestamp, value and, since MLflow 1.0, step."""
    steps, timestamps, values = array("q"), array("q"), array("d")
    for number, line in enumerate(_read_text(path).splitlines(), 1):
        fields = line.split(" ")
        try:
            timestamp, value, step = (*fields, "0") if len(fields) == 2 else fields[:3]
            timestamps.append(int(timestamp))
            values.append(float(value))
            steps.append(int(step))
        except (ValueError, OverflowError):
            raise InvalidStateError(f"Line {number} of {str(path)!r} is not a metric point: {line!r:.100}.") from None
    return Series(key, steps, timestamps, values)


@_naming_the_directory
def _read_logged_model(directory: Path, experiment_id: str) -> SourceLoggedModel:
    meta = read_map(directory / _META)
    model_id = str(meta.get("model_id") or directory.name)
    run_id = meta.get("source_run_id")
    status = meta.get("status", 3)
    return SourceLoggedModel(
        model_id=model_id,
        experiment_id=experiment_id,
        name=str(meta.get("name") or model_id),
        artifact_location=str(meta.get("artifact_location") or directory / "artifacts"),
        status=_STATUS_OF_MODEL.get(status, "FAILED") if isinstance(status, int) else str(status),
        run_id=None if run_id is None else str(run_id),
        model_type=meta.get("model_type"),
        status_message=meta.get("status_message"),
        creation_time=meta.get("creation_timestamp"),
        is_deleted=meta.get("lifecycle_stage") == "deleted",
        params=_read_texts(directory / "params"),
        tags=_read_texts(directory / "tags"),
        metrics=[point for key, path in _keyed_files(directory / "metrics") for point in _model_metrics(key, path)],
    )


def _model_metrics(key: str, path: Path) -> Iterator[SourceModelMetric]:
    """Read a metric of a logged model: timestamp, value, step, run, and name and digest of a data set if it has one."""
    for line in _read_text(path).splitlines():
        fields = [*line.split(" "), *[""] * 6]
        timestamp, value, step, run_id, name, digest = fields[:6]
        try:
            point = PortableMetric(key, int(step), int(timestamp), repr(float(value)), name or None, digest or None)
        except ValueError:
            raise InvalidStateError(f"A line of {str(path)!r} is not a metric point: {line!r:.100}.") from None
        yield SourceModelMetric(point, run_id or None)


@_naming_the_directory
def _read_model(directory: Path) -> SourceModel:
    meta = read_map(directory / _META)
    versions = [_read_version(path) for path in _subdirectories(directory) if path.name.startswith("version-")]
    return SourceModel(
        name=str(meta.get("name") or directory.name),
        versions=sorted(versions, key=lambda version: version.version),
        description=meta.get("description") or None,
        creation_time=meta.get("creation_timestamp"),
        tags=_read_texts(directory / "tags"),
        aliases={alias: int(number) for alias, number in _read_texts(directory / "aliases").items()},
    )


@_naming_the_directory
def _read_version(directory: Path) -> SourceVersion:
    meta: Mapping[str, Any] = read_map(directory / _META)
    location = str(meta.get("storage_location") or meta.get("source") or "")
    return SourceVersion(
        version=int(meta.get("version") or directory.name.removeprefix("version-")),
        source=str(meta.get("source") or ""),
        location=location,
        stage=str(meta.get("current_stage") or "None"),
        run_id=meta.get("run_id") or None,
        run_link=meta.get("run_link") or None,
        model_id=meta.get("model_id") or model_id_in(location),
        user_id=meta.get("user_id") or None,
        status=str(meta.get("status") or "READY"),
        description=meta.get("description") or None,
        creation_time=meta.get("creation_timestamp"),
        tags=_read_texts(directory / "tags"),
    )
