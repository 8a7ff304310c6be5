"""XGBoost models (``mlflow.xgboost``): Boosters and the scikit-learn wrappers, stored as UBJSON."""

from pathlib import Path
from typing import Any

from registry import flavors
from registry.flavors import ModelInfo
from registry.fluent import models

__all__ = ["load_model", "log_model", "save_model"]

FLAVOR = "xgboost"


def save_model(xgb_model: Any, path: str | Path, *, model_format: str = "ubj", **options: Any) -> None:
    """Write a Booster or wrapper into an absent or empty directory.

    Options: ``signature``, ``input_example``, ``pip_requirements``, ``extra_pip_requirements``, ``conda_env``,
    ``code_paths``, ``metadata``, ``extra_files``.

    Raises:
        PathExistsError: the directory is not empty.
        MissingDependencyError: xgboost is not installed.
    """
    flavors.save_model(xgb_model, path, FLAVOR, model_format=model_format, **options)


def log_model(
    xgb_model: Any,
    artifact_path: str | None = None,
    *,
    name: str | None = None,
    registered_model_name: str | None = None,
    model_format: str = "ubj",
    **options: Any,
) -> ModelInfo:
    """Seal a Booster or wrapper as a logged model of the active run, if there is one, and register it if asked to.

    Options: those of `save_model`, and ``params``, ``tags``, ``model_type``, ``step``.

    Raises:
        InvalidNameError: the name cannot be used.
        MissingDependencyError: xgboost is not installed.
    """
    return models.log_model(
        FLAVOR,
        xgb_model,
        artifact_path=artifact_path,
        name=name,
        registered_model_name=registered_model_name,
        model_format=model_format,
        **options,
    )


def load_model(model_uri: str, dst_path: str | None = None, *, allow_code: bool | None = None) -> Any:
    """The Booster or wrapper of a URI. XGBoost's formats run no code of the model, whatever `allow_code` says.

    Raises:
        NotFoundError: nothing is at the URI, or it has no xgboost flavor.
        IntegrityError: a stored file is not what was sealed.
    """
    return models.load_native(FLAVOR, model_uri, dst_path=dst_path, allow_code=allow_code)
