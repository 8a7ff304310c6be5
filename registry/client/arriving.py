"""What a logged model of another registry becomes here, and in which experiment it and its run come to lie."""

from registry.client.backend import Backend
from registry.entities import LifecycleStage
from registry.entities.logged_model import new_model_id
from registry.entities.portable import PortableLoggedModel
from registry.exceptions import AlreadyExistsError, InvalidStateError
from registry.store.logged_models import NewModel


def arriving_model(backend: Backend, logged: PortableLoggedModel) -> NewModel:
    """The logged model under a fresh id, in the experiment of the name that it has there."""
    run_id = logged.run_id
    if run_id is not None and backend.arriving_runs.is_deleted(run_id):
        run_id = None
    return NewModel(
        model_id=new_model_id(),
        experiment_id=experiment_named(backend, logged.experiment),
        name=logged.name,
        run_id=run_id,
        model_type=logged.model_type,
        params=logged.params,
        tags=logged.tags,
        signatures=logged.signatures,
    )


def experiment_named(backend: Backend, name: str) -> str:
    """The id of the experiment of a name, which is made if there is none.

    Raises:
        InvalidStateError: it is deleted.
    """
    found = backend.experiments.find_by_name(name)
    if found is None:
        try:
            return backend.experiments.create(name, artifact_root=backend.place.artifact_root)
        except AlreadyExistsError:  # another process made it in between
            return experiment_named(backend, name)
    if found.lifecycle_stage != LifecycleStage.ACTIVE:
        raise InvalidStateError(
            f"The experiment {name!r}, where what comes in belongs, is deleted; restore it with "
            f"restore_experiment({found.experiment_id!r}), or rename it and have a new one made."
        )
    return found.experiment_id
