"""Logging, registering and loading models: the module-level functions behind the flavors' doors."""

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
    """Save a model and seal it as a logged model of the active run, if there is one; register it if asked to."""
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
    """Write a model that is Python code into a directory, with the artifacts that its options name by URI."""
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
    """Make a model the next version of a registered model, which is created if there is none of that name.

    `model_uri` is a ``models:`` or ``runs:`` URI, a local path, or a ``file:`` or ``s3:`` URI.

    Raises:
        NotFoundError: nothing is there; then no registered model was created either.
    """
    del await_registration_for, env_pack  # a version is READY from the moment it exists
    return _register(state.client(), model_uri, name, tags=tags, reason=reason)


def get_model_info(model_uri: str) -> ModelInfo:
    """What the MLmodel file of a URI of any form says, with the figures of the logged model if it is one.

    Only that file is read.

    Raises:
        NotFoundError: nothing is at the URI, or it is not an MLmodel directory.
        InvalidModelError: the MLmodel file cannot be used.
    """
    return model_info(state.client(), parse(model_uri))


def set_model_version_tag(
    name: str, version: int | str | None = None, key: str | None = None, value: Any = None, *, reason: str | None = None
) -> None:
    """Set a label of a model version.

    Raises:
        ModelNotFoundError, VersionNotFoundError: no such model or version.
    """
    state.client().set_model_version_tag(name, version, key, value, reason=reason)


def resolve(uri: str) -> ResolvedModel:
    """What a ``models:`` or ``runs:`` URI stands for: name, version, model id, location and digest."""
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
    """The model of a URI as its flavor's own object."""
    uri = _trusted(model_uri, require_signature)
    with _opened(uri, dst_path) as directory:
        return load_model(directory, flavor, allow_code=_consent(allow_code), sealed=_is_sealed(uri), **options)


def load_function(
    model_uri: str,
    *,
    dst_path: str | None = None,
    allow_code: bool | None = None,
    require_signature: str | Path | None = None,
    **options: Any,
) -> PyFuncModel:
    """The model of a URI as a function from data to predictions.

    Its files stay for as long as it lives, because a Python function may open its artifacts in every `predict`.
    """
    uri = _trusted(model_uri, require_signature)
    with ExitStack() as held:
        directory = held.enter_context(_opened(uri, dst_path))
        model = load_pyfunc(directory, allow_code=_consent(allow_code), sealed=_is_sealed(uri), **options)
        weakref.finalize(model, held.pop_all().close)
        return model


@contextmanager
def _fetched_artifacts(options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The options of a model with its artifacts as local paths, and with the origin of those that were fetched."""
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
        _say(f"Successfully registered model '{name}'.")
    else:
        _say(f"Registered model '{name}' already exists. Creating a new version of this model...")
    _say(f"Created version '{version.version}' of model '{name}'.")
    return version


def _opened(uri: Uri, dst_path: str | None) -> AbstractContextManager[Path]:
    # A directory loads where there is no registry, and none comes about by it.
    if isinstance(uri, LocalUri | S3Uri):
        return open_external_model(uri, dst_path)
    return open_model(state.client().backend, uri, dst_path)


def _consent(allow_code: bool | None) -> bool:
    return current_settings().allow_code if allow_code is None else allow_code


def _trusted(model_uri: str, public_key: str | Path | None) -> Uri:
    """What a URI means; with a key the very model that it means now, after its signature was checked."""
    uri = parse(model_uri)
    return uri if public_key is None else signed_uri(state.client().backend, uri, public_key)


def _is_sealed(uri: Uri) -> bool:
    """Whether the bytes of a URI are verified against a manifest, so that a flavor need not suspect them."""
    return not isinstance(uri, LocalUri | S3Uri | RunUri)


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
