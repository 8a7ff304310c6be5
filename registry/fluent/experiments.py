"""Module-level functions for experiments."""

from collections.abc import Mapping
from typing import Any

from registry.entities import Experiment, LifecycleStage
from registry.entities.experiment import DEFAULT_EXPERIMENT_ID
from registry.exceptions import AlreadyExistsError, InvalidParameterError
from registry.fluent import state
from registry.settings import current_settings, set_variable


def set_experiment(experiment_name: str | None = None, experiment_id: str | None = None) -> Experiment:
    """Make an experiment the active one of this process and its children; create it if its name is new.

    Args:
        experiment_name: The experiment's name. Give either a name or an id.
        experiment_id: The id of an existing experiment.

    Returns:
        The experiment.

    Raises:
        InvalidParameterError: Both or neither of name and id are given, or the experiment is deleted.
        ExperimentNotFoundError: No experiment has this id.

    Example:
        >>> experiment = mlflow.set_experiment("playoffs")
        >>> with mlflow.start_run() as run:
        ...     pass
        >>> run.info.experiment_id == experiment.experiment_id
        True
    """
    if (experiment_name is None) == (experiment_id is None):
        raise InvalidParameterError("Must specify exactly one of: `experiment_id` or `experiment_name`.")
    experiment = _get_or_create(experiment_name) if experiment_name is not None else get_experiment(str(experiment_id))
    if experiment.lifecycle_stage != LifecycleStage.ACTIVE:
        raise InvalidParameterError(
            f"Cannot set a deleted experiment {experiment.name!r} as the active experiment. Restore it with "
            f"MlflowClient().restore_experiment({experiment.experiment_id!r}), or use another name."
        )
    set_variable("EXPERIMENT_NAME", None)
    set_variable("EXPERIMENT_ID", experiment.experiment_id)
    return experiment


def active_experiment_id() -> str:
    """Return the id of the experiment that new runs belong to: the one that is set, else the default one.

    Raises:
        InvalidParameterError: The variables for name and id name different experiments.
    """
    settings = current_settings()
    if settings.experiment_name is None:
        return settings.experiment_id or DEFAULT_EXPERIMENT_ID
    experiment = _get_or_create(settings.experiment_name)
    if settings.experiment_id not in (None, experiment.experiment_id):
        raise InvalidParameterError(
            f"The variables for the experiment disagree: the name {settings.experiment_name!r} has id "
            f"{experiment.experiment_id}, but the id is set to {settings.experiment_id}. Unset one of them."
        )
    return experiment.experiment_id


def create_experiment(name: str, artifact_location: str | None = None, tags: Mapping[str, Any] | None = None) -> str:
    """Create an experiment and return its id. It does not become the active one.

    Args:
        name: A unique name of 1 to 500 characters.
        artifact_location: A local path or ``s3://bucket/prefix`` for the bytes of its runs and models. Default: a
            directory below the artifact root.
        tags: Labels as a mapping from key to value.

    Returns:
        The id, a string of digits.

    Raises:
        AlreadyExistsError: An experiment has this name already, possibly a deleted one.
        InvalidUriError: `artifact_location` is neither a local path nor an S3 URI.

    Example:
        >>> mlflow.create_experiment("playoffs", tags={"season": 2026})
        '2'
    """
    return state.client().create_experiment(name, artifact_location, tags)


def get_experiment(experiment_id: str) -> Experiment:
    """Return an experiment by id, including a deleted one.

    Args:
        experiment_id: The experiment's id.

    Returns:
        The experiment as it is now.

    Raises:
        ExperimentNotFoundError: No experiment has this id.

    Example:
        >>> mlflow.get_experiment("1").name
        'games'
    """
    return state.client().get_experiment(experiment_id)


def get_experiment_by_name(name: str) -> Experiment | None:
    """Return an experiment by name, including a deleted one, or None.

    Args:
        name: The exact name.

    Returns:
        The experiment, or None if there is none of this name.

    Example:
        >>> mlflow.get_experiment_by_name("games").experiment_id
        '1'
    """
    return state.client().get_experiment_by_name(name)


def delete_experiment(experiment_id: str) -> None:
    """Mark an experiment and its runs as deleted.

    Args:
        experiment_id: The experiment's id.

    Raises:
        ExperimentNotFoundError: No experiment has this id.

    Example:
        >>> mlflow.delete_experiment("1")
        >>> mlflow.get_experiment("1").lifecycle_stage
        'deleted'
    """
    state.client().delete_experiment(experiment_id)


def restore_experiment(experiment_id: str) -> None:
    """Restore a deleted experiment and the runs that were deleted with it.

    Args:
        experiment_id: The experiment's id.

    Raises:
        ExperimentNotFoundError: No experiment has this id.

    Example:
        >>> mlflow.delete_experiment("1")
        >>> mlflow.restore_experiment("1")
        >>> mlflow.get_experiment("1").lifecycle_stage
        'active'
    """
    state.client().restore_experiment(experiment_id)


def set_experiment_tag(key: str, value: Any) -> None:
    """Set one tag of the active experiment, overwriting an older value.

    Args:
        key: The tag's key.
        value: The tag's value. Stored as text.

    Raises:
        InvalidParameterError: The key or the value cannot be stored.

    Example:
        >>> mlflow.set_experiment_tag("season", 2026)
        >>> mlflow.get_experiment_by_name("games").tags["season"]
        '2026'
    """
    state.client().set_experiment_tag(active_experiment_id(), key, value)


def set_experiment_tags(tags: Mapping[str, Any]) -> None:
    """Set several tags of the active experiment, all or none.

    Args:
        tags: A mapping from key to value. Values are stored as text.

    Raises:
        InvalidParameterError: A key or a value cannot be stored.

    Example:
        >>> mlflow.set_experiment_tags({"season": 2026, "owner": "ann"})
        >>> mlflow.get_experiment_by_name("games").tags["owner"]
        'ann'
    """
    state.client().set_experiment_tags(active_experiment_id(), tags)


def delete_experiment_tag(key: str) -> None:
    """Delete a tag of the active experiment.

    Args:
        key: The tag's key.

    Raises:
        NotFoundError: The experiment has no such tag.

    Example:
        >>> mlflow.set_experiment_tag("season", 2026)
        >>> mlflow.delete_experiment_tag("season")
        >>> "season" in mlflow.get_experiment_by_name("games").tags
        False
    """
    state.client().delete_experiment_tag(active_experiment_id(), key)


def _get_or_create(name: str) -> Experiment:
    client = state.client()
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        try:
            return client.get_experiment(client.create_experiment(name))
        except AlreadyExistsError:
            # Another process created it between the two calls.
            experiment = client.get_experiment_by_name(name)
            if experiment is None:
                raise
    return experiment
