"""Versions of registered models, their stages and aliases: MLflow's client methods for them."""

from typing import Any

from registry.client.base import ClientBase
from registry.client.registry.registered_models import checked_description, checked_tag
from registry.entities.model_registry import ModelVersion
from registry.entities.stages import ALL_STAGES, UNSET, Unset, parse_stage
from registry.exceptions import InvalidParameterError, VersionNotFoundError
from registry.uris import ModelLatestUri
from registry.validation.names import check_alias, check_key, check_model_name, check_version


class ModelVersionMethods(ClientBase):
    """What a client does with versions, stages and aliases."""

    def get_model_version(self, name: str, version: int | str) -> ModelVersion:
        """A version by number.

        Raises:
            ModelNotFoundError, VersionNotFoundError: no such model or version.
        """
        return self.backend.versions.get(check_model_name(name), check_version(version))

    def update_model_version(
        self, name: str, version: int | str, description: str | None = None, *, reason: str | None = None
    ) -> ModelVersion:
        """Set the description; None leaves it as it is."""
        return self.backend.versions.update(
            check_model_name(name), check_version(version), description=checked_description(description), reason=reason
        )

    def delete_model_version(
        self, name: str, version: int | str, *, force: bool = False, reason: str | None = None
    ) -> None:
        """Delete a version; its number is never given again.

        Raises:
            InUseError: it holds Staging or Production and `force` is False.
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
    ) -> ModelVersion:
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
        """The four stages."""
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
        """Set a label of a version, given by its number or as the highest in a stage."""
        number = self._number(name, version, stage)
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
        """Remove a label of a version; nothing happens if there is none."""
        number = self._number(name, version, stage)
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
        """Let an alias name a version, whatever it named before.

        Raises:
            VersionNotFoundError: no such version.
            StageConflictError: the alias does not name `expected_current` now.
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
        """Remove an alias; nothing happens if there is none."""
        self.backend.stages.delete_alias(
            check_model_name(name),
            check_alias(alias),
            expected_current=parse_expected_current(expected_current),
            reason=reason,
        )

    def get_model_version_by_alias(self, name: str, alias: str) -> ModelVersion:
        """The version that an alias names; ``latest`` is the highest version.

        Raises:
            AliasNotFoundError: no such alias.
        """
        if isinstance(alias, str) and alias.lower() == "latest":
            found = self.backend.resolver.resolve(ModelLatestUri(check_model_name(name)))
            return self.get_model_version(name, found.version or 0)
        return self.backend.stages.get_by_alias(check_model_name(name), check_alias(alias))

    def get_model_version_download_uri(self, name: str, version: int | str) -> str:
        """Where the sealed files of a version are: an absolute path or an S3 URI."""
        model_id = self.get_model_version(name, version).model_id
        return self.backend.logged_models.location(str(model_id))

    def restore_model_version(self, name: str, version: int | str, *, reason: str | None = None) -> ModelVersion:
        """Bring a deleted version back, in stage None; possible until gc has removed its files.

        Raises:
            InvalidStateError: it is not deleted, or its files are gone.
        """
        return self.backend.versions.restore(check_model_name(name), check_version(version), reason=reason)

    def _number(self, name: str, version: int | str | None, stage: str | None) -> int:
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
    """An `expected_current` argument: a version number, None for nobody, or UNSET for no check."""
    return expected if expected is None or isinstance(expected, Unset) else check_version(expected)
