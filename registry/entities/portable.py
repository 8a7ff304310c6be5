"""A registered model outside of a registry: all that an export holds apart from the bytes of files.

Owns the shape; how it is written to a file and judged is `client`'s matter. Versions, tags, stages, aliases and rules
are not listed: they are what the events of the last segment fold into, so that nothing can be said twice in two ways.
Files are named by the SHA-256 of their bytes. Times are milliseconds since the epoch; a metric's value is its `repr`.
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
    """All metric points of a run: the file of lines ``[key, step, timestamp, value]`` (JSON) that has them."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class PortableMetric:
    """A point that was measured on a logged model."""

    key: str
    step: int
    timestamp: int
    value: str
    dataset_name: str | None = None
    dataset_digest: str | None = None


@dataclass(frozen=True, slots=True)
class PortableInput:
    """A data set that a run used, with the labels of this use."""

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
    """A sealed directory; `run_id` is the run that made it, if there is one; `signatures` are bundles by key id."""

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
    """A version that is in the export; what else there is to say of it, the events say."""

    version: int
    model_id: str
    run_link: str | None = None


@dataclass(frozen=True, slots=True)
class PortableModel:
    """A registered model: the histories that it has, oldest first and its own last, and what its versions stand for."""

    segments: list[ImportedHistory]
    versions: list[PortableVersion]
    logged_models: list[PortableLoggedModel]
    runs: list[PortableRun]

    @property
    def own(self) -> ImportedHistory:
        """The history of the model in the registry that it was exported from."""
        return self.segments[-1]
