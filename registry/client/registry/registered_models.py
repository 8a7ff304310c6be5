"""Registered models, their descriptions and tags: MLflow's client methods for them."""

from collections.abc import Mapping, Sequence
from typing import Any

from registry.client.base import ClientBase
from registry.entities.model_registry import ModelVersion, RegisteredModel
from registry.entities.stages import parse_stage
from registry.validation.arguments import check_list, check_mapping
from registry.validation.names import MAX_MODEL_TAG_VALUE, check_key, check_model_name
from registry.validation.values import checked_text


class RegisteredModelMethods(ClientBase):
    """What a client does with registered models."""

    def create_registered_model(
        self,
        name: str,
        tags: Mapping[str, Any] | None = None,
        description: str | None = None,
        *,
        reason: str | None = None,
    ) -> RegisteredModel:
        """A new registered model without versions.

        Raises:
            AlreadyExistsError: the name, or one that differs only in case or width, is taken.
            InvalidNameError: the name breaks the grammar.
        """
        return self.backend.models.create(
            check_model_name(name), description=checked_description(description), tags=checked_tags(tags), reason=reason
        )

    def get_registered_model(self, name: str) -> RegisteredModel:
        """A registered model by its exact name.

        Raises:
            ModelNotFoundError: no such model.
        """
        return self.backend.models.get(check_model_name(name))

    def rename_registered_model(self, name: str, new_name: str, *, reason: str | None = None) -> RegisteredModel:
        """Give a model another name; its versions, aliases and history follow.

        Raises:
            AlreadyExistsError: the new name is taken.
        """
        return self.backend.models.rename(check_model_name(name), check_model_name(new_name), reason=reason)

    def update_registered_model(
        self, name: str, description: str | None = None, *, reason: str | None = None
    ) -> RegisteredModel:
        """Set the description; None leaves it as it is."""
        return self.backend.models.update(
            check_model_name(name), description=checked_description(description), reason=reason
        )

    def delete_registered_model(self, name: str, *, force: bool = False, reason: str | None = None) -> None:
        """Delete a model and its versions.

        Raises:
            InUseError: a version holds Staging or Production and `force` is False.
        """
        self.backend.models.delete(check_model_name(name), force=force, reason=reason)

    def set_registered_model_tag(self, name: str, key: str, value: Any, *, reason: str | None = None) -> None:
        """Set a label of a model."""
        self.backend.models.set_tag(check_model_name(name), check_key(key), checked_tag(key, value), reason=reason)

    def delete_registered_model_tag(self, name: str, key: str, *, reason: str | None = None) -> None:
        """Remove a label of a model; nothing happens if there is none."""
        self.backend.models.delete_tag(check_model_name(name), check_key(key), reason=reason)

    def get_latest_versions(self, name: str, stages: Sequence[str] | None = None) -> list[ModelVersion]:
        """The highest version in each of these stages, or in each of the four."""
        wanted = [parse_stage(stage) for stage in _stages(stages)]
        return self.backend.versions.latest(check_model_name(name), wanted)


def _stages(stages: Sequence[str] | None) -> list[str]:
    return [stages] if isinstance(stages, str) else check_list(stages, "stages", str)


def checked_description(description: str | None) -> str | None:
    """Return a description that the database can hold, or None."""
    return None if description is None else checked_text(description, "description", MAX_MODEL_TAG_VALUE)


def checked_tag(key: str, value: Any) -> str:
    """Return the text stored for a tag of a model or version."""
    return checked_text(value, f"tag {key!r}", MAX_MODEL_TAG_VALUE)


def checked_tags(tags: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the texts stored for tags of a model or version, by key."""
    return {check_key(key): checked_tag(key, value) for key, value in check_mapping(tags, "tags").items()}
