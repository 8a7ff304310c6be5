"""scikit-learn models (``mlflow.sklearn``), stored with skops; pickles only if asked for, and loaded with consent."""

from collections.abc import Iterable, Sequence
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
    "SERIALIZATION_FORMAT_CLOUDPICKLE",
    "SERIALIZATION_FORMAT_PICKLE",
    "SERIALIZATION_FORMAT_SKOPS",
    "SUPPORTED_SERIALIZATION_FORMATS",
    "get_default_conda_env",
    "get_default_pip_requirements",
    "load_model",
    "log_model",
    "save_model",
]

FLAVOR_NAME: Final = "sklearn"
SERIALIZATION_FORMAT_CLOUDPICKLE: Final = "cloudpickle"
SERIALIZATION_FORMAT_PICKLE: Final = "pickle"
SERIALIZATION_FORMAT_SKOPS: Final = "skops"
SUPPORTED_SERIALIZATION_FORMATS: Final = [
    SERIALIZATION_FORMAT_SKOPS,
    SERIALIZATION_FORMAT_PICKLE,
    SERIALIZATION_FORMAT_CLOUDPICKLE,
]


@takes(SaveFilesOptions)
def save_model(
    sk_model: Any,
    path: str | Path,
    conda_env: Any = None,
    code_paths: Sequence[str | Path] | None = None,
    *,
    serialization_format: str | None = None,
    pyfunc_predict_fn: str = "predict",
    skops_trusted_types: Iterable[str] | None = None,
    **options: Unpack[SaveFilesOptions],
) -> None:
    """Write an estimator into an absent or empty directory.

    `serialization_format` is ``skops`` unless ``cloudpickle`` or ``pickle`` is asked for. `skops_trusted_types` names
    types beyond those known to be safe. Without a signature, one is inferred from `input_example`.

    Raises:
        PathExistsError: the directory is not empty.
        InvalidParameterError: skops cannot hold the model, or an argument is malformed.
        MissingDependencyError: scikit-learn, skops or cloudpickle is not installed.
    """
    flavors.save_model(
        sk_model,
        path,
        FLAVOR_NAME,
        conda_env=conda_env,
        code_paths=code_paths,
        serialization_format=serialization_format,
        pyfunc_predict_fn=pyfunc_predict_fn,
        skops_trusted_types=skops_trusted_types,
        **options,
    )


@takes(LogFilesOptions)
def log_model(
    sk_model: Any,
    artifact_path: str | None = None,
    conda_env: Any = None,
    code_paths: Sequence[str | Path] | None = None,
    serialization_format: str | None = None,
    registered_model_name: str | None = None,
    signature: ModelSignature | Literal[False] | None = None,
    input_example: Any = None,
    *,
    pyfunc_predict_fn: str = "predict",
    skops_trusted_types: Iterable[str] | None = None,
    **options: Unpack[LogFilesOptions],
) -> ModelInfo:
    """Seal an estimator as a logged model of the active run, if there is one, and register it if asked to.

    `name` (or `artifact_path`, its older word) is the model's name in the run; the other arguments are `save_model`'s.
    `model_id` is a logged model of `initialize_logged_model` that this one becomes.

    Raises:
        InvalidNameError: the name cannot be used.
        InvalidParameterError: skops cannot hold the model, or an argument is malformed.
        MissingDependencyError: scikit-learn, skops or cloudpickle is not installed.
    """
    return models.log_model(
        FLAVOR_NAME,
        sk_model,
        artifact_path=artifact_path,
        registered_model_name=registered_model_name,
        conda_env=conda_env,
        code_paths=code_paths,
        serialization_format=serialization_format,
        signature=signature,
        input_example=input_example,
        pyfunc_predict_fn=pyfunc_predict_fn,
        skops_trusted_types=skops_trusted_types,
        **options,
    )


def load_model(
    model_uri: str,
    dst_path: str | None = None,
    *,
    allow_code: bool | None = None,
    require_signature: str | Path | None = None,
    skops_trusted_types: Iterable[str] | None = None,
) -> Any:
    """The estimator of a URI.

    `allow_code` is the caller's consent to run code from the model's files, which a pickle needs; by default
    ``REGISTRY_ALLOW_CODE`` says. `skops_trusted_types` lets a skops file hold just these types more.
    With `require_signature`, a public key (a PEM file), only a model that this key signed is loaded.

    Raises:
        NotFoundError: nothing is at the URI, or it has no sklearn flavor.
        UntrustedModelError: it lacks the signature that is required.
        CodeExecutionRefusedError: it is a pickle, or has types that nobody trusts, and there is no consent.
        IntegrityError: a stored file is not what was sealed.
        MissingDependencyError: scikit-learn or skops is not installed.
    """
    return models.load_native(
        FLAVOR_NAME,
        model_uri,
        dst_path=dst_path,
        allow_code=allow_code,
        require_signature=require_signature,
        skops_trusted_types=skops_trusted_types,
    )


def get_default_pip_requirements(include_cloudpickle: bool = False, include_skops: bool = False) -> list[str]:
    """Return the requirements of an estimator, such as ``scikit-learn==1.7.0``, with those of the formats asked for."""
    return list(_environment(include_cloudpickle, include_skops).requirements)


def get_default_conda_env(include_cloudpickle: bool = False, include_skops: bool = False) -> dict[str, Any]:
    """Return the conda environment of an estimator, with the packages of the formats asked for."""
    return dict(_environment(include_cloudpickle, include_skops).conda)


def _environment(include_cloudpickle: bool, include_skops: bool) -> flavors.Environment:
    formats = {"cloudpickle": include_cloudpickle, "skops": include_skops}
    return flavors.Environment.of(["scikit-learn", *(name for name, included in formats.items() if included)])


explain_missing(globals())
