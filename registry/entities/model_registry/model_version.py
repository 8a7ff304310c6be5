"""Versions of registered models as frozen values. Times: milliseconds since the epoch."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from registry.entities.entity import Entity
from registry.entities.model_registry.model_version_status import ModelVersionStatus


@dataclass(frozen=True, slots=True)
class ModelVersionTag(Entity):
    """A label of a model version."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class ModelVersion(Entity):
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
