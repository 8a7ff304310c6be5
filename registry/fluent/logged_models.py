"""Module-level functions for logged models (MLflow 3)."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from registry.exceptions import InvalidParameterError
from registry.fluent import state
from registry.fluent.experiments import active_experiment_id
from registry.fluent.notebook import CellVariable
from registry.fluent.run_context_tags import context_tags
from registry.validation.arguments import check_mapping

if TYPE_CHECKING:
    from registry.entities import LoggedModel

EXTERNAL_MODEL: Final = "mlflow.model.isExternal"
_last_model_id: CellVariable[str | None] = CellVariable("registry_last_model", None)


def initialize_logged_model(
    name: str | None = None,
    source_run_id: str | None = None,
    tags: Mapping[str, Any] | None = None,
    params: Mapping[str, Any] | None = None,
    model_type: str | None = None,
    experiment_id: str | None = None,
) -> "LoggedModel":
    """Create a PENDING logged model without files.

    Add files with `log_model` and ``model_id=``, or store them at its `artifact_location` and call
    `finalize_logged_model`.

    Args:
        name: The model's name, without any of ``/ : . % " '``. Default: a generated name.
        source_run_id: The run that trains the model. Default: the active run, if there is one.
        tags: Labels as a mapping from key to value.
        params: Params as a mapping from key to value. Stored as text.
        model_type: A free text such as ``classifier``.
        experiment_id: The model's experiment. Default: that of the active run, else the active experiment.

    Returns:
        The new logged model with status PENDING.

    Raises:
        ExperimentNotFoundError: No experiment has this id.
        RunNotFoundError: No run has this id.
        InvalidNameError: The name has characters that are not allowed.

    Example:
        >>> pending = mlflow.initialize_logged_model("wins", params={"max_depth": 3})
        >>> info = mlflow.xgboost.log_model(model, model_id=pending.model_id)
        >>> mlflow.get_logged_model(pending.model_id).status.value
        'READY'
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
) -> "LoggedModel":
    """Create a READY logged model whose files are kept elsewhere. It can be registered, but not loaded.

    Args:
        name: The model's name, without any of ``/ : . % " '``. Default: a generated name.
        source_run_id: The run that trained the model. Default: the active run, if there is one.
        tags: Labels as a mapping from key to value.
        params: Params as a mapping from key to value. Stored as text.
        model_type: A free text such as ``classifier``.
        experiment_id: The model's experiment. Default: that of the active run, else the active experiment.

    Returns:
        The new logged model.

    Raises:
        ExperimentNotFoundError: No experiment has this id.
        RunNotFoundError: No run has this id.
        InvalidNameError: The name has characters that are not allowed.

    Example:
        >>> external = mlflow.create_external_model("scouting-llm", tags={"endpoint": "https://models.example/scout"})
        >>> external.status.value, external.tags["mlflow.model.isExternal"]
        ('READY', 'true')
    """
    from registry.flavors import Model

    all_tags = {**check_mapping(tags, "tags"), EXTERNAL_MODEL: "true"}
    pending = initialize_logged_model(name, source_run_id, all_tags, params, model_type, experiment_id)
    mlmodel = Model(
        artifact_path=pending.artifact_location,
        run_id=pending.source_run_id,
        model_uuid=pending.model_id,
        model_id=pending.model_id,
        metadata={EXTERNAL_MODEL: True},
    )
    with tempfile.TemporaryDirectory(prefix="registry-") as directory:
        mlmodel.save(Path(directory) / "MLmodel")
        state.client().log_model_artifacts(pending.model_id, directory)
    return finalize_logged_model(pending.model_id, "READY")


def finalize_logged_model(model_id: str, status: str) -> "LoggedModel":
    """Seal the files of a PENDING logged model, or mark it as failed.

    Args:
        model_id: The logged model's id.
        status: ``READY`` seals the files at its location; ``FAILED`` gives the model up.

    Returns:
        The logged model with its new status.

    Raises:
        LoggedModelNotFoundError: No logged model has this id.
        InvalidStateError: The model is not PENDING.
        InvalidParameterError: The status is neither ``READY`` nor ``FAILED``.

    Example:
        >>> pending = mlflow.initialize_logged_model("wins")
        >>> mlflow.finalize_logged_model(pending.model_id, "FAILED").status.value
        'FAILED'
    """
    return state.client().finalize_logged_model(model_id, status)


def get_logged_model(model_id: str) -> "LoggedModel":
    """Return a logged model by id.

    Args:
        model_id: The id: ``m-`` and 32 hexadecimal digits.

    Returns:
        The logged model with its params, tags and metrics.

    Raises:
        LoggedModelNotFoundError: No logged model has this id.

    Example:
        >>> model_id = mlflow.resolve("models:/churn@champion").model_id
        >>> mlflow.get_logged_model(model_id).params
        {'algorithm': 'XGBoost', 'max_depth': '3'}
    """
    return state.client().get_logged_model(model_id)


def last_logged_model() -> "LoggedModel | None":
    """Return the logged model that this thread or task logged last, or None.

    Returns:
        The logged model as it is now, or None.

    Example:
        >>> info = mlflow.xgboost.log_model(model, name="wins")
        >>> mlflow.last_logged_model().name
        'wins'
    """
    model_id = _last_model_id.get()
    return None if model_id is None else get_logged_model(model_id)


def log_model_params(params: Mapping[str, Any], model_id: str | None = None) -> None:
    """Add params to a logged model.

    Args:
        params: Params as a mapping from key to value. Stored as text.
        model_id: The logged model's id. Default: the model that this thread or task logged last.

    Raises:
        InvalidParameterError: No id is given, and no model was logged here.
        LoggedModelNotFoundError: No logged model has this id.
        ParamConflictError: A param has another value already.

    Example:
        >>> info = mlflow.xgboost.log_model(model, name="wins")
        >>> mlflow.log_model_params({"calibration": "isotonic"})
        >>> mlflow.get_logged_model(info.model_id).params
        {'calibration': 'isotonic'}
    """
    target_id = model_id or _last_model_id.get()
    if target_id is None:
        raise InvalidParameterError("No model was logged in this thread or task yet. Pass its id: model_id='m-…'.")
    state.client().log_model_params(target_id, params)


def set_logged_model_tags(model_id: str, tags: Mapping[str, Any]) -> None:
    """Set tags of a logged model, overwriting older values.

    Args:
        model_id: The logged model's id.
        tags: A mapping from key to value. Values are stored as text.

    Raises:
        LoggedModelNotFoundError: No logged model has this id.

    Example:
        >>> info = mlflow.xgboost.log_model(model, name="wins")
        >>> mlflow.set_logged_model_tags(info.model_id, {"reviewed": True})
        >>> mlflow.get_logged_model(info.model_id).tags["reviewed"]
        'True'
    """
    state.client().set_logged_model_tags(model_id, tags)


def delete_logged_model_tag(model_id: str, key: str) -> None:
    """Delete a tag of a logged model.

    Args:
        model_id: The logged model's id.
        key: The tag's key.

    Raises:
        LoggedModelNotFoundError: No logged model has this id.
        NotFoundError: The model has no such tag.

    Example:
        >>> info = mlflow.xgboost.log_model(model, name="wins", tags={"draft": "yes"})
        >>> mlflow.delete_logged_model_tag(info.model_id, "draft")
        >>> "draft" in mlflow.get_logged_model(info.model_id).tags
        False
    """
    state.client().delete_logged_model_tag(model_id, key)


def remember_logged_model(model_id: str | None) -> None:
    """Remember the logged model that this thread or task logged last."""
    _last_model_id.set(model_id)
