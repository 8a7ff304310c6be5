"""CatBoost models (``mlflow.catboost``): ``CatBoost`` and its scikit-learn classes, stored in CatBoost's own format."""

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

FLAVOR_NAME: Final = "catboost"


@takes(SaveFilesOptions, others="kwargs")
def save_model(
    cb_model: Any,
    path: str | Path,
    conda_env: Any = None,
    code_paths: Sequence[str | Path] | None = None,
    *,
    format: str = "cbm",
    **options: Unpack[SaveFilesOptions],
) -> None:
    """Save a CatBoost model to an absent or empty directory.

    Args:
        cb_model: A trained ``CatBoost`` object, or one of its classes such as ``CatBoostClassifier``.
        path: The directory.
        conda_env: A conda environment that replaces the default one: a dict, or the path of a YAML file.
        code_paths: Local Python files and directories that the model imports; they are stored with it.
        format: CatBoost's own format: ``cbm`` or ``json``. Default: ``cbm``.
        pip_requirements: Requirements that replace the default ones: a list, or the path of a requirements file.
        extra_pip_requirements: Requirements to add to the default ones.
        metadata: A mapping that is stored in the MLmodel file.
        signature: The signature of ``predict``, from `models.infer_signature`. Default: inferred from `input_example`,
            if given. False stores none.
        input_example: An example of the input, stored with the model.
        extra_files: Local files to store beside the model.
        **kwargs: Passed on to the model's own ``save_model``.

    Raises:
        PathExistsError: The directory is not empty.
        InvalidParameterError: The model is not a trained CatBoost model, or an argument is malformed.
        MissingDependencyError: catboost is not installed.

    Example:
        >>> import catboost
        >>> trees = catboost.CatBoostClassifier(iterations=3, verbose=False, allow_writing_files=False).fit(X, y)
        >>> mlflow.catboost.save_model(trees, "wins", input_example=X[:2])
        >>> mlflow.pyfunc.load_model("wins").metadata.get_input_schema().input_names()
        ['rest_days', 'rating_gap']
    """
    flavors.save_model(
        cb_model,
        path,
        FLAVOR_NAME,
        format=format,
        conda_env=conda_env,
        code_paths=code_paths,
        **options,
    )


@takes(LogFilesOptions, others="kwargs")
def log_model(
    cb_model: Any,
    artifact_path: str | None = None,
    conda_env: Any = None,
    code_paths: Sequence[str | Path] | None = None,
    registered_model_name: str | None = None,
    signature: ModelSignature | Literal[False] | None = None,
    input_example: Any = None,
    *,
    format: str = "cbm",
    **options: Unpack[LogFilesOptions],
) -> ModelInfo:
    """Log a CatBoost model as a sealed model of the active run, if there is one; register it if a name is given.

    Args:
        cb_model: A trained ``CatBoost`` object, or one of its classes such as ``CatBoostClassifier``.
        artifact_path: The older word for `name`.
        conda_env: A conda environment that replaces the default one: a dict, or the path of a YAML file.
        code_paths: Local Python files and directories that the model imports; they are stored with it.
        registered_model_name: Register the model as the next version of this registered model. Default: only log it.
        signature: The signature of ``predict``, from `models.infer_signature`. Default: inferred from `input_example`,
            if given. False stores none.
        input_example: An example of the input, stored with the model.
        format: CatBoost's own format: ``cbm`` or ``json``. Default: ``cbm``.
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
        **kwargs: Passed on to the model's own ``save_model``.

    Returns:
        The model's information, with its URI.

    Raises:
        InvalidNameError: A name has characters that are not allowed.
        InvalidParameterError: The model is not a trained CatBoost model, or an argument is malformed.
        MissingDependencyError: catboost is not installed.

    Example:
        >>> import catboost
        >>> trees = catboost.CatBoostClassifier(iterations=3, verbose=False, allow_writing_files=False).fit(X, y)
        >>> with mlflow.start_run():
        ...     info = mlflow.catboost.log_model(
        ...         trees, name="wins", input_example=X[:2], registered_model_name="churn"
        ...     )
        >>> info.registered_model_version
        4
    """
    return models.log_model(
        FLAVOR_NAME,
        cb_model,
        format=format,
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
    """Load a CatBoost model.

    Args:
        model_uri: A ``models:``, ``runs:``, ``file:`` or ``s3:`` URI, or a local path.
        dst_path: A local directory to keep the files in. Default: the cache.
        allow_code: Accepted as by the other flavors. CatBoost's format runs no code of the model.
        require_signature: A public key (a PEM file). Load only a model that this key signed.

    Returns:
        An object of the class that was logged.

    Raises:
        NotFoundError: The URI leads to nothing, or the model has no catboost flavor.
        UntrustedModelError: The model is not signed with the required key.
        IntegrityError: A stored file differs from the manifest.
        MissingDependencyError: catboost is not installed.

    Example:
        >>> import catboost
        >>> trees = catboost.CatBoostClassifier(iterations=3, verbose=False, allow_writing_files=False).fit(X, y)
        >>> info = mlflow.catboost.log_model(trees, name="wins")
        >>> loaded = mlflow.catboost.load_model(info.model_uri)
        >>> type(loaded).__name__, (loaded.predict(X) == trees.predict(X)).all()
        ('CatBoostClassifier', np.True_)
    """
    return models.load_native(
        FLAVOR_NAME, model_uri, dst_path=dst_path, allow_code=allow_code, require_signature=require_signature
    )


def get_default_pip_requirements() -> list[str]:
    """Return the requirements that `save_model` writes by default.

    Returns:
        Requirements such as ``catboost==1.2.10``, of the installed versions.

    Example:
        >>> import catboost
        >>> mlflow.catboost.get_default_pip_requirements() == [f"catboost=={catboost.__version__}"]
        True
    """
    return list(flavors.Environment.of([FLAVOR_NAME]).requirements)


def get_default_conda_env() -> dict[str, Any]:
    """Return the conda environment that `save_model` writes by default.

    Returns:
        A mapping with the keys ``name``, ``channels`` and ``dependencies``.

    Example:
        >>> environment = mlflow.catboost.get_default_conda_env()
        >>> environment["name"], environment["channels"]
        ('mlflow-env', ['conda-forge'])
    """
    return dict(flavors.Environment.of([FLAVOR_NAME]).conda)


explain_missing(globals())
