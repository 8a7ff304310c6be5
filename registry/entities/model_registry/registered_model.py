"""Registered models as frozen values. Times: milliseconds since the epoch."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from registry.entities.entity import Entity
from registry.entities.model_registry.model_version import ModelVersion


@dataclass(frozen=True, slots=True)
class RegisteredModelTag(Entity):
    """A label of a registered model."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class RegisteredModelAlias(Entity):
    """A movable name of one version of a model."""

    alias: str
    version: int


@dataclass(frozen=True, slots=True)
class RegisteredModel(Entity):
    """A named sequence of versions; ``aliases`` maps alias to version."""

    name: str
    creation_timestamp: int
    last_updated_timestamp: int
    description: str | None = None
    latest_versions: list[ModelVersion] = field(default_factory=list)
    tags: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, int] = field(default_factory=dict)
    model_uid: str | None = None
