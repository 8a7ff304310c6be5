"""Versions of registered models."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from registry.entities import html
from registry.entities.entity import Entity
from registry.entities.model_registry.model_version_status import ModelVersionStatus


@dataclass(frozen=True, slots=True)
class ModelVersionTag(Entity):
    """A tag of a model version."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class ModelVersion(Entity):
    """A version of a registered model, as it was when it was read.

    A version always refers to the same logged model, and its number is never used again.

    Attributes:
        name: The name of the registered model.
        version: The number: 1, 2, 3 …
        creation_timestamp: Milliseconds since the epoch, UTC.
        last_updated_timestamp: Milliseconds since the epoch, UTC.
        current_stage: ``"None"``, ``"Staging"``, ``"Production"`` or ``"Archived"``.
        source: The URI or path from which it was registered.
        description: Free text, or None.
        user_id: The user who registered it, or None.
        run_id: The run that it came from, or None.
        run_link: A link to a run elsewhere, or None.
        status: Always ``"READY"``: a version exists only after its files are stored.
        status_message: Always None.
        tags: The tags by key.
        aliases: The aliases that refer to this version.
        model_id: The id of its logged model.
        digest: The SHA-256 (hex) of the logged model's manifest.
    """

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

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        facts = {
            "Stage": self.current_stage,
            "Aliases": ", ".join(self.aliases) or None,
            "Registered": html.moment(self.creation_timestamp),
            "By": self.user_id,
            "Description": self.description,
            "Run": self.run_id,
            "Load it": f"models:/{self.name}/{self.version}",
            "Digest": self.digest,
        }
        return html.card(f"{self.name}, version {self.version}", facts, {"Tags": self.tags})
