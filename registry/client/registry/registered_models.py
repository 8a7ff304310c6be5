"""Client methods for registered models, their descriptions and tags."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from registry.client.base import ClientBase
from registry.entities.stages import parse_stage
from registry.validation.arguments import check_list, check_mapping
from registry.validation.names import MAX_MODEL_TAG_VALUE, check_key, check_model_name
from registry.validation.values import checked_text

if TYPE_CHECKING:
    from registry.entities.model_registry import ModelVersion, RegisteredModel


class RegisteredModelMethods(ClientBase):
    """Client methods for registered models."""

    def create_registered_model(
        self,
        name: str,
        tags: Mapping[str, Any] | None = None,
        description: str | None = None,
        *,
        reason: str | None = None,
    ) -> "RegisteredModel":
        """Create a registered model without versions.

        Args:
            name: New name, at most 256 characters, without ``/ : @ ?`` and control characters.
            tags: Labels by key; values are stored as text of at most 100,000 characters.
            description: Free text of at most 100,000 characters.
            reason: Why, for the history.

        Returns:
            The new model.

        Raises:
            AlreadyExistsError: The name is taken, or differs from an existing one only in case or Unicode form.
            InvalidNameError: The name has a character that names cannot have.

        Example:
            >>> client.create_registered_model("upsell", tags={"team": "growth"}, description="Who buys more")
            RegisteredModel(name='upsell', ..., description='Who buys more', ..., tags={'team': 'growth'}, ...)
        """
        return self.backend.models.create(
            check_model_name(name), description=checked_description(description), tags=checked_tags(tags), reason=reason
        )

    def get_registered_model(self, name: str) -> "RegisteredModel":
        """Return a registered model by its exact name.

        Args:
            name: Registered model.

        Returns:
            The model with its tags, aliases and the latest version of each stage.

        Raises:
            ModelNotFoundError: There is no such model.

        Example:
            >>> model = client.get_registered_model("churn")
            >>> dict(model.aliases)
            {'champion': 2}
            >>> [(version.version, version.current_stage) for version in model.latest_versions]
            [(1, 'Archived'), (2, 'Production'), (3, 'None')]
        """
        return self.backend.models.get(check_model_name(name))

    def rename_registered_model(self, name: str, new_name: str, *, reason: str | None = None) -> "RegisteredModel":
        """Rename a model. Its versions, aliases and history follow.

        Args:
            name: Registered model.
            new_name: New name, with the rules of `create_registered_model`.
            reason: Why, for the history.

        Returns:
            The model under its new name.

        Raises:
            AlreadyExistsError: The new name is taken.
            ModelNotFoundError: There is no model `name`.

        Example:
            >>> client.rename_registered_model("churn", "attrition", reason="one word per team").name
            'attrition'
            >>> client.get_model_version_by_alias("attrition", "champion").version
            2
        """
        return self.backend.models.rename(check_model_name(name), check_model_name(new_name), reason=reason)

    def update_registered_model(
        self, name: str, description: str | None = None, *, reason: str | None = None
    ) -> "RegisteredModel":
        """Set the description of a model.

        Args:
            name: Registered model.
            description: New text of at most 100,000 characters; None leaves it unchanged.
            reason: Why, for the history.

        Returns:
            The model as it is now.

        Raises:
            ModelNotFoundError: There is no such model.

        Example:
            >>> client.update_registered_model("churn", "Customers who leave within 30 days").description
            'Customers who leave within 30 days'
        """
        return self.backend.models.update(
            check_model_name(name), description=checked_description(description), reason=reason
        )

    def delete_registered_model(self, name: str, *, force: bool = False, reason: str | None = None) -> None:
        """Delete a model and its versions. The name becomes free; the history stays.

        Args:
            name: Registered model.
            force: Delete it although a version holds Staging or Production.
            reason: Why, for the history.

        Raises:
            InUseError: A version holds Staging or Production and `force` is False.
            ModelNotFoundError: There is no such model.

        Example:
            >>> client.delete_registered_model("churn")
            Traceback (most recent call last):
            registry.exceptions.InUseError: The model 'churn' has versions in use: Production (version 2)...
            >>> client.delete_registered_model("churn", force=True, reason="product discontinued")
            >>> client.search_registered_models()
            []
        """
        self.backend.models.delete(check_model_name(name), force=force, reason=reason)

    def set_registered_model_tag(self, name: str, key: str, value: Any, *, reason: str | None = None) -> None:
        """Set a tag of a model, replacing the value that it had.

        Args:
            name: Registered model.
            key: Tag name of at most 250 characters.
            value: Stored as text of at most 100,000 characters.
            reason: Why, for the history.

        Raises:
            ModelNotFoundError: There is no such model.

        Example:
            >>> client.set_registered_model_tag("churn", "owner", "ann")
            >>> dict(client.get_registered_model("churn").tags)
            {'owner': 'ann'}
        """
        self.backend.models.set_tag(check_model_name(name), check_key(key), checked_tag(key, value), reason=reason)

    def delete_registered_model_tag(self, name: str, key: str, *, reason: str | None = None) -> None:
        """Remove a tag of a model. Nothing happens if the model has no such tag.

        Args:
            name: Registered model.
            key: Tag name.
            reason: Why, for the history.

        Raises:
            ModelNotFoundError: There is no such model.

        Example:
            >>> client.set_registered_model_tag("churn", "owner", "ann")
            >>> client.delete_registered_model_tag("churn", "owner")
            >>> dict(client.get_registered_model("churn").tags)
            {}
        """
        self.backend.models.delete_tag(check_model_name(name), check_key(key), reason=reason)

    def get_latest_versions(self, name: str, stages: Sequence[str] | None = None) -> list["ModelVersion"]:
        """Return the highest version in each of some stages.

        Args:
            name: Registered model.
            stages: Stage names in any case, or a single one; None for all four.

        Returns:
            At most one version per stage, in the order of the version numbers.

        Raises:
            InvalidParameterError: A stage is unknown.
            ModelNotFoundError: There is no such model.

        Example:
            >>> [version.version for version in client.get_latest_versions("churn", ["Production", "None"])]
            [2, 3]
        """
        names = [stages] if isinstance(stages, str) else check_list(stages, "stages", str)
        return self.backend.versions.latest(check_model_name(name), [parse_stage(stage) for stage in names])


def checked_description(description: str | None) -> str | None:
    """Return a description that the database can hold, or None."""
    return None if description is None else checked_text(description, "description", MAX_MODEL_TAG_VALUE)


def checked_tag(key: str, value: Any) -> str:
    """Return the text stored for a tag of a model or version."""
    return checked_text(value, f"tag {key!r}", MAX_MODEL_TAG_VALUE)


def checked_tags(tags: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the texts stored for tags of a model or version, by key."""
    return {check_key(key): checked_tag(key, value) for key, value in check_mapping(tags, "tags").items()}
