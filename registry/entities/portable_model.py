"""The content of an export of a registered model, except the files themselves.

Tags, stages, aliases and rules are not stored: replaying the events of the last segment gives them, so an export cannot
contradict itself. Files are identified by the SHA-256 of their bytes. Times are milliseconds since the epoch; a
metric's value is its `repr`.
"""

from dataclasses import dataclass, field

from registry.entities.history import ImportedHistory
from registry.entities.manifest import Manifest, ManifestEntry


@dataclass(frozen=True, slots=True)
class PortableFile:
    """A file of a sealed directory."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class PortablePoints:
    """The file with all metric points of a run, one JSON line ``[key, step, timestamp, value]`` per point."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class PortableMetric:
    """A metric point of a logged model."""

    key: str
    step: int
    timestamp: int
    value: str
    dataset_name: str | None = None
    dataset_digest: str | None = None


@dataclass(frozen=True, slots=True)
class PortableInput:
    """A data set that a run used, with the tags of this use."""

    name: str
    digest: str
    source_type: str
    source: str
    schema: str | None = None
    profile: str | None = None
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PortableRun:
    """A run; `experiment` is the name of its experiment, `points` is None if it has no metrics."""

    run_id: str
    experiment: str
    name: str
    user_id: str
    status: str
    start_time: int
    end_time: int | None = None
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    inputs: list[PortableInput] = field(default_factory=list)
    points: PortablePoints | None = None


@dataclass(frozen=True, slots=True)
class PortableLoggedModel:
    """A sealed logged model; `run_id` is the run that created it, or None; `signatures` maps key ids to bundles."""

    model_id: str
    experiment: str
    name: str
    files: list[PortableFile]
    run_id: str | None = None
    model_type: str | None = None
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    metrics: list[PortableMetric] = field(default_factory=list)
    signatures: dict[str, str] = field(default_factory=dict)

    @property
    def manifest(self) -> Manifest:
        """The manifest of its files."""
        return Manifest.of(ManifestEntry(file.path, file.size, file.sha256) for file in self.files)


@dataclass(frozen=True, slots=True)
class PortableVersion:
    """An exported version; everything else about it is in the events."""

    version: int
    model_id: str
    run_link: str | None = None


@dataclass(frozen=True, slots=True)
class PortableModel:
    """A registered model: its histories (oldest first, its own last), versions, logged models and runs."""

    segments: list[ImportedHistory]
    versions: list[PortableVersion]
    logged_models: list[PortableLoggedModel]
    runs: list[PortableRun]

    @property
    def own(self) -> ImportedHistory:
        """The history of the model in the registry from which it was exported."""
        return self.segments[-1]
