"""Registered models."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from registry.entities import html
from registry.entities.entity import Entity
from registry.entities.model_registry.model_version import ModelVersion


@dataclass(frozen=True, slots=True)
class RegisteredModelTag(Entity):
    """A tag of a registered model."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class RegisteredModelAlias(Entity):
    """A name that refers to one version of a model and can be moved to another."""

    alias: str
    version: int


@dataclass(frozen=True, slots=True)
class RegisteredModel(Entity):
    """A registered model, as it was when it was read: a name with numbered versions.

    Attributes:
        name: The unique name.
        creation_timestamp: Milliseconds since the epoch, UTC.
        last_updated_timestamp: Milliseconds since the epoch, UTC.
        description: Free text, or None.
        latest_versions: For each stage in use, the version with the highest number.
        tags: The tags by key.
        aliases: The version number by alias.
        model_uid: A UUID that distinguishes the model from an earlier, deleted one of the same name.
    """

    name: str
    creation_timestamp: int
    last_updated_timestamp: int
    description: str | None = None
    latest_versions: list[ModelVersion] = field(default_factory=list)
    tags: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, int] = field(default_factory=dict)
    model_uid: str | None = None

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        held = {version.current_stage: version.version for version in self.latest_versions}
        facts = {
            "Production": held.get("Production"),
            "Staging": held.get("Staging"),
            "Newest version": max(held.values(), default=None),
            "Changed": html.moment(self.last_updated_timestamp),
            "Description": self.description,
        }
        return html.card(self.name, facts, {"Aliases": self.aliases, "Tags": self.tags})
