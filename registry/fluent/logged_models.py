"""Logged models: MLflow 3's module-level functions for them."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from registry.entities import LoggedModel
from registry.exceptions import InvalidParameterError
from registry.flavors import Model
from registry.fluent import state
from registry.fluent.experiments import active_experiment_id
from registry.fluent.notebook import CellVariable
from registry.fluent.run_context_tags import context_tags
from registry.validation.arguments import check_mapping

EXTERNAL_MODEL: Final = "mlflow.model.isExternal"
_last_model_id: CellVariable[str | None] = CellVariable("registry_last_model", None)


def initialize_logged_model(
    name: str | None = None,
    source_run_id: str | None = None,
    tags: Mapping[str, Any] | None = None,
    params: Mapping[str, Any] | None = None,
    model_type: str | None = None,
    experiment_id: str | None = None,
) -> LoggedModel:
    """A PENDING logged model without files, of the active run unless told otherwise.

    Files come by `log_model` with ``model_id=``, or are stored at its `artifact_location` and sealed by
    `finalize_logged_model`.

    Raises:
        ExperimentNotFoundError, RunNotFoundError: no such experiment or run.
    """
    active = state.active_with_client()
    run, client = (active[0].info, active[1]) if active else (None, state.client())
    run_id = source_run_id or (run.run_id if run else None)
    experiment = experiment_id or (run.experiment_id if run else active_experiment_id())
    model = client.create_logged_model(
        experiment, name, run_id, context_tags() | check_mapping(tags, "tags"), params, model_type
    )
    remember_logged_model(model.model_id)
    return model


def create_external_model(
    name: str | None = None,
    source_run_id: str | None = None,
    tags: Mapping[str, Any] | None = None,
    params: Mapping[str, Any] | None = None,
    model_type: str | None = None,
    experiment_id: str | None = None,
) -> LoggedModel:
    """Record a model whose files are kept elsewhere, as a READY logged model that can be registered but not loaded.

    Raises:
        ExperimentNotFoundError, RunNotFoundError: no such experiment or run.
    """
    marked = {**check_mapping(tags, "tags"), EXTERNAL_MODEL: "true"}
    pending = initialize_logged_model(name, source_run_id, marked, params, model_type, experiment_id)
    described = Model(
        artifact_path=pending.artifact_location,
        run_id=pending.source_run_id,
        model_uuid=pending.model_id,
        model_id=pending.model_id,
        metadata={EXTERNAL_MODEL: True},
    )
    with tempfile.TemporaryDirectory(prefix="registry-") as directory:
        described.save(Path(directory) / "MLmodel")
        state.client().log_model_artifacts(pending.model_id, directory)
    return finalize_logged_model(pending.model_id, "READY")


def finalize_logged_model(model_id: str, status: str) -> LoggedModel:
    """End a PENDING logged model: ``READY`` seals the files at its location, ``FAILED`` gives it up.

    Raises:
        InvalidStateError: it is not PENDING.
        InvalidParameterError: the status is neither.
    """
    return state.client().finalize_logged_model(model_id, status)


def get_logged_model(model_id: str) -> LoggedModel:
    """A logged model by id.

    Raises:
        LoggedModelNotFoundError: no such model.
    """
    return state.client().get_logged_model(model_id)


def last_logged_model() -> LoggedModel | None:
    """The model that this thread or task logged last, read anew, or None."""
    model_id = _last_model_id.get()
    return None if model_id is None else get_logged_model(model_id)


def log_model_params(params: Mapping[str, Any], model_id: str | None = None) -> None:
    """Add params to a logged model, by default to the one that this thread or task logged last.

    Raises:
        InvalidParameterError: no model is given and none was logged.
    """
    chosen = model_id or _last_model_id.get()
    if chosen is None:
        raise InvalidParameterError("No model was logged here yet; say which one is meant: model_id='m-…'.")
    state.client().log_model_params(chosen, params)


def set_logged_model_tags(model_id: str, tags: Mapping[str, Any]) -> None:
    """Set labels of a logged model."""
    state.client().set_logged_model_tags(model_id, tags)


def delete_logged_model_tag(model_id: str, key: str) -> None:
    """Remove a label of a logged model.

    Raises:
        NotFoundError: the model has no such label.
    """
    state.client().delete_logged_model_tag(model_id, key)


def remember_logged_model(model_id: str | None) -> None:
    """Note which model was logged last in this thread or task."""
    _last_model_id.set(model_id)
