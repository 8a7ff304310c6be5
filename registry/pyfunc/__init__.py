"""Models as functions from data to predictions (``mlflow.pyfunc``), and models that are Python code."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from registry import flavors
from registry.entities.signature import ModelSignature
from registry.flavors import ModelInfo, PyFuncModel
from registry.fluent import models
from registry.pyfunc.model import PythonModel, PythonModelContext

__all__ = [
    "FLAVOR_NAME",
    "PyFuncModel",
    "PythonModel",
    "PythonModelContext",
    "load_model",
    "log_model",
    "save_model",
]

FLAVOR_NAME: Final = "python_function"


def save_model(
    path: str | Path,
    loader_module: str | None = None,
    data_path: str | Path | None = None,
    code_paths: Sequence[str | Path] | None = None,
    *,
    conda_env: Any = None,
    python_model: Any = None,
    artifacts: Mapping[str, str | Path] | None = None,
    signature: ModelSignature | Literal[False] | None = None,
    input_example: Any = None,
    pip_requirements: Any = None,
    extra_pip_requirements: Any = None,
    metadata: Mapping[str, Any] | None = None,
    model_config: Mapping[str, Any] | None = None,
) -> None:
    """Write a model that is Python code into an absent or empty directory.

    It is either `python_model`, a `PythonModel` or a function, with `artifacts` (name to local path), or the data at
    `data_path` and the importable `loader_module` whose ``_load_pyfunc`` reads it. Loading it needs consent.

    Raises:
        PathExistsError: the directory is not empty.
        InvalidParameterError: neither or both of model and loader are given, or an argument is malformed.
        MissingDependencyError: cloudpickle is not installed.
    """
    flavors.save_model(
        python_model,
        path,
        FLAVOR_NAME,
        loader_module=loader_module,
        data_path=data_path,
        code_paths=code_paths,
        conda_env=conda_env,
        artifacts=artifacts,
        signature=signature,
        input_example=input_example,
        pip_requirements=pip_requirements,
        extra_pip_requirements=extra_pip_requirements,
        metadata=metadata,
        model_config=model_config,
    )


def log_model(
    artifact_path: str | None = None,
    loader_module: str | None = None,
    data_path: str | Path | None = None,
    code_paths: Sequence[str | Path] | None = None,
    *,
    conda_env: Any = None,
    python_model: Any = None,
    artifacts: Mapping[str, str | Path] | None = None,
    registered_model_name: str | None = None,
    signature: ModelSignature | Literal[False] | None = None,
    input_example: Any = None,
    await_registration_for: int | None = 300,
    pip_requirements: Any = None,
    extra_pip_requirements: Any = None,
    metadata: Mapping[str, Any] | None = None,
    model_config: Mapping[str, Any] | None = None,
    name: str | None = None,
    params: Mapping[str, Any] | None = None,
    tags: Mapping[str, Any] | None = None,
    model_type: str | None = None,
    step: int = 0,
    model_id: str | None = None,
) -> ModelInfo:
    """Seal a model that is Python code as a logged model of the active run, if there is one; register it if asked to.

    `name` (or `artifact_path`, its older word) is the model's name in the run; the other arguments are `save_model`'s.
    `model_id` is a logged model of `initialize_logged_model` that this one becomes.

    Raises:
        InvalidNameError: the name cannot be used.
        InvalidParameterError: neither or both of model and loader are given, or an argument is malformed.
        MissingDependencyError: cloudpickle is not installed.
    """
    return models.log_model(
        FLAVOR_NAME,
        python_model,
        artifact_path=artifact_path,
        name=name,
        registered_model_name=registered_model_name,
        await_registration_for=await_registration_for,
        loader_module=loader_module,
        data_path=data_path,
        code_paths=code_paths,
        conda_env=conda_env,
        artifacts=artifacts,
        signature=signature,
        input_example=input_example,
        pip_requirements=pip_requirements,
        extra_pip_requirements=extra_pip_requirements,
        metadata=metadata,
        model_config=model_config,
        params=params,
        tags=tags,
        model_type=model_type,
        step=step,
        model_id=model_id,
    )


def load_model(
    model_uri: str,
    suppress_warnings: bool = False,
    dst_path: str | None = None,
    model_config: Mapping[str, Any] | None = None,
    *,
    allow_code: bool | None = None,
    require_signature: str | Path | None = None,
    skops_trusted_types: Iterable[str] | None = None,
) -> PyFuncModel:
    """The model of a URI as a function; native formats run no code of the model.

    `allow_code` is the caller's consent to run code from the model's files (pickle, Python functions); by default
    ``REGISTRY_ALLOW_CODE`` says. `model_config` is laid over the configuration that the model was saved with.
    With `require_signature`, a public key (a PEM file), only a model that this key signed is loaded.
    `skops_trusted_types` lets a scikit-learn model hold just these types more.

    Raises:
        NotFoundError: nothing is at the URI, or it has no Python function.
        UntrustedModelError: it lacks the signature that is required.
        CodeExecutionRefusedError: loading would run code of the model, without consent.
        IntegrityError: a stored file is not what was sealed.
    """
    del suppress_warnings
    return models.load_function(
        model_uri,
        dst_path=dst_path,
        allow_code=allow_code,
        require_signature=require_signature,
        model_config=model_config,
        skops_trusted_types=skops_trusted_types,
    )


if not TYPE_CHECKING:
    from registry.unsupported import attributes

    __getattr__ = attributes(__name__, __all__)
