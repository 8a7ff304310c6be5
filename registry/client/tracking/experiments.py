"""Experiments: MLflow's client methods for them."""

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
    """What a client does with experiments."""

    def create_experiment(
        self, name: str, artifact_location: str | None = None, tags: Mapping[str, Any] | None = None
    ) -> str:
        """A new experiment; its id.

        `artifact_location` is a local path or an ``s3://bucket/prefix`` for the bytes of its runs and models; by
        default a directory named after the id below the artifact root.

        Raises:
            AlreadyExistsError: the name is taken, perhaps by a deleted experiment.
            InvalidNameError, InvalidUriError: the name or location cannot be used.
        """
        check_text(name, "name", MAX_EXPERIMENT_NAME)
        location = None if artifact_location is None else checked_location(artifact_location)
        return self.backend.experiments.create(
            name, artifact_root=self.backend.place.artifact_root, artifact_location=location, tags=_tags(tags)
        )

    def get_experiment(self, experiment_id: str) -> Experiment:
        """An experiment by id, deleted ones included.

        Raises:
            ExperimentNotFoundError: no such experiment.
        """
        return self.backend.experiments.get(str(experiment_id))

    def get_experiment_by_name(self, name: str) -> Experiment | None:
        """An experiment by name, deleted ones included, or None."""
        return self.backend.experiments.find_by_name(name)

    def rename_experiment(self, experiment_id: str, new_name: str) -> None:
        """Give an experiment another name.

        Raises:
            AlreadyExistsError: the name is taken.
            InvalidStateError: the experiment is deleted.
        """
        check_text(new_name, "name", MAX_EXPERIMENT_NAME)
        self.backend.experiments.rename(str(experiment_id), new_name)

    def delete_experiment(self, experiment_id: str) -> None:
        """Mark an experiment and its runs as deleted."""
        self.backend.experiments.delete(str(experiment_id))

    def restore_experiment(self, experiment_id: str) -> None:
        """Undo `delete_experiment`; runs that were deleted before it stay deleted."""
        self.backend.experiments.restore(str(experiment_id))

    def set_experiment_tag(self, experiment_id: str, key: str, value: Any) -> None:
        """Set a label of an experiment."""
        self.set_experiment_tags(experiment_id, {check_key(key): value})

    def set_experiment_tags(self, experiment_id: str, tags: Mapping[str, Any]) -> None:
        """Set labels of an experiment, all or none."""
        self.backend.experiments.set_tags(str(experiment_id), _tags(tags))

    def delete_experiment_tag(self, experiment_id: str, key: str) -> None:
        """Remove a label of an experiment.

        Raises:
            NotFoundError: the experiment has no such label.
        """
        self.backend.experiments.delete_tag(str(experiment_id), check_key(key))


def _tags(tags: Mapping[str, Any] | None) -> dict[str, str]:
    return {
        check_key(key, "key"): checked_text(value, f"tag {key!r}", MAX_EXPERIMENT_TAG_VALUE)
        for key, value in check_mapping(tags, "tags").items()
    }


def checked_location(artifact_location: str) -> str:
    """A place for bytes as it is stored: an absolute path without ``file:``, or an S3 URI.

    Raises:
        InvalidUriError: it is neither.
    """
    place = parse(artifact_location)
    if isinstance(place, S3Uri):
        return str(place)
    if isinstance(place, LocalUri):
        return str(Path(place.path).absolute())
    raise InvalidUriError(
        f"The artifact location {artifact_location!r} is not a place for bytes; use a local path or s3://bucket/prefix."
    )
