"""ONNX models (``mlflow.onnx``), predicted by onnxruntime."""

from collections.abc import Mapping, Sequence
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

FLAVOR_NAME: Final = "onnx"


@takes(SaveFilesOptions, others="kwargs")
def save_model(
    onnx_model: Any,
    path: str | Path,
    conda_env: Any = None,
    code_paths: Sequence[str | Path] | None = None,
    *,
    onnx_execution_providers: Sequence[Any] | None = None,
    onnx_session_options: Mapping[str, Any] | None = None,
    save_as_external_data: bool = True,
    **options: Unpack[SaveFilesOptions],
) -> None:
    """Save an ONNX model to an absent or empty directory.

    Args:
        onnx_model: An ``onnx.ModelProto``.
        path: The directory.
        conda_env: A conda environment that replaces the default one: a dict, or the path of a YAML file.
        code_paths: Local Python files and directories that the model imports; they are stored with it.
        onnx_execution_providers: Providers of onnxruntime, the best first: names, or tuples of a name and options.
            Default: CUDA, then the CPU. Those that are not installed where the model is loaded are passed over, and
            options are used only with ``allow_code=True``.
        onnx_session_options: ``intra_op_num_threads``, ``inter_op_num_threads``, ``execution_mode`` (``sequential`` or
            ``parallel``) and ``graph_optimization_level``; ``extra_session_config`` is used only with
            ``allow_code=True``.
        save_as_external_data: Store large tensors in a file beside the model. Default: True.
        pip_requirements: Requirements that replace the default ones: a list, or the path of a requirements file.
        extra_pip_requirements: Requirements to add to the default ones.
        metadata: A mapping that is stored in the MLmodel file.
        signature: The signature of ``predict``, from `models.infer_signature`. Default: inferred from `input_example`,
            if given. False stores none.
        input_example: An example of the input, stored with the model.
        extra_files: Local files to store beside the model.
        **kwargs: Passed on to ``onnx.save_model``.

    Raises:
        PathExistsError: The directory is not empty.
        InvalidParameterError: The model is not an ``onnx.ModelProto``, or an argument is malformed.
        MissingDependencyError: onnx or onnxruntime is not installed.

    Example:
        >>> from skl2onnx import to_onnx
        >>> from sklearn.linear_model import LinearRegression
        >>> graph = to_onnx(LinearRegression().fit(X, y), X[:1].to_numpy())
        >>> mlflow.onnx.save_model(graph, "wins", input_example=X[:2])
        >>> mlflow.pyfunc.load_model("wins").metadata.get_input_schema().input_names()
        ['rest_days', 'rating_gap']
    """
    flavors.save_model(
        onnx_model,
        path,
        FLAVOR_NAME,
        onnx_execution_providers=onnx_execution_providers,
        onnx_session_options=onnx_session_options,
        save_as_external_data=save_as_external_data,
        conda_env=conda_env,
        code_paths=code_paths,
        **options,
    )


@takes(LogFilesOptions, others="kwargs")
def log_model(
    onnx_model: Any,
    artifact_path: str | None = None,
    conda_env: Any = None,
    code_paths: Sequence[str | Path] | None = None,
    registered_model_name: str | None = None,
    signature: ModelSignature | Literal[False] | None = None,
    input_example: Any = None,
    *,
    onnx_execution_providers: Sequence[Any] | None = None,
    onnx_session_options: Mapping[str, Any] | None = None,
    save_as_external_data: bool = True,
    **options: Unpack[LogFilesOptions],
) -> ModelInfo:
    """Log an ONNX model as a sealed model of the active run, if there is one; register it if a name is given.

    Args:
        onnx_model: An ``onnx.ModelProto``.
        artifact_path: The older word for `name`.
        conda_env: A conda environment that replaces the default one: a dict, or the path of a YAML file.
        code_paths: Local Python files and directories that the model imports; they are stored with it.
        registered_model_name: Register the model as the next version of this registered model. Default: only log it.
        signature: The signature of ``predict``, from `models.infer_signature`. Default: inferred from `input_example`,
            if given. False stores none.
        input_example: An example of the input, stored with the model.
        onnx_execution_providers: Providers of onnxruntime, the best first: names, or tuples of a name and options.
            Default: CUDA, then the CPU. Those that are not installed where the model is loaded are passed over, and
            options are used only with ``allow_code=True``.
        onnx_session_options: ``intra_op_num_threads``, ``inter_op_num_threads``, ``execution_mode`` (``sequential`` or
            ``parallel``) and ``graph_optimization_level``; ``extra_session_config`` is used only with
            ``allow_code=True``.
        save_as_external_data: Store large tensors in a file beside the model. Default: True.
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
        **kwargs: Passed on to ``onnx.save_model``.

    Returns:
        The model's information, with its URI.

    Raises:
        InvalidNameError: A name has characters that are not allowed.
        InvalidParameterError: The model is not an ``onnx.ModelProto``, or an argument is malformed.
        MissingDependencyError: onnx or onnxruntime is not installed.

    Example:
        >>> from skl2onnx import to_onnx
        >>> from sklearn.linear_model import LinearRegression
        >>> graph = to_onnx(LinearRegression().fit(X, y), X[:1].to_numpy())
        >>> with mlflow.start_run():
        ...     info = mlflow.onnx.log_model(
        ...         graph, name="wins", input_example=X[:2], registered_model_name="churn"
        ...     )
        >>> info.registered_model_version
        4
    """
    return models.log_model(
        FLAVOR_NAME,
        onnx_model,
        onnx_execution_providers=onnx_execution_providers,
        onnx_session_options=onnx_session_options,
        save_as_external_data=save_as_external_data,
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
    """Load an ONNX model.

    Args:
        model_uri: A ``models:``, ``runs:``, ``file:`` or ``s3:`` URI, or a local path.
        dst_path: A local directory to keep the files in. Default: the cache.
        allow_code: Accepted as by the other flavors. ONNX holds no code of Python.
        require_signature: A public key (a PEM file). Load only a model that this key signed.

    Returns:
        The ``onnx.ModelProto``. For predictions use `pyfunc.load_model`.

    Raises:
        NotFoundError: The URI leads to nothing, or the model has no onnx flavor.
        UntrustedModelError: The model is not signed with the required key.
        IntegrityError: A stored file differs from the manifest.
        MissingDependencyError: onnx or onnxruntime is not installed.

    Example:
        >>> from skl2onnx import to_onnx
        >>> from sklearn.linear_model import LinearRegression
        >>> graph = to_onnx(LinearRegression().fit(X, y), X[:1].to_numpy())
        >>> info = mlflow.onnx.log_model(graph, name="wins")
        >>> loaded = mlflow.onnx.load_model(info.model_uri)
        >>> loaded == graph
        True
        >>> mlflow.pyfunc.load_model(info.model_uri).predict(X.head(2)).shape
        (2, 1)
    """
    return models.load_native(
        FLAVOR_NAME, model_uri, dst_path=dst_path, allow_code=allow_code, require_signature=require_signature
    )


def get_default_pip_requirements() -> list[str]:
    """Return the requirements that `save_model` writes by default.

    Returns:
        Requirements such as ``onnx==1.17.0``, of the installed versions.

    Example:
        >>> [line.partition("==")[0] for line in mlflow.onnx.get_default_pip_requirements()]
        ['onnx', 'onnxruntime']
    """
    return list(flavors.Environment.of([FLAVOR_NAME, "onnxruntime"]).requirements)


def get_default_conda_env() -> dict[str, Any]:
    """Return the conda environment that `save_model` writes by default.

    Returns:
        A mapping with the keys ``name``, ``channels`` and ``dependencies``.

    Example:
        >>> environment = mlflow.onnx.get_default_conda_env()
        >>> environment["name"], environment["channels"]
        ('mlflow-env', ['conda-forge'])
    """
    return dict(flavors.Environment.of([FLAVOR_NAME, "onnxruntime"]).conda)


explain_missing(globals())
