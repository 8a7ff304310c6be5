"""PyTorch models (``mlflow.pytorch``): a program of ``torch.export``, or a module as its weights or as a pickle."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, Unpack

from registry import flavors
from registry.entities.signature import ModelSignature
from registry.flavors import ModelInfo
from registry.flavors.pytorch import as_array, as_module, exported
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

FLAVOR_NAME: Final = "pytorch"


@takes(SaveFilesOptions, others="kwargs")
def save_model(
    pytorch_model: Any,
    path: str | Path,
    conda_env: Any = None,
    *,
    code_paths: Sequence[str | Path] | None = None,
    serialization_format: str = "pt2",
    factory: Callable[..., Any] | None = None,
    factory_arguments: Mapping[str, Any] | None = None,
    **options: Unpack[SaveFilesOptions],
) -> None:
    """Save a PyTorch model to an absent or empty directory.

    Args:
        pytorch_model: A ``torch.nn.Module``; or a ``torch.export.ExportedProgram``, for ``pt2`` alone.
        path: The directory.
        conda_env: A conda environment that replaces the default one: a dict, or the path of a YAML file.
        code_paths: Local Python files and directories that the model imports; they are stored with it.
        serialization_format: ``pt2`` (the default), ``safetensors`` (the weights alone) or ``pickle``.
        factory: For safetensors: the class or function that builds the module again. Default: the module's class.
        factory_arguments: The keyword arguments of `factory`, of JSON. Default: none.
        pip_requirements: Requirements that replace the default ones: a list, or the path of a requirements file.
        extra_pip_requirements: Requirements to add to the default ones.
        metadata: A mapping that is stored in the MLmodel file.
        signature: The signature of ``predict``, from `models.infer_signature`. Default: inferred from `input_example`,
            if given. False stores none.
        input_example: An example of the input, stored with the model: a DataFrame, an array or a tensor. ``pt2`` needs
            it to export a module; the program is then for any number of rows, if the module is.
        extra_files: Local files to store beside the model.
        **kwargs: Passed on to ``torch.export.save`` or ``torch.save``; safetensors has no further options.

    Raises:
        PathExistsError: The directory is not empty.
        InvalidParameterError: The model is not of the kind that the format holds, or an argument is malformed.
        MissingDependencyError: torch is not installed.

    Example:
        >>> import torch
        >>> net = torch.nn.Linear(2, 1)
        >>> mlflow.pytorch.save_model(net, "wins", input_example=X[:2])
        >>> mlflow.pyfunc.load_model("wins", allow_code=True).predict(X).shape
        (40, 1)
    """
    options["input_example"] = as_array(options.get("input_example"))
    if serialization_format == "pt2":
        pytorch_model = exported(pytorch_model, options["input_example"])
    flavors.save_model(
        pytorch_model,
        path,
        FLAVOR_NAME,
        serialization_format=serialization_format,
        factory=factory,
        factory_arguments=factory_arguments,
        conda_env=conda_env,
        code_paths=code_paths,
        **options,
    )


@takes(LogFilesOptions, others="kwargs")
def log_model(
    pytorch_model: Any,
    artifact_path: str | None = None,
    conda_env: Any = None,
    code_paths: Sequence[str | Path] | None = None,
    *,
    registered_model_name: str | None = None,
    signature: ModelSignature | Literal[False] | None = None,
    input_example: Any = None,
    serialization_format: str = "pt2",
    factory: Callable[..., Any] | None = None,
    factory_arguments: Mapping[str, Any] | None = None,
    **options: Unpack[LogFilesOptions],
) -> ModelInfo:
    """Log a PyTorch model as a sealed model of the active run, if there is one; register it if a name is given.

    Args:
        pytorch_model: A ``torch.nn.Module``; or a ``torch.export.ExportedProgram``, for ``pt2`` alone.
        artifact_path: The older word for `name`.
        conda_env: A conda environment that replaces the default one: a dict, or the path of a YAML file.
        code_paths: Local Python files and directories that the model imports; they are stored with it.
        registered_model_name: Register the model as the next version of this registered model. Default: only log it.
        signature: The signature of ``predict``, from `models.infer_signature`. Default: inferred from `input_example`,
            if given. False stores none.
        input_example: An example of the input, stored with the model: a DataFrame, an array or a tensor. ``pt2`` needs
            it to export a module; the program is then for any number of rows, if the module is.
        serialization_format: ``pt2`` (the default), ``safetensors`` (the weights alone) or ``pickle``.
        factory: For safetensors: the class or function that builds the module again. Default: the module's class.
        factory_arguments: The keyword arguments of `factory`, of JSON. Default: none.
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
        **kwargs: Passed on to ``torch.export.save`` or ``torch.save``; safetensors has no further options.

    Returns:
        The model's information, with its URI.

    Raises:
        InvalidNameError: A name has characters that are not allowed.
        InvalidParameterError: The model is not of the kind that the format holds, or an argument is malformed.
        MissingDependencyError: torch is not installed.

    Example:
        >>> import torch
        >>> net = torch.nn.Linear(2, 1)
        >>> with mlflow.start_run():
        ...     info = mlflow.pytorch.log_model(net, name="wins", input_example=X[:2], registered_model_name="churn")
        >>> info.registered_model_version
        4
    """
    input_example = as_array(input_example)
    if serialization_format == "pt2":
        pytorch_model = exported(pytorch_model, input_example)
    return models.log_model(
        FLAVOR_NAME,
        pytorch_model,
        serialization_format=serialization_format,
        factory=factory,
        factory_arguments=factory_arguments,
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
    module: Any = None,
    allow_code: bool | None = None,
    require_signature: str | Path | None = None,
) -> Any:
    """Load a PyTorch model.

    Args:
        model_uri: A ``models:``, ``runs:``, ``file:`` or ``s3:`` URI, or a local path.
        dst_path: A local directory to keep the files in. Default: the cache.
        module: A module of your own that the weights of a safetensors file are loaded into. No code of the model
            runs then.
        allow_code: Allow the model's code to run, which all that has no `module` needs. Default: the setting
            ``REGISTRY_ALLOW_CODE``.
        require_signature: A public key (a PEM file). Load only a model that this key signed.

    Returns:
        The ``torch.nn.Module``, or that of the program. All but a program's is in evaluation mode and on the CPU.

    Raises:
        NotFoundError: The URI leads to nothing, or the model has no pytorch flavor.
        CodeExecutionRefusedError: Loading needs consent.
        UntrustedModelError: The model is not signed with the required key.
        IntegrityError: A stored file differs from the manifest.
        MissingDependencyError: torch is not installed.

    Example:
        >>> import torch
        >>> net = torch.nn.Linear(2, 1)
        >>> info = mlflow.pytorch.log_model(
        ...     net, name="wins", serialization_format="safetensors",
        ...     factory_arguments={"in_features": 2, "out_features": 1},
        ... )
        >>> loaded = mlflow.pytorch.load_model(info.model_uri, module=torch.nn.Linear(2, 1))
        >>> torch.equal(loaded.weight, net.weight)
        True
    """
    loaded = models.load_native(
        FLAVOR_NAME,
        model_uri,
        dst_path=dst_path,
        module=module,
        allow_code=allow_code,
        require_signature=require_signature,
    )
    return as_module(loaded)


def get_default_pip_requirements() -> list[str]:
    """Return the requirements that `save_model` writes by default.

    Returns:
        Requirements such as ``torch==2.6.0``, of the installed versions.

    Example:
        >>> [line.partition("==")[0] for line in mlflow.pytorch.get_default_pip_requirements()]
        ['torch']
    """
    return list(flavors.Environment.of(["torch"]).requirements)


def get_default_conda_env() -> dict[str, Any]:
    """Return the conda environment that `save_model` writes by default.

    Returns:
        A mapping with the keys ``name``, ``channels`` and ``dependencies``.

    Example:
        >>> environment = mlflow.pytorch.get_default_conda_env()
        >>> environment["name"], environment["channels"]
        ('mlflow-env', ['conda-forge'])
    """
    return dict(flavors.Environment.of(["torch"]).conda)


explain_missing(globals())
