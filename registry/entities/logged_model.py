"""Logged models: immutable MLmodel directories born in a run (MLflow 3's LoggedModel)."""

import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from registry.entities.entity import Entity
from registry.entities.run import Metric


def new_model_id() -> str:
    """A fresh id of a logged model: ``m-`` and 32 hexadecimal digits."""
    return f"m-{uuid.uuid4().hex}"


class LoggedModelStatus(StrEnum):
    """Whether a logged model's bytes are complete."""

    UNSPECIFIED = "UNSPECIFIED"
    PENDING = "PENDING"
    READY = "READY"
    FAILED = "FAILED"

    @classmethod
    def is_finalized(cls, status: str) -> bool:
        """Whether no more bytes can be added."""
        return status in (cls.READY, cls.FAILED)


@dataclass(frozen=True, slots=True)
class LoggedModelParameter(Entity):
    """A param of a logged model."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class LoggedModelTag(Entity):
    """A label of a logged model."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class LoggedModel(Entity):
    """A logged model as it was when it was read; times are milliseconds since the epoch.

    ``digest`` is the SHA-256 of the canonical manifest, ``size_bytes`` the sum of its files; both are None before the
    model is READY.
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
        """``models:/<model_id>``."""
        return f"models:/{self.model_id}"

    def to_dictionary(self) -> dict[str, Any]:
        """The fields by name, with ``model_uri``."""
        return {**asdict(self), "model_uri": self.model_uri}
