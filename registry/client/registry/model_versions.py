"""Client methods for model versions, their stages, tags and aliases."""

from typing import TYPE_CHECKING, Any

from registry.client.base import ClientBase
from registry.client.registry.registered_models import checked_description, checked_tag
from registry.entities.stages import ALL_STAGES, UNSET, Unset, parse_stage
from registry.exceptions import InvalidParameterError, VersionNotFoundError
from registry.uris import ModelLatestUri, ModelVersionUri
from registry.validation.names import check_alias, check_key, check_model_name, check_version

if TYPE_CHECKING:
    from registry.entities.model_registry import ModelVersion


class ModelVersionMethods(ClientBase):
    """Client methods for model versions, stages and aliases."""

    def get_model_version(self, name: str, version: int | str) -> "ModelVersion":
        """Return a version by number.

        Args:
            name: Registered model.
            version: Version number.

        Returns:
            The version with its stage, tags, aliases and source.

        Raises:
            ModelNotFoundError: There is no such model.
            VersionNotFoundError: The model has no such version.

        Example:
            >>> version = client.get_model_version("churn", 2)
            >>> version.current_stage, version.aliases
            ('Production', ['champion'])
        """
        return self.backend.versions.get(check_model_name(name), check_version(version))

    def update_model_version(
        self, name: str, version: int | str, description: str | None = None, *, reason: str | None = None
    ) -> "ModelVersion":
        """Set the description of a version.

        Args:
            name: Registered model.
            version: Version number.
            description: New text of at most 100,000 characters; None leaves it unchanged.
            reason: Why, for the history.

        Returns:
            The version as it is now.

        Raises:
            VersionNotFoundError: The model has no such version.

        Example:
            >>> client.update_model_version("churn", 3, "trained without 2019").description
            'trained without 2019'
        """
        return self.backend.versions.update(
            check_model_name(name), check_version(version), description=checked_description(description), reason=reason
        )

    def delete_model_version(
        self, name: str, version: int | str, *, force: bool = False, reason: str | None = None
    ) -> None:
        """Delete a version. Its number is never given again.

        `restore_model_version` brings it back until `collect_garbage` has removed its files.

        Args:
            name: Registered model.
            version: Version number.
            force: Delete it although it holds Staging or Production.
            reason: Why, for the history.

        Raises:
            InUseError: The version holds Staging or Production and `force` is False.
            VersionNotFoundError: The model has no such version.

        Example:
            >>> client.delete_model_version("churn", 1, reason="trained on leaked labels")
            >>> client.get_model_version("churn", 1)
            Traceback (most recent call last):
            registry.exceptions.VersionNotFoundError: ...
        """
        self.backend.versions.delete(check_model_name(name), check_version(version), force=force, reason=reason)

    def transition_model_version_stage(
        self,
        name: str,
        version: int | str,
        stage: str,
        archive_existing_versions: bool = True,
        *,
        reason: str | None = None,
        expected_current: int | str | Unset | None = UNSET,
        override: bool = False,
    ) -> "ModelVersion":
        """Move a model version to a stage and archive the current holder.

        Args:
            name: Registered model.
            version: Version number.
            stage: ``None``, ``Staging``, ``Production`` or ``Archived``, in any case.
            archive_existing_versions: Archive the version that holds the stage; if False, an occupied stage is an
                error.
            reason: Why, for the history.
            expected_current: Compare-and-set. Omit for no check, None if the stage must be empty, or the version that
                must hold it.
            override: Ignore promotion rules that fail. Needs a `reason`; the history records both.

        Returns:
            The version in its new stage.

        Raises:
            PromotionRefusedError: Promotion rules failed; the message lists each with its figures.
            StageConflictError: `expected_current` does not match the holder.
            StageOccupiedError: The stage has a holder and `archive_existing_versions` is False.
            VersionNotFoundError: There is no such version.

        Example:
            >>> version = client.transition_model_version_stage("churn", 3, "Production", expected_current=2)
            >>> version.current_stage
            'Production'
        """
        return self.backend.stages.transition(
            check_model_name(name),
            check_version(version),
            parse_stage(stage),
            archive_existing=archive_existing_versions,
            expected_current=parse_expected_current(expected_current),
            override=override,
            reason=reason,
        )

    def get_model_version_stages(self, name: str, version: int | str) -> list[str]:
        """Return the names of the four stages, as MLflow does.

        Args:
            name: Ignored.
            version: Ignored.

        Returns:
            ``None``, ``Staging``, ``Production`` and ``Archived``.

        Example:
            >>> client.get_model_version_stages("churn", 2)
            ['None', 'Staging', 'Production', 'Archived']
        """
        del name, version
        return list(ALL_STAGES)

    def set_model_version_tag(
        self,
        name: str,
        version: int | str | None = None,
        key: str | None = None,
        value: Any = None,
        stage: str | None = None,
        *,
        reason: str | None = None,
    ) -> None:
        """Set a tag of a version, replacing the value that it had.

        Args:
            name: Registered model.
            version: Version number. Give either this or `stage`.
            key: Tag name of at most 250 characters.
            value: Stored as text of at most 100,000 characters.
            stage: Stage whose highest version gets the tag.
            reason: Why, for the history.

        Raises:
            InvalidParameterError: Both `version` and `stage` are given, or neither.
            VersionNotFoundError: There is no such version.

        Example:
            >>> client.set_model_version_tag("churn", 3, "validated", "yes")
            >>> client.set_model_version_tag("churn", key="region", value="EU", stage="Production")
            >>> dict(client.get_model_version("churn", 2).tags)
            {'region': 'EU'}
        """
        number = self._version_number(name, version, stage)
        self.backend.versions.set_tag(name, number, check_key(key), checked_tag(str(key), value), reason=reason)

    def delete_model_version_tag(
        self,
        name: str,
        version: int | str | None = None,
        key: str | None = None,
        stage: str | None = None,
        *,
        reason: str | None = None,
    ) -> None:
        """Remove a tag of a version. Nothing happens if the version has no such tag.

        Args:
            name: Registered model.
            version: Version number. Give either this or `stage`.
            key: Tag name.
            stage: Stage whose highest version loses the tag.
            reason: Why, for the history.

        Raises:
            InvalidParameterError: Both `version` and `stage` are given, or neither.
            VersionNotFoundError: There is no such version.

        Example:
            >>> client.set_model_version_tag("churn", 3, "validated", "yes")
            >>> client.delete_model_version_tag("churn", 3, "validated")
            >>> dict(client.get_model_version("churn", 3).tags)
            {}
        """
        number = self._version_number(name, version, stage)
        self.backend.versions.delete_tag(name, number, check_key(key), reason=reason)

    def set_registered_model_alias(
        self,
        name: str,
        alias: str,
        version: int | str,
        *,
        reason: str | None = None,
        expected_current: int | str | Unset | None = UNSET,
    ) -> None:
        """Point an alias at a version, creating or moving the alias.

        Args:
            name: Registered model.
            alias: Alias of at most 255 characters. ``latest`` is reserved for the highest version.
            version: Version number.
            reason: Why, for the history.
            expected_current: Compare-and-set. Omit for no check, None if the alias must not exist, or the version that
                it must name.

        Raises:
            InvalidNameError: The alias is reserved, or has the form of a version number.
            StageConflictError: `expected_current` does not match; re-read the alias and retry.
            VersionNotFoundError: The model has no such version.

        Example:
            >>> client.set_registered_model_alias("churn", "champion", 3, expected_current=2)
            >>> client.get_model_version_by_alias("churn", "champion").version
            3
        """
        self.backend.stages.set_alias(
            check_model_name(name),
            check_alias(alias),
            check_version(version),
            expected_current=parse_expected_current(expected_current),
            reason=reason,
        )

    def delete_registered_model_alias(
        self,
        name: str,
        alias: str,
        *,
        reason: str | None = None,
        expected_current: int | str | Unset | None = UNSET,
    ) -> None:
        """Remove an alias. Nothing happens if there is no such alias.

        Args:
            name: Registered model.
            alias: Alias.
            reason: Why, for the history.
            expected_current: Compare-and-set. Omit for no check, or give the version that the alias must name.

        Raises:
            ModelNotFoundError: There is no such model.
            StageConflictError: `expected_current` does not match; re-read the alias and retry.

        Example:
            >>> client.delete_registered_model_alias("churn", "champion")
            >>> client.get_model_version("churn", 2).aliases
            []
        """
        self.backend.stages.delete_alias(
            check_model_name(name),
            check_alias(alias),
            expected_current=parse_expected_current(expected_current),
            reason=reason,
        )

    def get_model_version_by_alias(self, name: str, alias: str) -> "ModelVersion":
        """Return the version that an alias names.

        Args:
            name: Registered model.
            alias: Alias, or ``latest`` for the highest version.

        Returns:
            The version.

        Raises:
            AliasNotFoundError: There is no such alias; the message lists those in use.

        Example:
            >>> client.get_model_version_by_alias("churn", "champion").version
            2
            >>> client.get_model_version_by_alias("churn", "latest").version
            3
        """
        if isinstance(alias, str) and alias.lower() == "latest":
            resolved = self.backend.resolver.resolve(ModelLatestUri(check_model_name(name)))
            return self.get_model_version(name, resolved.version or 0)
        return self.backend.stages.get_by_alias(check_model_name(name), check_alias(alias))

    def get_model_version_download_uri(self, name: str, version: int | str) -> str:
        """Return the location of a version's sealed files.

        Other tools can read the MLmodel directory there as it is.

        Args:
            name: Registered model.
            version: Version number.

        Returns:
            An absolute path or an ``s3://`` URI.

        Raises:
            VersionNotFoundError: The model has no such version.

        Example:
            >>> client.get_model_version_download_uri("churn", 2)
            '/.../mlruns/1/models/m-.../artifacts'
        """
        uri = ModelVersionUri(check_model_name(name), check_version(version))
        return self.backend.resolver.resolve(uri).location

    def restore_model_version(self, name: str, version: int | str, *, reason: str | None = None) -> "ModelVersion":
        """Restore a deleted version, in stage None and without aliases.

        Args:
            name: Registered model.
            version: Version number.
            reason: Why, for the history.

        Returns:
            The version.

        Raises:
            InvalidStateError: The version is not deleted, or `collect_garbage` has removed its files.

        Example:
            >>> client.delete_model_version("churn", 1)
            >>> client.restore_model_version("churn", 1).current_stage
            'None'
        """
        return self.backend.versions.restore(check_model_name(name), check_version(version), reason=reason)

    def _version_number(self, name: str, version: int | str | None, stage: str | None) -> int:
        check_model_name(name)
        if (version is None) == (stage is None):
            raise InvalidParameterError("Give either 'version' or 'stage' to say which version is meant.")
        if version is not None:
            return check_version(version)
        latest = self.backend.versions.latest(name, [parse_stage(stage)])
        if not latest:
            raise VersionNotFoundError(f"Could not find any model version for {stage} stage of {name!r}.")
        return latest[0].version


def parse_expected_current(expected: int | str | Unset | None) -> int | Unset | None:
    """Parse an `expected_current` argument: a version number, None for an empty stage, or UNSET for no check."""
    return expected if expected is None or isinstance(expected, Unset) else check_version(expected)
