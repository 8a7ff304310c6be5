"""The active model: the logged model that metrics are logged for, beside the run, if none is named."""

import os
from typing import Any, Self

from registry.client.models.logged_models import check_logged_model_name
from registry.entities import LoggedModel
from registry.exceptions import InvalidParameterError
from registry.fluent.logged_models import create_external_model, get_logged_model
from registry.fluent.notebook import CellVariable
from registry.fluent.search import search_logged_models

_VARIABLES = ("REGISTRY_ACTIVE_MODEL_ID", "MLFLOW_ACTIVE_MODEL_ID")
# None: not set, the environment applies. An empty text: cleared.
_active_model_id: CellVariable[str | None] = CellVariable("registry_active_model", None)


class ActiveModel(LoggedModel):
    """The logged model that `set_active_model` returns; a ``with`` block makes the one before it active again.

    Example:
        >>> with mlflow.set_active_model(name="wins-v2") as active:
        ...     mlflow.get_active_model_id() == active.model_id
        True
        >>> mlflow.get_active_model_id() is None
        True
    """

    _before: str | None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        _active_model_id.set(self._before)


def set_active_model(*, name: str | None = None, model_id: str | None = None) -> ActiveModel:
    """Make a logged model the active one of this thread or task. `log_metric` logs for it as well.

    Args:
        name: The name of a logged model: the newest one with it, or a new one whose files are elsewhere.
        model_id: The id of a logged model.

    Returns:
        The model; as a context manager it makes the model before it active again.

    Raises:
        InvalidParameterError: Neither is given, or the model with this id has another name.
        LoggedModelNotFoundError: No logged model has this id.

    Example:
        >>> with mlflow.set_active_model(name="wins-v2") as active, mlflow.start_run():
        ...     mlflow.log_metric("auc", 0.9)
        >>> [(metric.key, metric.value) for metric in mlflow.get_logged_model(active.model_id).metrics]
        [('auc', 0.9)]
    """
    if name is None and model_id is None:
        raise InvalidParameterError("Either name or model_id must be provided.")
    model = _find_or_create(check_logged_model_name(name)) if model_id is None else get_logged_model(model_id)
    if name is not None and model.name != name:
        raise InvalidParameterError(
            f"LoggedModel with model_id {model_id!r} has name {model.name!r}, which does not match the provided name "
            f"{name!r}."
        )
    fields: dict[str, Any] = {field: getattr(model, field) for field in LoggedModel.__dataclass_fields__}
    active = ActiveModel(**fields)
    object.__setattr__(active, "_before", _active_model_id.get())
    _active_model_id.set(model.model_id)
    return active


def get_active_model_id() -> str | None:
    """Return the id of the active model of this thread or task.

    Returns:
        The id that was set, else ``REGISTRY_ACTIVE_MODEL_ID`` or ``MLFLOW_ACTIVE_MODEL_ID``, else None.

    Example:
        >>> mlflow.get_active_model_id() is None
        True
    """
    model_id = _active_model_id.get()
    if model_id is None:
        model_id = next((os.environ[name] for name in _VARIABLES if name in os.environ), None)
    return model_id or None


def clear_active_model() -> None:
    """Let no model be the active one of this thread or task, also if the environment names one.

    Example:
        >>> _ = mlflow.set_active_model(name="wins-v2")
        >>> mlflow.clear_active_model()
        >>> mlflow.get_active_model_id() is None
        True
    """
    _active_model_id.set("")


def _find_or_create(name: str) -> LoggedModel:
    quoted = name.replace("'", "''")
    newest = [{"field_name": "creation_timestamp", "ascending": False}]
    models = search_logged_models(
        filter_string=f"name = '{quoted}'", max_results=1, order_by=newest, output_format="list"
    )
    return models[0] if models else create_external_model(name=name)
