"""Prophet models (``mlflow.prophet``): fitted forecasters, stored as the JSON of ``prophet.serialize``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal, Unpack

from registry import flavors
from registry.entities.signature import ModelSignature
from registry.flavors import ModelInfo
from registry.fluent import models
from registry.fluent.model_options import LogFilesOptions, SaveFilesOptions, takes
from registry.monitoring.reference_option import seal_reference
from registry.unsupported import explain_missing

__all__ = [
    "FLAVOR_NAME",
    "get_default_conda_env",
    "get_default_pip_requirements",
    "load_model",
    "log_model",
    "save_model",
]

FLAVOR_NAME: Final = "prophet"


@takes(SaveFilesOptions)
def save_model(
    pr_model: Any,
    path: str | Path,
    conda_env: Any = None,
    code_paths: Sequence[str | Path] | None = None,
    **options: Unpack[SaveFilesOptions],
) -> None:
    """Save a Prophet model to an absent or empty directory.

    Args:
        pr_model: A fitted ``Prophet`` object.
        path: The directory.
        conda_env: A conda environment that replaces the default one: a dict, or the path of a YAML file.
        code_paths: Local Python files and directories that the model imports; they are stored with it.
        pip_requirements: Requirements that replace the default ones: a list, or the path of a requirements file.
        extra_pip_requirements: Requirements to add to the default ones.
        metadata: A mapping that is stored in the MLmodel file.
        signature: The signature of ``predict``, from `models.infer_signature`. Default: inferred from `input_example`,
            if given. False stores none.
        input_example: An example of the input, stored with the model.
        extra_files: Local files to store beside the model.

    Raises:
        PathExistsError: The directory is not empty.
        InvalidParameterError: The model is not a fitted ``Prophet``, or an argument is malformed.
        MissingDependencyError: prophet is not installed.

    Example:
        >>> from prophet import Prophet
        >>> days = pd.DataFrame({"ds": pd.date_range("2026-01-01", periods=40), "y": X["rating_gap"]})
        >>> forecaster = Prophet(uncertainty_samples=0).fit(days)
        >>> mlflow.prophet.save_model(forecaster, "gaps")
        >>> mlflow.pyfunc.load_model("gaps").predict(days[["ds"]])["yhat"].shape
        (40,)
    """
    flavors.save_model(
        pr_model,
        path,
        FLAVOR_NAME,
        conda_env=conda_env,
        code_paths=code_paths,
        **options,
    )


@takes(LogFilesOptions)
def log_model(
    pr_model: Any,
    artifact_path: str | None = None,
    conda_env: Any = None,
    code_paths: Sequence[str | Path] | None = None,
    registered_model_name: str | None = None,
    signature: ModelSignature | Literal[False] | None = None,
    input_example: Any = None,
    **options: Unpack[LogFilesOptions],
) -> ModelInfo:
    """Log a Prophet model as a sealed model of the active run, if there is one; register it if a name is given.

    Args:
        pr_model: A fitted ``Prophet`` object.
        artifact_path: The older word for `name`.
        conda_env: A conda environment that replaces the default one: a dict, or the path of a YAML file.
        code_paths: Local Python files and directories that the model imports; they are stored with it.
        registered_model_name: Register the model as the next version of this registered model. Default: only log it.
        signature: The signature of ``predict``, from `models.infer_signature`. Default: inferred from `input_example`,
            if given. False stores none.
        input_example: An example of the input, stored with the model.
        pip_requirements: Requirements that replace the default ones: a list, or the path of a requirements file.
        extra_pip_requirements: Requirements to add to the default ones.
        metadata: A mapping that is stored in the MLmodel file.
        await_registration_for: Accepted for MLflow's scripts. A version is READY when the call returns.
        name: The model's name in the run. Default: ``model``.
        params: Params of the logged model as a mapping from key to value.
        tags: Tags of the logged model as a mapping from key to value.
        model_type: A free text such as ``classifier``.
        step: The step of the run's metrics that describe this model. Default: 0.
        reference: What the model was trained on, for `monitoring.check`: a DataFrame, or a profile of
            `monitoring.make_profile`, which can have predictions and targets. It is sealed with the model.
        model_id: A PENDING logged model of `initialize_logged_model` that gets these files.
        extra_files: Local files to store beside the model.

    Returns:
        The model's information, with its URI.

    Raises:
        InvalidNameError: A name has characters that are not allowed.
        InvalidParameterError: The model is not a fitted ``Prophet``, or an argument is malformed.
        MissingDependencyError: prophet is not installed.

    Example:
        >>> from prophet import Prophet
        >>> days = pd.DataFrame({"ds": pd.date_range("2026-01-01", periods=40), "y": X["rating_gap"]})
        >>> forecaster = Prophet(uncertainty_samples=0).fit(days)
        >>> with mlflow.start_run():
        ...     info = mlflow.prophet.log_model(forecaster, name="gaps", registered_model_name="gaps")
        >>> info.registered_model_version
        1
    """
    return models.log_model(
        FLAVOR_NAME,
        pr_model,
        artifact_path=artifact_path,
        registered_model_name=registered_model_name,
        conda_env=conda_env,
        code_paths=code_paths,
        signature=signature,
        input_example=input_example,
        **seal_reference(options),
    )


def load_model(
    model_uri: str,
    dst_path: str | None = None,
    *,
    allow_code: bool | None = None,
    require_signature: str | Path | None = None,
) -> Any:
    """Load a Prophet model.

    Args:
        model_uri: A ``models:``, ``runs:``, ``file:`` or ``s3:`` URI, or a local path.
        dst_path: A local directory to keep the files in. Default: the cache.
        allow_code: Accepted as by the other flavors. Prophet's JSON holds no code.
        require_signature: A public key (a PEM file). Load only a model that this key signed.

    Returns:
        The ``Prophet`` object. It predicts, and cannot be fitted again.

    Raises:
        NotFoundError: The URI leads to nothing, or the model has no prophet flavor.
        UntrustedModelError: The model is not signed with the required key.
        IntegrityError: A stored file differs from the manifest.
        MissingDependencyError: prophet is not installed.

    Example:
        >>> from prophet import Prophet
        >>> days = pd.DataFrame({"ds": pd.date_range("2026-01-01", periods=40), "y": X["rating_gap"]})
        >>> forecaster = Prophet(uncertainty_samples=0).fit(days)
        >>> info = mlflow.prophet.log_model(forecaster, name="gaps")
        >>> loaded = mlflow.prophet.load_model(info.model_uri)
        >>> loaded.predict(days)["yhat"].equals(forecaster.predict(days)["yhat"])
        True
    """
    return models.load_native(
        FLAVOR_NAME, model_uri, dst_path=dst_path, allow_code=allow_code, require_signature=require_signature
    )


def get_default_pip_requirements() -> list[str]:
    """Return the requirements that `save_model` writes by default.

    Returns:
        Requirements such as ``prophet==1.1.7``, of the installed versions.

    Example:
        >>> [line.partition("==")[0] for line in mlflow.prophet.get_default_pip_requirements()]
        ['prophet']
    """
    return list(flavors.Environment.of([FLAVOR_NAME]).requirements)


def get_default_conda_env() -> dict[str, Any]:
    """Return the conda environment that `save_model` writes by default.

    Returns:
        A mapping with the keys ``name``, ``channels`` and ``dependencies``.

    Example:
        >>> environment = mlflow.prophet.get_default_conda_env()
        >>> environment["name"], environment["channels"]
        ('mlflow-env', ['conda-forge'])
    """
    return dict(flavors.Environment.of([FLAVOR_NAME]).conda)


explain_missing(globals())
