"""XGBoost models (``mlflow.xgboost``): Boosters and the scikit-learn wrappers, stored as UBJSON."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal, Unpack

from registry import flavors
from registry.entities.signature import ModelSignature
from registry.flavors import ModelInfo
from registry.fluent import models
from registry.fluent.model_options import LogFilesOptions, SaveFilesOptions, takes
from registry.unsupported import explain_missing

__all__ = [
    "FLAVOR_NAME",
    "get_default_conda_env",
    "get_default_pip_requirements",
    "load_model",
    "log_model",
    "save_model",
]

FLAVOR_NAME: Final = "xgboost"


@takes(SaveFilesOptions, others="kwargs")
def save_model(
    xgb_model: Any,
    path: str | Path,
    conda_env: Any = None,
    code_paths: Sequence[str | Path] | None = None,
    *,
    model_format: str = "ubj",
    **options: Unpack[SaveFilesOptions],
) -> None:
    """Write a Booster or wrapper into an absent or empty directory; other `options` go to its own ``save_model``.

    Without a signature, one is inferred from `input_example`. `model_format` is ``ubj`` or ``json``.

    Raises:
        PathExistsError: the directory is not empty.
        InvalidParameterError: it is no trained XGBoost model, or an argument is malformed.
        MissingDependencyError: xgboost is not installed.
    """
    flavors.save_model(
        xgb_model,
        path,
        FLAVOR_NAME,
        conda_env=conda_env,
        code_paths=code_paths,
        model_format=model_format,
        **options,
    )


@takes(LogFilesOptions, others="kwargs")
def log_model(
    xgb_model: Any,
    artifact_path: str | None = None,
    conda_env: Any = None,
    code_paths: Sequence[str | Path] | None = None,
    registered_model_name: str | None = None,
    signature: ModelSignature | Literal[False] | None = None,
    input_example: Any = None,
    *,
    model_format: str = "ubj",
    **options: Unpack[LogFilesOptions],
) -> ModelInfo:
    """Seal a Booster or wrapper as a logged model of the active run, if there is one, and register it if asked to.

    `name` (or `artifact_path`, its older word) is the model's name in the run; the other arguments are `save_model`'s.
    `model_id` is a logged model of `initialize_logged_model` that this one becomes.

    Raises:
        InvalidNameError: the name cannot be used.
        InvalidParameterError: it is no trained XGBoost model, or an argument is malformed.
        MissingDependencyError: xgboost is not installed.
    """
    return models.log_model(
        FLAVOR_NAME,
        xgb_model,
        artifact_path=artifact_path,
        registered_model_name=registered_model_name,
        conda_env=conda_env,
        code_paths=code_paths,
        signature=signature,
        input_example=input_example,
        model_format=model_format,
        **options,
    )


def load_model(
    model_uri: str,
    dst_path: str | None = None,
    *,
    allow_code: bool | None = None,
    require_signature: str | Path | None = None,
) -> Any:
    """The Booster or wrapper of a URI. XGBoost's formats run no code of the model, whatever `allow_code` says.

    With `require_signature`, a public key (a PEM file), only a model that this key signed is loaded.

    Raises:
        NotFoundError: nothing is at the URI, or it has no xgboost flavor.
        UntrustedModelError: it lacks the signature that is required.
        IntegrityError: a stored file is not what was sealed.
        MissingDependencyError: xgboost is not installed.
    """
    return models.load_native(
        FLAVOR_NAME, model_uri, dst_path=dst_path, allow_code=allow_code, require_signature=require_signature
    )


def get_default_pip_requirements() -> list[str]:
    """Return the requirements that `save_model` writes unless told otherwise, such as ``xgboost==3.0.0``."""
    return list(flavors.Environment.of([FLAVOR_NAME]).requirements)


def get_default_conda_env() -> dict[str, Any]:
    """Return the conda environment that `save_model` writes unless told otherwise."""
    return dict(flavors.Environment.of([FLAVOR_NAME]).conda)


explain_missing(globals())
