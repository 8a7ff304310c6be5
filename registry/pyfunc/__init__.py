"""Models as functions from data to predictions (``mlflow.pyfunc``), and models that are Python code."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, Unpack

from registry import flavors
from registry.entities.signature import ModelSignature
from registry.flavors import ModelInfo, PyFuncModel
from registry.fluent import models
from registry.fluent.model_options import LogOptions, SaveOptions, takes
from registry.pyfunc.model import PythonModel, PythonModelContext
from registry.unsupported import explain_missing

__all__ = [
    "CODE",
    "DATA",
    "ENV",
    "FLAVOR_NAME",
    "MAIN",
    "PyFuncModel",
    "PythonModel",
    "PythonModelContext",
    "get_default_conda_env",
    "get_default_pip_requirements",
    "load_model",
    "log_model",
    "save_model",
]

FLAVOR_NAME: Final = "python_function"
# Keys of the python_function entry in an MLmodel file.
CODE: Final = "code"
DATA: Final = "data"
ENV: Final = "env"
MAIN: Final = "loader_module"


@takes(SaveOptions)
def save_model(
    path: str | Path,
    loader_module: str | None = None,
    data_path: str | Path | None = None,
    code_paths: Sequence[str | Path] | None = None,
    infer_code_paths: bool = False,
    *,
    conda_env: Any = None,
    python_model: Any = None,
    artifacts: Mapping[str, str | Path] | None = None,
    model_config: Mapping[str, Any] | None = None,
    **options: Unpack[SaveOptions],
) -> None:
    """Write a model that is Python code into an absent or empty directory.

    It is either `python_model`, a `PythonModel`, a function or the path of a Python file that calls `models.set_model`,
    with `artifacts` (names to local paths or ``models:``, ``runs:``, ``s3:`` and ``file:`` URIs, which are fetched and
    checked), or the data at `data_path` and the importable `loader_module` whose ``_load_pyfunc`` reads it. Loading it
    needs consent. With `infer_code_paths` the modules below the working directory that the model uses go along.

    Raises:
        PathExistsError: the directory is not empty.
        InvalidParameterError: neither or both of model and loader are given, or an argument is malformed.
        MissingDependencyError: cloudpickle is not installed.
    """
    models.save_python_model(
        python_model,
        path,
        loader_module=loader_module,
        data_path=data_path,
        code_paths=code_paths,
        conda_env=conda_env,
        artifacts=artifacts,
        model_config=model_config,
        infer_code_paths=infer_code_paths,
        **options,
    )


@takes(LogOptions)
def log_model(
    artifact_path: str | None = None,
    loader_module: str | None = None,
    data_path: str | Path | None = None,
    code_paths: Sequence[str | Path] | None = None,
    infer_code_paths: bool = False,
    *,
    conda_env: Any = None,
    python_model: Any = None,
    artifacts: Mapping[str, str | Path] | None = None,
    registered_model_name: str | None = None,
    signature: ModelSignature | Literal[False] | None = None,
    input_example: Any = None,
    model_config: Mapping[str, Any] | None = None,
    **options: Unpack[LogOptions],
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
        registered_model_name=registered_model_name,
        signature=signature,
        input_example=input_example,
        loader_module=loader_module,
        data_path=data_path,
        code_paths=code_paths,
        conda_env=conda_env,
        artifacts=artifacts,
        model_config=model_config,
        infer_code_paths=infer_code_paths,
        **options,
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


def get_default_pip_requirements() -> list[str]:
    """Return the requirements that `save_model` writes unless told otherwise, such as ``xgboost==3.0.0``."""
    return list(flavors.Environment.of(["cloudpickle"]).requirements)


def get_default_conda_env() -> dict[str, Any]:
    """Return the conda environment that `save_model` writes unless told otherwise."""
    return dict(flavors.Environment.of(["cloudpickle"]).conda)


explain_missing(globals())
