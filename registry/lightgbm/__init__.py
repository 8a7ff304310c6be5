"""LightGBM models (``mlflow.lightgbm``): Boosters and the scikit-learn wrappers, stored as LightGBM's text."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, Unpack

from registry import flavors
from registry.autologging import integrations
from registry.autologging.options import Options
from registry.entities.signature import ModelSignature
from registry.flavors import ModelInfo
from registry.fluent import models
from registry.fluent.model_options import LogFilesOptions, SaveFilesOptions, takes
from registry.monitoring.reference_option import seal_reference
from registry.unsupported import explain_missing

__all__ = [
    "FLAVOR_NAME",
    "autolog",
    "get_default_conda_env",
    "get_default_pip_requirements",
    "load_model",
    "log_model",
    "save_model",
]

FLAVOR_NAME: Final = "lightgbm"


@takes(SaveFilesOptions, others="kwargs")
def save_model(
    lgb_model: Any,
    path: str | Path,
    conda_env: Any = None,
    code_paths: Sequence[str | Path] | None = None,
    *,
    serialization_format: str | None = None,
    **options: Unpack[SaveFilesOptions],
) -> None:
    """Save a Booster or wrapper to an absent or empty directory.

    Args:
        lgb_model: A trained ``lightgbm.Booster`` or scikit-learn wrapper such as ``LGBMClassifier``.
        path: The directory.
        conda_env: A conda environment that replaces the default one: a dict, or the path of a YAML file.
        code_paths: Local Python files and directories that the model imports; they are stored with it.
        serialization_format: Accepted for MLflow's scripts. Models are always stored as LightGBM's text.
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
        InvalidParameterError: The model is not a trained LightGBM model, or an argument is malformed.
        MissingDependencyError: lightgbm is not installed.

    Example:
        >>> import lightgbm
        >>> booster = lightgbm.LGBMClassifier(n_estimators=3, verbose=-1).fit(X, y)
        >>> mlflow.lightgbm.save_model(booster, "wins", input_example=X[:2])
        >>> mlflow.pyfunc.load_model("wins").metadata.get_input_schema().input_names()
        ['rest_days', 'rating_gap']
    """
    del serialization_format
    flavors.save_model(
        lgb_model,
        path,
        FLAVOR_NAME,
        conda_env=conda_env,
        code_paths=code_paths,
        **options,
    )


@takes(LogFilesOptions, others="kwargs")
def log_model(
    lgb_model: Any,
    artifact_path: str | None = None,
    conda_env: Any = None,
    code_paths: Sequence[str | Path] | None = None,
    registered_model_name: str | None = None,
    signature: ModelSignature | Literal[False] | None = None,
    input_example: Any = None,
    *,
    serialization_format: str | None = None,
    **options: Unpack[LogFilesOptions],
) -> ModelInfo:
    """Log a Booster or wrapper as a sealed model of the active run, if there is one; register it if a name is given.

    Args:
        lgb_model: A trained ``lightgbm.Booster`` or scikit-learn wrapper such as ``LGBMClassifier``.
        artifact_path: The older word for `name`.
        conda_env: A conda environment that replaces the default one: a dict, or the path of a YAML file.
        code_paths: Local Python files and directories that the model imports; they are stored with it.
        registered_model_name: Register the model as the next version of this registered model. Default: only log it.
        signature: The signature of ``predict``, from `models.infer_signature`. Default: inferred from `input_example`,
            if given. False stores none.
        input_example: An example of the input, stored with the model.
        serialization_format: Accepted for MLflow's scripts. Models are always stored as LightGBM's text.
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
        InvalidParameterError: The model is not a trained LightGBM model, or an argument is malformed.
        MissingDependencyError: lightgbm is not installed.

    Example:
        >>> import lightgbm
        >>> booster = lightgbm.LGBMClassifier(n_estimators=3, verbose=-1).fit(X, y)
        >>> with mlflow.start_run():
        ...     info = mlflow.lightgbm.log_model(
        ...         booster, name="wins", input_example=X[:2], registered_model_name="churn"
        ...     )
        >>> info.registered_model_version
        4
    """
    del serialization_format
    return models.log_model(
        FLAVOR_NAME,
        lgb_model,
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
    """Load a Booster or wrapper.

    Args:
        model_uri: A ``models:``, ``runs:``, ``file:`` or ``s3:`` URI, or a local path.
        dst_path: A local directory to keep the files in. Default: the cache.
        allow_code: Accepted as by the other flavors. LightGBM's format runs no code of the model.
        require_signature: A public key (a PEM file). Load only a model that this key signed.

    Returns:
        An object of the class that was logged.

    Raises:
        NotFoundError: The URI leads to nothing, or the model has no lightgbm flavor.
        UntrustedModelError: The model is not signed with the required key.
        IntegrityError: A stored file differs from the manifest.
        MissingDependencyError: lightgbm is not installed.

    Example:
        >>> import lightgbm
        >>> booster = lightgbm.LGBMClassifier(n_estimators=3, verbose=-1).fit(X, y)
        >>> info = mlflow.lightgbm.log_model(booster, name="wins")
        >>> loaded = mlflow.lightgbm.load_model(info.model_uri)
        >>> type(loaded).__name__, (loaded.predict(X) == booster.predict(X)).all()
        ('LGBMClassifier', np.True_)
    """
    return models.load_native(
        FLAVOR_NAME, model_uri, dst_path=dst_path, allow_code=allow_code, require_signature=require_signature
    )


def get_default_pip_requirements() -> list[str]:
    """Return the requirements that `save_model` writes by default.

    Returns:
        Requirements such as ``lightgbm==3.0.0``, of the installed versions.

    Example:
        >>> import lightgbm
        >>> mlflow.lightgbm.get_default_pip_requirements() == [f"lightgbm=={lightgbm.__version__}"]
        True
    """
    return list(flavors.Environment.of([FLAVOR_NAME]).requirements)


def get_default_conda_env() -> dict[str, Any]:
    """Return the conda environment that `save_model` writes by default.

    Returns:
        A mapping with the keys ``name``, ``channels`` and ``dependencies``.

    Example:
        >>> environment = mlflow.lightgbm.get_default_conda_env()
        >>> environment["name"], environment["channels"]
        ('mlflow-env', ['conda-forge'])
    """
    return dict(flavors.Environment.of([FLAVOR_NAME]).conda)


def autolog(
    log_input_examples: bool = False,
    log_model_signatures: bool = True,
    log_models: bool = True,
    log_datasets: bool = True,
    disable: bool = False,
    exclusive: bool = False,
    disable_for_unsupported_versions: bool = False,
    silent: bool = False,
    registered_model_name: str | None = None,
    extra_tags: Mapping[str, str] | None = None,
    *,
    log_reference: bool = False,
) -> None:
    """Log what ``lightgbm.train`` and the scikit-learn wrappers do from now on.

    Logged are params, the metrics of each round, the best iteration, importances as JSON and as charts, the identity
    of the data, and the model. It may be called before lightgbm is imported.

    Args:
        log_input_examples: Store the first five rows of the training data with the model. Default: False.
        log_model_signatures: Store the model's signature. Default: True.
        log_models: Log the trained model. Default: True.
        log_datasets: Record the identity of the training and evaluation data. Default: True.
        disable: Switch autologging off and put the original functions back. Default: False.
        exclusive: Log only to runs that autologging makes itself. Default: False.
        disable_for_unsupported_versions: Stay off with a version of lightgbm that is older than those tested. Default:
            False.
        silent: Show no messages of autologging. Default: False.
        registered_model_name: Register each model as the next version of this registered model.
        extra_tags: Tags of the runs that autologging makes, as a mapping from key to value.
        log_reference: Seal a profile of the training data with the model, for `monitoring.check`: inputs, targets and
            predictions, with a sample of the rows. Default: False.

    Raises:
        MissingDependencyError: wrapt is not installed.

    Example:
        >>> import lightgbm
        >>> mlflow.lightgbm.autolog(silent=True)
        >>> train = lightgbm.Dataset(X, label=y)
        >>> booster = lightgbm.train({"num_leaves": 3, "verbose": -1}, train, num_boost_round=5)
        >>> mlflow.last_active_run().data.params["num_leaves"]
        '3'
        >>> mlflow.lightgbm.autolog(disable=True)
    """
    if disable:
        integrations.disable_by_name(FLAVOR_NAME)
        return
    integrations.enable(
        FLAVOR_NAME,
        Options(
            log_input_examples=log_input_examples,
            log_model_signatures=log_model_signatures,
            log_models=log_models,
            log_datasets=log_datasets,
            log_reference=log_reference,
            exclusive=exclusive,
            disable_for_unsupported_versions=disable_for_unsupported_versions,
            silent=silent,
            registered_model_name=registered_model_name,
            extra_tags=extra_tags,
        ),
    )


explain_missing(globals())
