"""Registered models and their versions as frozen values with MLflow's names. Times: milliseconds since the epoch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class ModelVersionStatus(StrEnum):
    """Whether a version can be loaded; here a version is READY from the moment it exists."""

    PENDING_REGISTRATION = "PENDING_REGISTRATION"
    FAILED_REGISTRATION = "FAILED_REGISTRATION"
    READY = "READY"

    @staticmethod
    def to_string(status: str) -> str:
        """The status as text."""
        return str(status)


@dataclass(frozen=True, slots=True)
class RegisteredModelTag:
    """A label of a registered model."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class ModelVersionTag:
    """A label of a model version."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class RegisteredModelAlias:
    """A movable name of one version of a model."""

    alias: str
    version: int


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A version of a registered model: a number that names one logged model for ever."""

    name: str
    version: int
    creation_timestamp: int
    last_updated_timestamp: int
    current_stage: str
    source: str
    description: str | None = None
    user_id: str | None = None
    run_id: str | None = None
    run_link: str | None = None
    status: str = ModelVersionStatus.READY.value
    status_message: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    aliases: list[str] = field(default_factory=list)
    model_id: str | None = None
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """A named sequence of versions; ``aliases`` maps alias to version."""

    name: str
    creation_timestamp: int
    last_updated_timestamp: int
    description: str | None = None
    latest_versions: list[ModelVersion] = field(default_factory=list)
    tags: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, int] = field(default_factory=dict)
    model_uid: str | None = None


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """What a ``models:`` or ``runs:`` URI stands for: one sealed directory, and whose version it is, if any.

    ``location`` is the URI or absolute path of the directory, ``digest`` that of its manifest.
    """

    name: str | None
    version: int | None
    model_id: str
    location: str
    digest: str
