"""scikit-learn models (``mlflow.sklearn``), stored with skops, or as pickles on request."""

from collections.abc import Iterable, Mapping, Sequence
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
    "SERIALIZATION_FORMAT_CLOUDPICKLE",
    "SERIALIZATION_FORMAT_PICKLE",
    "SERIALIZATION_FORMAT_SKOPS",
    "SUPPORTED_SERIALIZATION_FORMATS",
    "autolog",
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
    """Save an estimator to an absent or empty directory.

    Args:
        sk_model: A scikit-learn estimator or pipeline.
        path: The directory.
        conda_env: A conda environment that replaces the default one: a dict, or the path of a YAML file.
        code_paths: Local Python files and directories that the model imports; they are stored with it.
        serialization_format: ``skops`` (the default), ``cloudpickle`` or ``pickle``. Loading a pickle needs consent.
        pyfunc_predict_fn: The method that `pyfunc` models call. Default: ``predict``.
        skops_trusted_types: Names of types that a skops file may hold, besides those known to be safe.
        pip_requirements: Requirements that replace the default ones: a list, or the path of a requirements file.
        extra_pip_requirements: Requirements to add to the default ones.
        metadata: A mapping that is stored in the MLmodel file.
        signature: The signature of ``predict``, from `models.infer_signature`. Default: inferred from `input_example`,
            if given. False stores none.
        input_example: An example of the input, stored with the model.
        extra_files: Local files to store beside the model.

    Raises:
        PathExistsError: The directory is not empty.
        InvalidParameterError: skops cannot hold the model, or an argument is malformed.
        MissingDependencyError: scikit-learn, skops or cloudpickle is not installed.

    Example:
        >>> from sklearn.linear_model import LogisticRegression
        >>> mlflow.sklearn.save_model(LogisticRegression().fit(X, y), "wins", pyfunc_predict_fn="predict_proba")
        >>> mlflow.pyfunc.load_model("wins").predict(X[:2]).shape
        (2, 2)
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
    """Log an estimator as a sealed model of the active run, if there is one; register it if a name is given.

    Args:
        sk_model: A scikit-learn estimator or pipeline.
        artifact_path: The older word for `name`.
        conda_env: A conda environment that replaces the default one: a dict, or the path of a YAML file.
        code_paths: Local Python files and directories that the model imports; they are stored with it.
        serialization_format: ``skops`` (the default), ``cloudpickle`` or ``pickle``. Loading a pickle needs consent.
        registered_model_name: Register the model as the next version of this registered model. Default: only log it.
        signature: The signature of ``predict``, from `models.infer_signature`. Default: inferred from `input_example`,
            if given. False stores none.
        input_example: An example of the input, stored with the model.
        pyfunc_predict_fn: The method that `pyfunc` models call. Default: ``predict``.
        skops_trusted_types: Names of types that a skops file may hold, besides those known to be safe.
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
        InvalidParameterError: skops cannot hold the model, or an argument is malformed.
        MissingDependencyError: scikit-learn, skops or cloudpickle is not installed.

    Example:
        >>> from sklearn.linear_model import LogisticRegression
        >>> with mlflow.start_run():
        ...     info = mlflow.sklearn.log_model(LogisticRegression().fit(X, y), name="linear", input_example=X[:2])
        >>> info.name, info.signature.inputs.input_names()
        ('linear', ['rest_days', 'rating_gap'])
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
        **seal_reference(options),
    )


def load_model(
    model_uri: str,
    dst_path: str | None = None,
    *,
    allow_code: bool | None = None,
    require_signature: str | Path | None = None,
    skops_trusted_types: Iterable[str] | None = None,
) -> Any:
    """Load an estimator.

    Args:
        model_uri: A ``models:``, ``runs:``, ``file:`` or ``s3:`` URI, or a local path.
        dst_path: A local directory to keep the files in. Default: the cache.
        allow_code: Consent to run code from the model's files, which a pickle needs. Default: ``REGISTRY_ALLOW_CODE``,
            else False.
        require_signature: A public key (a PEM file). Load only a model that this key signed.
        skops_trusted_types: Names of types that a skops file may hold, besides those known to be safe.

    Returns:
        The estimator.

    Raises:
        NotFoundError: The URI leads to nothing, or the model has no sklearn flavor.
        UntrustedModelError: The model is not signed with the required key.
        CodeExecutionRefusedError: The file is a pickle or has untrusted types, and there is no consent.
        IntegrityError: A stored file differs from the manifest.
        MissingDependencyError: scikit-learn or skops is not installed.

    Example:
        >>> from sklearn.linear_model import LogisticRegression
        >>> info = mlflow.sklearn.log_model(LogisticRegression(C=0.5).fit(X, y), name="linear")
        >>> mlflow.sklearn.load_model(info.model_uri)
        LogisticRegression(C=0.5)
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
    """Return the default requirements of an estimator.

    Args:
        include_cloudpickle: Add cloudpickle. Default: False.
        include_skops: Add skops. Default: False.

    Returns:
        Requirements such as ``scikit-learn==1.7.0``, of the installed versions.

    Example:
        >>> import sklearn
        >>> mlflow.sklearn.get_default_pip_requirements() == [f"scikit-learn=={sklearn.__version__}"]
        True
    """
    return list(_environment(include_cloudpickle, include_skops).requirements)


def get_default_conda_env(include_cloudpickle: bool = False, include_skops: bool = False) -> dict[str, Any]:
    """Return the default conda environment of an estimator.

    Args:
        include_cloudpickle: Add cloudpickle. Default: False.
        include_skops: Add skops. Default: False.

    Returns:
        A mapping with the keys ``name``, ``channels`` and ``dependencies``.

    Example:
        >>> environment = mlflow.sklearn.get_default_conda_env(include_skops=True)
        >>> [line.split("==")[0] for line in environment["dependencies"][-1]["pip"]]
        ['scikit-learn', 'skops']
    """
    return dict(_environment(include_cloudpickle, include_skops).conda)


def _environment(include_cloudpickle: bool, include_skops: bool) -> flavors.Environment:
    formats = {"cloudpickle": include_cloudpickle, "skops": include_skops}
    return flavors.Environment.of(["scikit-learn", *(name for name, included in formats.items() if included)])


def autolog(
    log_input_examples: bool = False,
    log_model_signatures: bool = True,
    log_models: bool = True,
    log_datasets: bool = True,
    disable: bool = False,
    exclusive: bool = False,
    disable_for_unsupported_versions: bool = False,
    silent: bool = False,
    max_tuning_runs: int | None = 5,
    log_post_training_metrics: bool = True,
    serialization_format: str | None = None,
    registered_model_name: str | None = None,
    pos_label: Any = None,
    extra_tags: Mapping[str, str] | None = None,
    *,
    log_reference: bool = False,
) -> None:
    """Log what scikit-learn's estimators do from now on: their outermost ``fit``, and metrics after it.

    Logged are params, metrics on the training data, the confusion matrix and curves of classifiers, the identity of
    the data, and the model; of a search for parameters also the results and child runs. Metrics of
    ``sklearn.metrics`` that are computed later from a prediction of the model are logged to its run. It may be called
    before sklearn is imported.

    Args:
        log_input_examples: Store the first five rows of the training data with the model. Default: False.
        log_model_signatures: Store the model's signature. Default: True.
        log_models: Log the trained model. Default: True.
        log_datasets: Record the identity of the training and evaluation data. Default: True.
        disable: Switch autologging off and put the original functions back. Default: False.
        exclusive: Log only to runs that autologging makes itself. Default: False.
        disable_for_unsupported_versions: Stay off with a version of scikit-learn that is older than those tested.
            Default: False.
        silent: Show no messages of autologging. Default: False.
        max_tuning_runs: How many of the best settings of a search become child runs. None: all. Default: 5.
        log_post_training_metrics: Log metrics that are computed after training. Default: True.
        serialization_format: ``skops``, ``cloudpickle`` or ``pickle``. Default: skops, and cloudpickle for models that
            skops cannot hold.
        registered_model_name: Register each model as the next version of this registered model.
        pos_label: The positive label of binary classifiers: precision, recall and F1 are then those of this label.
            Default: the averages over labels, weighted by their number.
        extra_tags: Tags of the runs that autologging makes, as a mapping from key to value.
        log_reference: Seal a profile of the training data with the model, for `monitoring.check`: inputs, targets and
            predictions, with a sample of the rows. Default: False.

    Raises:
        InvalidParameterError: `max_tuning_runs` is negative.
        MissingDependencyError: wrapt is not installed.

    Example:
        >>> mlflow.sklearn.autolog(silent=True)
        >>> from sklearn.linear_model import LogisticRegression
        >>> from sklearn.metrics import accuracy_score
        >>> linear = LogisticRegression().fit(X[:30], y[:30])
        >>> X_test, y_test = X[30:], y[30:]
        >>> accuracy_score(y_test, linear.predict(X_test))
        0.9
        >>> mlflow.last_active_run().data.metrics["accuracy_score_X_test"]
        0.9
        >>> mlflow.sklearn.autolog(disable=True)
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
            max_tuning_runs=max_tuning_runs,
            log_post_training_metrics=log_post_training_metrics,
            serialization_format=serialization_format,
            pos_label=pos_label,
        ),
    )


explain_missing(globals())
