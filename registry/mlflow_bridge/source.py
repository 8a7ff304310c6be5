"""What an MLflow store holds, read from any of its forms: entities, and the protocol of the readers.

Guarantees: reading changes nothing in the source.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from registry.blobs import BlobStore
from registry.entities.portable_model import PortableMetric, PortableRun
from registry.store.transfer.outside_runs import Series

MLFLOW: Final = "mlflow"
EXPERIMENT_TAG: Final = "mlflow.imported_experiment_id"
"""The tag of an experiment with the id that it had in MLflow."""
DELETED_VERSION: Final = "Deleted_Internal"
"""The stage by which MLflow marks a deleted version; its number is not given again."""


@dataclass(frozen=True, slots=True)
class SourceExperiment:
    """An experiment; `creation_time` is None in old versions."""

    experiment_id: str
    name: str
    artifact_location: str
    is_deleted: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SourceRun:
    """A run. `run.experiment` is its experiment's name in the source; models are (id, step)."""

    run: PortableRun
    artifact_uri: str
    is_deleted: bool = False
    input_models: Sequence[tuple[str, int]] = ()
    output_models: Sequence[tuple[str, int]] = ()


@dataclass(frozen=True, slots=True)
class SourceModelMetric:
    """A metric point of a logged model, and the run that measured it."""

    point: PortableMetric
    run_id: str | None


@dataclass(frozen=True, slots=True)
class SourceLoggedModel:
    """A logged model of MLflow 3; `status` is PENDING, READY or FAILED."""

    model_id: str
    experiment_id: str
    name: str
    artifact_location: str
    status: str
    run_id: str | None = None
    model_type: str | None = None
    status_message: str | None = None
    creation_time: int | None = None
    is_deleted: bool = False
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    metrics: Sequence[SourceModelMetric] = ()


@dataclass(frozen=True, slots=True)
class SourceVersion:
    """A version of a registered model. `location` is where its files are, `source` what the caller gave."""

    version: int
    source: str
    location: str
    stage: str
    run_id: str | None = None
    run_link: str | None = None
    model_id: str | None = None
    user_id: str | None = None
    status: str | None = None
    description: str | None = None
    creation_time: int | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SourceModel:
    """A registered model; versions that were deleted are among `versions`."""

    name: str
    versions: Sequence[SourceVersion]
    description: str | None = None
    creation_time: int | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Files:
    """Files at `path` in a byte store; "" is its root."""

    store: BlobStore
    path: str = ""

    @property
    def location(self) -> str:
        """Return the absolute location of the files."""
        return f"{self.store.root}/{self.path}" if self.path else self.store.root


class Source(Protocol):
    """A store of MLflow, or of another tracker, that is read once, from beginning to end."""

    @property
    def system(self) -> str:
        """Return what wrote it, such as ``mlflow``."""

    @property
    def origin_tag(self) -> str:
        """Return the tag of experiments with the id that they have there."""

    @property
    def uri(self) -> str:
        """Return the URI of the store, without passwords."""

    def experiments(self) -> list[SourceExperiment]:
        """Return all experiments, deleted ones too."""

    def runs(self, experiment: SourceExperiment, *, deleted: bool) -> Iterator[list[SourceRun]]:
        """Yield the runs of an experiment in batches; with `deleted`, deleted ones too."""

    def series(self, run_ids: Sequence[str]) -> Iterator[tuple[str, list[Series]]]:
        """Yield the metric histories of runs of one batch, each run once."""

    def logged_models(self, experiment: SourceExperiment, *, deleted: bool) -> Iterator[SourceLoggedModel]:
        """Yield the logged models of an experiment."""

    def registered_models(self) -> Iterator[SourceModel]:
        """Yield the registered models, sorted by name."""

    def left_out(self) -> list[str]:
        """Return sentences about what could not be read; they are complete once everything else was read."""

    def remarks(self) -> list[str]:
        """Return sentences about what is kept otherwise here; they are complete once everything else was read."""

    def run_count(self) -> int:
        """Return the number of runs, for a progress bar; 0 if it is not known in advance."""

    def run_files(self, run: SourceRun) -> Files:
        """Return the files of a run."""

    def files(self, location: str, *, run_id: str | None = None, model_id: str | None = None) -> Files:
        """Return the files at a location that belongs to a run or logged model.

        Raises:
            UnsupportedStoreError: Files at such a place cannot be read.
        """

    def close(self) -> None:
        """Close what is open."""


def model_id_in(location: str) -> str | None:
    """Return the id of the logged model that a location of MLflow 3 belongs to, or None."""
    from registry.validation.names import MODEL_ID

    found = [part for part in location.split("/") if MODEL_ID.fullmatch(part)]
    return found[-1] if found else None
