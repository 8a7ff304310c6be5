"""A model as another process can load it without the database: where its files are, and what they must be.

Guarantees: `open_directory` yields exactly the files that were pinned, or raises; and a process loads a model once.
"""

import json
import logging
import os
import sys
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from registry.client.byte_stores import open_store
from registry.client.models.loading import is_run_artifact, path_inside, resolve, sealed_directory
from registry.entities import Manifest
from registry.exceptions import InvalidParameterError, UntrustedModelError
from registry.flavors import PyFuncModel, load_pyfunc
from registry.flavors.optional_imports import optional_import
from registry.settings import current_settings
from registry.uris import LocalUri, LoggedModelUri, RunUri, S3Uri, parse
from registry.validation.arguments import check_list, check_mapping

if TYPE_CHECKING:
    from registry.client.backend import Backend

_logger = logging.getLogger(__name__)

# A process that scores with more models in turn loads the least recently used one again.
_KEPT: Final = 8
# Libraries that predict in threads of OpenMP, which a forked child cannot use again.
_OPENMP: Final = ("xgboost", "sklearn", "lightgbm")


@dataclass(frozen=True, slots=True)
class PinnedModel:
    """A model by its bytes.

    Attributes:
        name: The registered model, or None.
        version: The version, or None.
        model_id: The logged model, or None for a directory outside the registry.
        location: The absolute path or S3 location of the files.
        manifest: The files.
        inner: The directory of the model inside `location`, or None.
        is_sealed: Whether a registry sealed the files, or they were hashed just now.
    """

    name: str | None
    version: int | None
    model_id: str | None
    location: str
    manifest: Manifest
    inner: str | None
    is_sealed: bool

    @contextmanager
    def open_directory(self) -> Iterator[Path]:
        """Open a local directory with the verified files; from S3 they come through the cache of the machine."""
        with sealed_directory(open_store(self.location), self.manifest.digest, lambda: self.manifest) as directory:
            yield directory / self.inner if self.inner else directory


def pin(
    uri: str, require_signature: str | Path | None = None, *, open_registry: "Callable[[], Backend] | None" = None
) -> PinnedModel:
    """Resolve a URI to the model that it stands for now.

    A path or S3 location outside the registry, and a plain directory of a run, are read and hashed. `open_registry`
    returns the stores to look in; by default those of the tracking URI that is set.

    Raises:
        NotFoundError: There is no such model.
        UntrustedModelError: The required key did not sign it.
    """
    parsed = parse(uri)
    if isinstance(parsed, LocalUri | S3Uri):  # needs no registry, and creates none
        if require_signature is not None:
            raise UntrustedModelError(
                f"{uri!r} is a path or S3 location, and only models of a registry have signatures. Give a models:/ URI."
            )
        return _pin_files(str(Path(parsed.path).absolute() if isinstance(parsed, LocalUri) else parsed))
    if open_registry is None:
        from registry.fluent import state  # a worker, which gets a pinned model, imports no database

        backend = state.client().backend
    else:
        backend = open_registry()
    if require_signature is None and isinstance(parsed, RunUri) and is_run_artifact(backend, parsed):
        root = backend.runs.get(parsed.run_id).info.artifact_uri
        return _pin_files(f"{root.rstrip('/')}/{parsed.path}" if parsed.path else root)
    resolved = resolve(backend, parsed)
    if require_signature is not None:
        from registry.client.models.signing import signed_uri

        signed_uri(backend, LoggedModelUri(resolved.model_id), require_signature)
    return PinnedModel(
        name=resolved.name,
        version=resolved.version,
        model_id=resolved.model_id,
        location=resolved.location,
        manifest=backend.logged_models.manifest(resolved.model_id),
        inner=path_inside(parsed),
        is_sealed=True,
    )


def _pin_files(location: str) -> PinnedModel:
    return PinnedModel(None, None, None, location, open_store(location).manifest(), None, is_sealed=False)


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How a model is loaded. `model_config` is JSON, so that two predictors with the same options share a model."""

    allow_code: bool
    skops_trusted_types: tuple[str, ...]
    model_config: str
    nthread: int | None

    @classmethod
    def of(
        cls,
        allow_code: bool | None = None,
        skops_trusted_types: Iterable[str] | None = None,
        model_config: Mapping[str, Any] | None = None,
        nthread: int | None = None,
    ) -> Self:
        """Check options as callers give them.

        Raises:
            InvalidParameterError: `nthread` is no number of threads, or `model_config` is not plain JSON.
        """
        if nthread is not None and (type(nthread) is not int or nthread < 1):
            raise InvalidParameterError(f"nthread is a number of threads from 1, got {nthread!r}.")
        return cls(
            allow_code=current_settings().allow_code if allow_code is None else allow_code,
            skops_trusted_types=tuple(check_list(skops_trusted_types, "skops_trusted_types", str) or ()),
            model_config=_as_json(check_mapping(model_config, "model_config")),
            nthread=nthread,
        )

    @property
    def config(self) -> Mapping[str, Any]:
        """The settings that overwrite those that the model was saved with."""
        loaded: Mapping[str, Any] = json.loads(self.model_config)
        return loaded


Key = tuple[str, str | None, LoadOptions]
_models: OrderedDict[Key, PyFuncModel] = OrderedDict()
_lock = threading.Lock()
_inherited: list[object] = []
_openmp_was_loaded = False


def load_once(pinned: PinnedModel, options: LoadOptions) -> PyFuncModel:
    """Return the model of this process, loaded by the first call; from any thread."""
    key = pinned.manifest.digest, pinned.inner, options
    with _lock:
        model = _models.pop(key, None) or load_pinned(pinned, options)
        _models[key] = model
        while len(_models) > _KEPT:
            _models.popitem(last=False)
        return model


def _as_json(config: Mapping[str, Any]) -> str:
    try:
        return json.dumps(dict(config), sort_keys=True)
    except (TypeError, ValueError) as error:
        raise InvalidParameterError(f"model_config travels to workers as JSON: {error}. Give plain values.") from None


def load_pinned(pinned: PinnedModel, options: LoadOptions) -> PyFuncModel:
    """Load a model anew; its files stay as long as it lives. A forked child loads with one thread if it must."""
    threads = options.nthread
    with ExitStack() as held, ExitStack() as limited:
        directory = held.enter_context(pinned.open_directory())
        # XGBoost loads models in threads too. In a child they would wait forever for those of its parent; and a child
        # that imports this module after the fork cannot know what its parent had loaded.
        if _openmp_was_loaded or (threads == 1 and find_spec("threadpoolctl") is not None):
            threadpoolctl = optional_import("threadpoolctl", "sklearn")
            limited.enter_context(threadpoolctl.threadpool_limits(1, user_api="openmp"))
        if _openmp_was_loaded and threads != 1:
            _logger.warning(
                "This process was forked from one that had loaded %s, whose threads a child cannot use again: it "
                "predicts with one thread. Start workers with the method 'spawn' to use more.",
                " or ".join(_OPENMP),
            )
            threads = 1
        model = load_pyfunc(
            directory,
            allow_code=options.allow_code,
            model_config=options.config,
            sealed=pinned.is_sealed,
            skops_trusted_types=list(options.skops_trusted_types),
        )
        if threads is not None:
            model.limit_threads(threads)
        weakref.finalize(model, held.pop_all().close)  # a Python function may open its files in every `predict`
    return model


def _forget_in_child() -> None:
    """Load models anew in a forked child: another thread of the parent may have been inside one."""
    global _models, _lock, _openmp_was_loaded
    _inherited.append(_models)  # they are the parent's to close
    _models, _lock = OrderedDict(), threading.Lock()
    _openmp_was_loaded = _openmp_was_loaded or any(name in sys.modules for name in _OPENMP)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
