"""Logged models: immutable MLmodel directories, usually created by a run (MLflow 3's LoggedModel)."""

import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from registry.entities.entity import Entity
from registry.entities.run import Metric


def new_model_id() -> str:
    """Return a new random id of a logged model: ``m-`` and 32 hexadecimal digits."""
    return f"m-{uuid.uuid4().hex}"


class LoggedModelStatus(StrEnum):
    """The status of a logged model: READY if all files are stored, PENDING before, FAILED if that went wrong."""

    UNSPECIFIED = "UNSPECIFIED"
    PENDING = "PENDING"
    READY = "READY"
    FAILED = "FAILED"

    @classmethod
    def is_finalized(cls, status: str) -> bool:
        """Tell whether a status is final: no more files can be added."""
        return status in (cls.READY, cls.FAILED)


@dataclass(frozen=True, slots=True)
class LoggedModelParameter(Entity):
    """A param of a logged model."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class LoggedModelTag(Entity):
    """A tag of a logged model."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class LoggedModel(Entity):
    """A logged model, as it was when it was read.

    Attributes:
        experiment_id: The id of its experiment.
        model_id: The id: ``m-`` and 32 hexadecimal digits.
        name: The name given when it was logged; not unique.
        artifact_location: The path or URI of its files.
        creation_timestamp: Milliseconds since the epoch, UTC.
        last_updated_timestamp: Milliseconds since the epoch, UTC.
        model_type: A free label, such as ``"classifier"``, or None.
        source_run_id: The run that created it, or None.
        status: READY if all files are stored.
        status_message: Details of the status, or None.
        tags: The tags by key.
        params: The params by key: those of its run and its own.
        metrics: The metric points measured on the model.
        digest: The SHA-256 (hex) of its manifest, which identifies its content; None before it is READY.
        size_bytes: The total size of its files; None before it is READY.
    """

    experiment_id: str
    model_id: str
    name: str
    artifact_location: str
    creation_timestamp: int
    last_updated_timestamp: int
    model_type: str | None = None
    source_run_id: str | None = None
    status: LoggedModelStatus = LoggedModelStatus.READY
    status_message: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: list[Metric] = field(default_factory=list)
    digest: str | None = None
    size_bytes: int | None = None

    @property
    def model_uri(self) -> str:
        """The URI that loads the model: ``models:/<model_id>``."""
        return f"models:/{self.model_id}"

    def to_dictionary(self) -> dict[str, Any]:
        """Return the fields and ``model_uri`` as a dictionary."""
        return {**asdict(self), "model_uri": self.model_uri}
