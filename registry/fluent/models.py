"""Module-level functions that log, register, resolve and load models; the flavors' modules call them."""

import sys
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from registry.client import MlflowClient
from registry.client.artifacts.downloads import download
from registry.client.artifacts.model_info import model_info
from registry.client.models.loading import open_external_model, open_model
from registry.client.models.signing import signed_uri
from registry.entities.model_registry import ModelVersion, ResolvedModel
from registry.exceptions import InvalidParameterError
from registry.flavors import ModelInfo, PyFuncModel, load_model, load_pyfunc, save_model
from registry.fluent import state
from registry.fluent.experiments import active_experiment_id
from registry.fluent.logged_models import remember_logged_model
from registry.fluent.run_context_tags import context_tags
from registry.settings import current_settings
from registry.uris import LocalUri, LoggedModelUri, RunUri, S3Uri, Uri, parse
from registry.validation.arguments import check_mapping
from registry.validation.names import check_model_name


def log_model(
    flavor: str,
    model: Any,
    *,
    artifact_path: str | None = None,
    name: str | None = None,
    registered_model_name: str | None = None,
    await_registration_for: int | None = None,
    **options: Any,
) -> ModelInfo:
    """Save a model and seal it as a logged model of the active run, if there is one; register it if a name is given."""
    del await_registration_for  # a version is READY from the moment it exists
    if artifact_path is not None and name is not None:
        raise InvalidParameterError("Both 'artifact_path' and 'name' are given; they mean the same, give 'name'.")
    if registered_model_name is not None:
        check_model_name(registered_model_name)  # before a model is logged
    active = state.active_with_client()
    run, client = (active[0].info, active[1]) if active else (None, state.client())
    if options.get("model_id") is None:
        options["tags"] = context_tags() | check_mapping(options.get("tags"), "tags")
    with _fetched_artifacts(options) as fetched:
        info = client.log_model(
            flavor,
            model,
            name or artifact_path or "model",
            experiment_id=run.experiment_id if run else active_experiment_id(),
            run_id=run.run_id if run else None,
            **fetched,
        )
    remember_logged_model(info.model_id)
    if registered_model_name is None:
        return info
    version = _register(client, info.model_uri, registered_model_name)
    return replace(info, registered_model_version=version.version)


def save_python_model(model: Any, path: str | Path, **options: Any) -> None:
    """Save a model that is Python code to a directory, with the artifacts that its options name by URI."""
    with _fetched_artifacts(options) as fetched:
        save_model(model, path, "python_function", **fetched)


def register_model(
    model_uri: str,
    name: str,
    await_registration_for: int | None = None,
    *,
    tags: Mapping[str, Any] | None = None,
    env_pack: Any = None,
    reason: str | None = None,
) -> ModelVersion:
    """Make a model the next version of a registered model; create the registered model if it is missing.

    Args:
        model_uri: A ``models:`` or ``runs:`` URI, a ``file:`` or ``s3:`` URI, or a local path.
        name: The registered model's name.
        await_registration_for: Accepted for MLflow's scripts. A version is READY when the call returns.
        tags: Tags of the version as a mapping from key to value.
        env_pack: Accepted for MLflow's scripts, without effect.
        reason: A text for the history.

    Returns:
        The new version.

    Raises:
        NotFoundError: The URI leads to nothing. No registered model is created then.
        InvalidNameError: The name has characters that are not allowed.

    Example:
        >>> version = mlflow.register_model(f"runs:/{run_id}/model", "churn", reason="weekly retraining")
        >>> version.version, version.run_id == run_id
        (4, True)
    """
    del await_registration_for, env_pack  # a version is READY from the moment it exists
    return _register(state.client(), model_uri, name, tags=tags, reason=reason)


def get_model_info(model_uri: str) -> ModelInfo:
    """Return the metadata of a model without loading it. Only its MLmodel file is read.

    Args:
        model_uri: A ``models:``, ``runs:``, ``file:`` or ``s3:`` URI, or a local path.

    Returns:
        The content of the MLmodel file. For a logged model also its id, params, tags and metrics.

    Raises:
        NotFoundError: The URI leads to no MLmodel directory.
        InvalidModelError: The MLmodel file cannot be used.

    Example:
        >>> info = mlflow.models.get_model_info("models:/churn/Production")
        >>> info.params, sorted(info.flavors)
        ({'algorithm': 'XGBoost', 'max_depth': '3'}, ['python_function', 'xgboost'])
        >>> info.signature.inputs.input_names()
        ['rest_days', 'rating_gap']
    """
    return model_info(state.client(), parse(model_uri))


def set_model_version_tag(
    name: str, version: int | str | None = None, key: str | None = None, value: Any = None, *, reason: str | None = None
) -> None:
    """Set a tag of a model version, overwriting an older value.

    Args:
        name: The registered model's name.
        version: The version's number.
        key: The tag's key.
        value: The tag's value. Stored as text.
        reason: A text for the history.

    Raises:
        ModelNotFoundError: No registered model has this name.
        VersionNotFoundError: The model has no such version.

    Example:
        >>> mlflow.set_model_version_tag("churn", 2, "approved_by", "ann")
        >>> client.get_model_version("churn", 2).tags
        {'approved_by': 'ann'}
    """
    state.client().set_model_version_tag(name, version, key, value, reason=reason)


def resolve(uri: str) -> ResolvedModel:
    """Return the exact model that a ``models:`` or ``runs:`` URI stands for now.

    Args:
        uri: A URI such as ``models:/churn/Production``, ``models:/churn@champion`` or ``runs:/<run id>/model``.

    Returns:
        Name, version, model id, location and digest.

    Raises:
        NotFoundError: The model, version, stage, alias or run does not exist.
        InvalidUriError: The URI cannot be parsed.

    Example:
        >>> champion = mlflow.resolve("models:/churn@champion")
        >>> champion.name, champion.version
        ('churn', 2)
    """
    return state.client().resolve(uri)


def load_native(
    flavor: str,
    model_uri: str,
    *,
    dst_path: str | None = None,
    allow_code: bool | None = None,
    require_signature: str | Path | None = None,
    **options: Any,
) -> Any:
    """Load the model of a URI as its flavor's own object."""
    uri = _check_signature(model_uri, require_signature)
    with _open_directory(uri, dst_path) as directory:
        return load_model(directory, flavor, allow_code=_allows_code(allow_code), sealed=_is_sealed(uri), **options)


def load_function(
    model_uri: str,
    *,
    dst_path: str | None = None,
    allow_code: bool | None = None,
    require_signature: str | Path | None = None,
    **options: Any,
) -> PyFuncModel:
    """Load the model of a URI as a function from data to predictions.

    Its files stay as long as the model lives, because a Python function may open its artifacts in every `predict`.
    """
    uri = _check_signature(model_uri, require_signature)
    with ExitStack() as held:
        directory = held.enter_context(_open_directory(uri, dst_path))
        model = load_pyfunc(directory, allow_code=_allows_code(allow_code), sealed=_is_sealed(uri), **options)
        weakref.finalize(model, held.pop_all().close)
        return model


@contextmanager
def _fetched_artifacts(options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Fetch the artifacts that a model's options name by URI; yield the options with local paths and the origins."""
    artifacts = options.get("artifacts")
    if not isinstance(artifacts, Mapping) or not any(map(_is_uri, artifacts.values())):
        yield dict(options)
        return
    paths, origins = dict(artifacts), {}
    with tempfile.TemporaryDirectory(prefix="registry-") as temporary:
        for position, (name, value) in enumerate(artifacts.items()):
            if not _is_uri(value):
                continue
            client, uri = state.client(), parse(value)
            origins[name] = {"uri": value}
            if not isinstance(uri, LocalUri | S3Uri | RunUri):
                # A stage or alias may stand for another model tomorrow.
                resolved = client.resolve(value)
                uri = LoggedModelUri(resolved.model_id, path=uri.path)
                origins[name] |= {"model_id": resolved.model_id, "digest": resolved.digest}
            paths[name] = download(client, uri, Path(temporary) / str(position) / "model")
        yield {**options, "artifacts": paths, "artifact_origins": origins}


def _is_uri(value: object) -> bool:
    return isinstance(value, str) and value.lower().startswith(("models:", "runs:", "s3:", "file:"))


def _register(client: MlflowClient, model_uri: str, name: str, **options: Any) -> ModelVersion:
    version = client.register_model(model_uri, name, **options)
    if version.version == 1:
        _print_line(f"Successfully registered model '{name}'.")
    else:
        _print_line(f"Registered model '{name}' already exists. Creating a new version of this model...")
    _print_line(f"Created version '{version.version}' of model '{name}'.")
    return version


def _open_directory(uri: Uri, dst_path: str | None) -> AbstractContextManager[Path]:
    # Loading a plain directory needs no registry and creates none.
    if isinstance(uri, LocalUri | S3Uri):
        return open_external_model(uri, dst_path)
    return open_model(state.client().backend, uri, dst_path)


def _allows_code(allow_code: bool | None) -> bool:
    return current_settings().allow_code if allow_code is None else allow_code


def _check_signature(model_uri: str, public_key: str | Path | None) -> Uri:
    """Parse a URI; with a key, check the signature and pin the URI to the model that was checked."""
    uri = parse(model_uri)
    return uri if public_key is None else signed_uri(state.client().backend, uri, public_key)


def _is_sealed(uri: Uri) -> bool:
    """Tell whether a manifest verifies the bytes of a URI, so that a flavor need not distrust them."""
    return not isinstance(uri, LocalUri | S3Uri | RunUri)


def _print_line(line: str) -> None:
    sys.stderr.write(line + "\n")
