"""Experiments: MLflow's module-level functions for them."""

from collections.abc import Mapping
from typing import Any

from registry.entities import Experiment, LifecycleStage
from registry.entities.experiment import DEFAULT_EXPERIMENT_ID
from registry.exceptions import AlreadyExistsError, InvalidParameterError
from registry.fluent import state
from registry.settings import current_settings, set_variable


def set_experiment(experiment_name: str | None = None, experiment_id: str | None = None) -> Experiment:
    """Make an experiment the active one of this process and its children; one that is missing by name is created.

    Raises:
        InvalidParameterError: not exactly one of name and id is given, or the experiment is deleted.
        ExperimentNotFoundError: no experiment of that id.
    """
    if (experiment_name is None) == (experiment_id is None):
        raise InvalidParameterError("Must specify exactly one of: `experiment_id` or `experiment_name`.")
    found = _named(experiment_name) if experiment_name is not None else get_experiment(str(experiment_id))
    if found.lifecycle_stage != LifecycleStage.ACTIVE:
        raise InvalidParameterError(
            f"Cannot set a deleted experiment {found.name!r} as the active experiment. Restore it with "
            f"MlflowClient().restore_experiment({found.experiment_id!r}), or use another name."
        )
    set_variable("EXPERIMENT_NAME", None)
    set_variable("EXPERIMENT_ID", found.experiment_id)
    return found


def active_experiment_id() -> str:
    """The id of the experiment that new runs belong to: the one that was set, or the default one.

    Raises:
        InvalidParameterError: the variables for name and id name two experiments.
    """
    settings = current_settings()
    if settings.experiment_name is None:
        return settings.experiment_id or DEFAULT_EXPERIMENT_ID
    found = _named(settings.experiment_name)
    if settings.experiment_id not in (None, found.experiment_id):
        raise InvalidParameterError(
            f"The variables for the experiment disagree: the name {settings.experiment_name!r} has id "
            f"{found.experiment_id}, but the id is set to {settings.experiment_id}. Unset one of them."
        )
    return found.experiment_id


def create_experiment(name: str, artifact_location: str | None = None, tags: Mapping[str, Any] | None = None) -> str:
    """A new experiment; its id. It is not made the active one.

    Raises:
        AlreadyExistsError: the name is taken, perhaps by a deleted experiment.
    """
    return state.client().create_experiment(name, artifact_location, tags)


def get_experiment(experiment_id: str) -> Experiment:
    """An experiment by id, deleted ones included.

    Raises:
        ExperimentNotFoundError: no such experiment.
    """
    return state.client().get_experiment(experiment_id)


def get_experiment_by_name(name: str) -> Experiment | None:
    """An experiment by name, deleted ones included, or None."""
    return state.client().get_experiment_by_name(name)


def delete_experiment(experiment_id: str) -> None:
    """Mark an experiment and its runs as deleted."""
    state.client().delete_experiment(experiment_id)


def restore_experiment(experiment_id: str) -> None:
    """Undo `delete_experiment`; runs that were deleted before it stay deleted."""
    state.client().restore_experiment(experiment_id)


def set_experiment_tag(key: str, value: Any) -> None:
    """Set a label of the active experiment."""
    state.client().set_experiment_tag(active_experiment_id(), key, value)


def set_experiment_tags(tags: Mapping[str, Any]) -> None:
    """Set labels of the active experiment."""
    state.client().set_experiment_tags(active_experiment_id(), tags)


def delete_experiment_tag(key: str) -> None:
    """Remove a label of the active experiment."""
    state.client().delete_experiment_tag(active_experiment_id(), key)


def _named(name: str) -> Experiment:
    client = state.client()
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return client.get_experiment(client.create_experiment(name))
        except AlreadyExistsError:
            # Another process created it in between.
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    return found
