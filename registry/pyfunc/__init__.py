"""Models as functions from data to predictions (``mlflow.pyfunc``), and models that are Python code."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, Unpack

from registry import flavors
from registry.entities.signature import ModelSignature
from registry.flavors import ModelInfo, PyFuncModel
from registry.fluent import models
from registry.fluent.model_options import LogOptions, SaveOptions, takes
from registry.monitoring.reference_option import seal_reference
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
    "spark_udf",
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
    """Save a model that is Python code to an absent or empty directory. Loading it needs consent.

    Args:
        path: The directory.
        loader_module: An importable module whose ``_load_pyfunc(path)`` loads the data. Give either this or
            `python_model`.
        data_path: The file or directory that `loader_module` loads.
        code_paths: Local Python files and directories that the model imports; they are stored with it.
        infer_code_paths: Also store the modules below the working directory that the model uses. Default: False.
        conda_env: A conda environment that replaces the default one: a dict, or the path of a YAML file.
        python_model: A `PythonModel` or a function, which is pickled with cloudpickle; or the path of a Python file
            that calls `models.set_model`.
        artifacts: Files for a `PythonModel`, as a mapping from name to a local path or a ``models:``, ``runs:``,
            ``s3:`` or ``file:`` URI, which is fetched and checked.
        model_config: Settings that the model can read, as a mapping.
        pip_requirements: Requirements that replace the default ones: a list, or the path of a requirements file.
        extra_pip_requirements: Requirements to add to the default ones.
        metadata: A mapping that is stored in the MLmodel file.
        signature: The signature of ``predict``, from `models.infer_signature`. Default: inferred from `input_example`,
            if given. False stores none.
        input_example: An example of the input, stored with the model.

    Raises:
        PathExistsError: The directory is not empty.
        InvalidParameterError: Both or neither of `python_model` and `loader_module` are given, or an argument is
            malformed.
        MissingDependencyError: cloudpickle is not installed.

    Example:
        >>> class FavouriteWins(mlflow.pyfunc.PythonModel):
        ...     def predict(self, context, model_input, params=None):
        ...         return (model_input["rating_gap"] > 0).astype(int)
        >>> mlflow.pyfunc.save_model("baseline", python_model=FavouriteWins())
        >>> mlflow.pyfunc.load_model("baseline", allow_code=True).predict(X[:4]).tolist()
        [1, 1, 0, 1]
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
    """Log Python code as a sealed model of the active run, if there is one; register it if a name is given.

    Args:
        artifact_path: The older word for `name`.
        loader_module: An importable module whose ``_load_pyfunc(path)`` loads the data. Give either this or
            `python_model`.
        data_path: The file or directory that `loader_module` loads.
        code_paths: Local Python files and directories that the model imports; they are stored with it.
        infer_code_paths: Also store the modules below the working directory that the model uses. Default: False.
        conda_env: A conda environment that replaces the default one: a dict, or the path of a YAML file.
        python_model: A `PythonModel` or a function, which is pickled with cloudpickle; or the path of a Python file
            that calls `models.set_model`.
        artifacts: Files for a `PythonModel`, as a mapping from name to a local path or a ``models:``, ``runs:``,
            ``s3:`` or ``file:`` URI, which is fetched and checked.
        registered_model_name: Register the model as the next version of this registered model. Default: only log it.
        signature: The signature of ``predict``, from `models.infer_signature`. Default: inferred from `input_example`,
            if given. False stores none.
        input_example: An example of the input, stored with the model.
        model_config: Settings that the model can read, as a mapping.
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

    Returns:
        The model's information, with its URI.

    Raises:
        InvalidNameError: A name has characters that are not allowed.
        InvalidParameterError: Both or neither of `python_model` and `loader_module` are given, or an argument is
            malformed.
        MissingDependencyError: cloudpickle is not installed.

    Example:
        >>> def favourite_wins(model_input):
        ...     return (model_input["rating_gap"] > 0).astype(int)
        >>> with mlflow.start_run():
        ...     info = mlflow.pyfunc.log_model(name="baseline", python_model=favourite_wins, input_example=X[:2])
        >>> mlflow.pyfunc.load_model(info.model_uri, allow_code=True).predict(X[:4]).tolist()
        [1, 1, 0, 1]
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
        **seal_reference(options),
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
    monitor: bool | float = False,
) -> PyFuncModel:
    """Load a model of any flavor as a function from data to predictions.

    Args:
        model_uri: A ``models:``, ``runs:``, ``file:`` or ``s3:`` URI, or a local path.
        suppress_warnings: Accepted for MLflow's scripts, without effect.
        dst_path: A local directory to keep the files in. Default: the cache.
        model_config: Settings that overwrite those that the model was saved with.
        allow_code: Consent to run code from the model's files (pickles, Python functions). Default:
            ``REGISTRY_ALLOW_CODE``, else False.
        require_signature: A public key (a PEM file). Load only a model that this key signed.
        skops_trusted_types: Names of types that a scikit-learn model may hold, besides those known to be safe.
        monitor: Record what is predicted, in the background, for `monitoring.check`: a share of the calls such as 0.1;
            True takes ``REGISTRY_MONITORING_SHARE``, else all. The URI must name a version, a stage or an alias.

    Returns:
        A model whose ``predict(data)`` checks the data against the signature.

    Raises:
        NotFoundError: The URI leads to nothing, or the model has no Python function.
        UntrustedModelError: The model is not signed with the required key.
        CodeExecutionRefusedError: Loading would run code of the model, without consent.
        IntegrityError: A stored file differs from the manifest.

    Example:
        >>> champion = mlflow.pyfunc.load_model("models:/churn@champion")
        >>> champion.predict(X[:4]).tolist()
        [0, 0, 0, 0]
    """
    del suppress_warnings
    options: dict[str, Any] = {
        "dst_path": dst_path,
        "allow_code": allow_code,
        "require_signature": require_signature,
        "model_config": model_config,
        "skops_trusted_types": skops_trusted_types,
    }
    if monitor is False:
        return models.load_function(model_uri, **options)
    from registry.monitoring.monitored_model import load_monitored

    return load_monitored(model_uri, monitor, **options)


def spark_udf(
    spark: Any,
    model_uri: str,
    result_type: Any = None,
    env_manager: str | None = None,
    params: Mapping[str, Any] | None = None,
    extra_env: Mapping[str, str] | None = None,
    prebuilt_env_uri: str | None = None,
    model_config: Mapping[str, Any] | str | Path | None = None,
    *,
    nthread: int | None = None,
    allow_code: bool | None = None,
    require_signature: str | Path | None = None,
    skops_trusted_types: Iterable[str] | None = None,
) -> Callable[..., Any]:
    """Make a function of Spark columns that predicts with the model that a URI stands for now.

    The URI is resolved once, on the driver; executors open no database (see `scoring.Predictor`). Called with columns,
    the function passes them in the order of the signature, or named ``0``, ``1`` … without one; called with one
    ``struct``, under the names of its fields; called without columns, it takes those that the signature names.

    Args:
        spark: The SparkSession.
        model_uri: A ``models:`` or ``runs:`` URI, a local path or an S3 location that all executors reach.
        result_type: The type of the result, of Spark or as text: a primitive (``double``: the leftmost number of each
            prediction), an array (all that fit), or a struct (columns by name). Default: that of the signature's
            output, which is an array if the model returned an array when the signature was inferred; else ``double``.
        env_manager: ``local`` or None; environments are not restored.
        params: Params of ``predict`` that the signature names.
        extra_env: Variables of the environment to set in executors while they score.
        prebuilt_env_uri: Accepted as None alone.
        model_config: Settings that overwrite those that the model was saved with, as a mapping or a YAML file.
        nthread: Threads of each executor's process. Default: ``spark.task.cpus``.
        allow_code: Consent to run code from the model's files. Default: ``REGISTRY_ALLOW_CODE`` on the driver.
        require_signature: A public key (a PEM file). Refuse a model that this key did not sign.
        skops_trusted_types: Names of types that a scikit-learn model may hold, besides those known to be safe.

    Returns:
        A function from columns to a column. Its attribute ``metadata`` is the content of the MLmodel file.

    Raises:
        NotFoundError: The URI leads to nothing.
        InvalidParameterError: Predictions cannot have the result type.
        NotSupportedError: An environment is asked for.
        MissingDependencyError: pyspark is not installed.

    Example:
        >>> def score(spark, games):
        ...     predict = mlflow.pyfunc.spark_udf(spark, "models:/churn/Production", result_type="double")
        ...     return games.withColumn("prediction", predict("rest_days", "rating_gap"))
    """
    from registry.scoring.spark import spark_udf as make_spark_udf

    return make_spark_udf(
        spark,
        model_uri,
        result_type,
        env_manager,
        params,
        extra_env,
        prebuilt_env_uri,
        model_config,
        nthread=nthread,
        allow_code=allow_code,
        require_signature=require_signature,
        skops_trusted_types=skops_trusted_types,
    )


def get_default_pip_requirements() -> list[str]:
    """Return the requirements that `save_model` writes by default.

    Returns:
        Requirements such as ``cloudpickle==3.1.0``, of the installed versions.

    Example:
        >>> [line.split("==")[0] for line in mlflow.pyfunc.get_default_pip_requirements()]
        ['cloudpickle']
    """
    return list(flavors.Environment.of(["cloudpickle"]).requirements)


def get_default_conda_env() -> dict[str, Any]:
    """Return the conda environment that `save_model` writes by default.

    Returns:
        A mapping with the keys ``name``, ``channels`` and ``dependencies``.

    Example:
        >>> environment = mlflow.pyfunc.get_default_conda_env()
        >>> environment["name"], environment["channels"]
        ('mlflow-env', ['conda-forge'])
    """
    return dict(flavors.Environment.of(["cloudpickle"]).conda)


explain_missing(globals())
