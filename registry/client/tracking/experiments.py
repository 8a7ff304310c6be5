"""Client methods that create, read, change and delete experiments."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from registry.client.base import ClientBase
from registry.entities import Experiment
from registry.exceptions import InvalidUriError
from registry.uris import LocalUri, S3Uri, parse
from registry.validation.arguments import check_mapping
from registry.validation.names import MAX_EXPERIMENT_NAME, MAX_EXPERIMENT_TAG_VALUE, check_key, check_text
from registry.validation.values import checked_text


class ExperimentMethods(ClientBase):
    """Client methods for experiments."""

    def create_experiment(
        self, name: str, artifact_location: str | None = None, tags: Mapping[str, Any] | None = None
    ) -> str:
        """Create an experiment and return its id.

        Args:
            name: A unique name of 1 to 500 characters.
            artifact_location: A local path or ``s3://bucket/prefix`` that holds the bytes of its runs and models.
                Default: a directory below the artifact root, named after the experiment's id.
            tags: Labels as a mapping from key to value. Values are stored as text.

        Returns:
            The id, a string of digits.

        Raises:
            AlreadyExistsError: An experiment has this name already, possibly a deleted one.
            InvalidNameError: The name is empty, too long, or has control characters.
            InvalidUriError: `artifact_location` is neither a local path nor an S3 URI.

        Example:
            >>> experiment_id = client.create_experiment("playoffs", tags={"season": 2026})
            >>> client.get_experiment(experiment_id).tags["season"]
            '2026'
        """
        check_text(name, "name", MAX_EXPERIMENT_NAME)
        location = None if artifact_location is None else normalize_location(artifact_location)
        return self.backend.experiments.create(
            name, artifact_root=self.backend.place.artifact_root, artifact_location=location, tags=_check_tags(tags)
        )

    def get_experiment(self, experiment_id: str) -> Experiment:
        """Return an experiment by id, including a deleted one.

        Args:
            experiment_id: The experiment's id.

        Returns:
            The experiment as it is now.

        Raises:
            ExperimentNotFoundError: No experiment has this id.

        Example:
            >>> client.get_experiment("1").name
            'games'
        """
        return self.backend.experiments.get(str(experiment_id))

    def get_experiment_by_name(self, name: str) -> Experiment | None:
        """Return an experiment by name, including a deleted one, or None.

        Args:
            name: The exact name.

        Returns:
            The experiment, or None if there is none of this name.

        Example:
            >>> client.get_experiment_by_name("games").experiment_id
            '1'
            >>> client.get_experiment_by_name("playoffs") is None
            True
        """
        return self.backend.experiments.find_by_name(name)

    def rename_experiment(self, experiment_id: str, new_name: str) -> None:
        """Rename an experiment.

        Args:
            experiment_id: The experiment's id.
            new_name: A unique name of 1 to 500 characters.

        Raises:
            ExperimentNotFoundError: No experiment has this id.
            AlreadyExistsError: Another experiment has this name.
            InvalidStateError: The experiment is deleted.

        Example:
            >>> client.rename_experiment("1", "regular season")
            >>> client.get_experiment("1").name
            'regular season'
        """
        check_text(new_name, "name", MAX_EXPERIMENT_NAME)
        self.backend.experiments.rename(str(experiment_id), new_name)

    def delete_experiment(self, experiment_id: str) -> None:
        """Mark an experiment and its runs as deleted.

        Nothing is removed from disk. `restore_experiment` undoes it until `registry gc` removes it.

        Args:
            experiment_id: The experiment's id.

        Raises:
            ExperimentNotFoundError: No experiment has this id.
            InvalidStateError: The experiment is deleted already.

        Example:
            >>> client.delete_experiment("1")
            >>> client.get_experiment("1").lifecycle_stage
            'deleted'
        """
        self.backend.experiments.delete(str(experiment_id))

    def restore_experiment(self, experiment_id: str) -> None:
        """Restore a deleted experiment and the runs that were deleted with it.

        Runs that were deleted before the experiment stay deleted.

        Args:
            experiment_id: The experiment's id.

        Raises:
            ExperimentNotFoundError: No experiment has this id.
            InvalidStateError: The experiment is not deleted.

        Example:
            >>> client.delete_experiment("1")
            >>> client.restore_experiment("1")
            >>> client.get_experiment("1").lifecycle_stage
            'active'
        """
        self.backend.experiments.restore(str(experiment_id))

    def set_experiment_tag(self, experiment_id: str, key: str, value: Any) -> None:
        """Set one tag of an experiment, overwriting an older value.

        Args:
            experiment_id: The experiment's id.
            key: The tag's key.
            value: The tag's value. Stored as text.

        Raises:
            ExperimentNotFoundError: No experiment has this id.
            InvalidStateError: The experiment is deleted.
            InvalidParameterError: The key or the value cannot be stored.

        Example:
            >>> client.set_experiment_tag("1", "season", 2026)
            >>> client.get_experiment("1").tags["season"]
            '2026'
        """
        self.set_experiment_tags(experiment_id, {check_key(key): value})

    def set_experiment_tags(self, experiment_id: str, tags: Mapping[str, Any]) -> None:
        """Set several tags of an experiment, all or none.

        Args:
            experiment_id: The experiment's id.
            tags: A mapping from key to value. Values are stored as text.

        Raises:
            ExperimentNotFoundError: No experiment has this id.
            InvalidStateError: The experiment is deleted.
            InvalidParameterError: A key or a value cannot be stored.

        Example:
            >>> client.set_experiment_tags("1", {"season": 2026, "owner": "ann"})
            >>> client.get_experiment("1").tags["owner"]
            'ann'
        """
        self.backend.experiments.set_tags(str(experiment_id), _check_tags(tags))

    def delete_experiment_tag(self, experiment_id: str, key: str) -> None:
        """Delete a tag of an experiment.

        Args:
            experiment_id: The experiment's id.
            key: The tag's key.

        Raises:
            ExperimentNotFoundError: No experiment has this id.
            NotFoundError: The experiment has no such tag.

        Example:
            >>> client.set_experiment_tag("1", "season", 2026)
            >>> client.delete_experiment_tag("1", "season")
            >>> "season" in client.get_experiment("1").tags
            False
        """
        self.backend.experiments.delete_tag(str(experiment_id), check_key(key))


def _check_tags(tags: Mapping[str, Any] | None) -> dict[str, str]:
    return {
        check_key(key, "key"): checked_text(value, f"tag {key!r}", MAX_EXPERIMENT_TAG_VALUE)
        for key, value in check_mapping(tags, "tags").items()
    }


def normalize_location(artifact_location: str) -> str:
    """Return an artifact location in stored form: an absolute path without ``file:``, or an S3 URI.

    Raises:
        InvalidUriError: It is neither a local path nor an S3 URI.
    """
    place = parse(artifact_location)
    if isinstance(place, S3Uri):
        return str(place)
    if isinstance(place, LocalUri):
        return str(Path(place.path).absolute())
    raise InvalidUriError(
        f"The artifact location {artifact_location!r} is neither a local path nor an S3 URI; use a path or s3://bucket/prefix."
    )
