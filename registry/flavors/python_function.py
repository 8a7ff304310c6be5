"""Models that are Python code: a pickled `PythonModel` or function, a Python file, or a module that loads its own data.

Guarantees: nothing is unpickled, and no file or module is run, before `require_consent` passed.
"""

import importlib
import inspect
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final

from registry.exceptions import (
    ArtifactNotFoundError,
    InvalidModelError,
    InvalidParameterError,
    NotSupportedError,
    RegistryError,
)
from registry.flavors import pickles
from registry.flavors.allow_code import require_consent
from registry.flavors.files import copy_in
from registry.flavors.mlmodel import inside
from registry.flavors.models_from_code import LOADER_MODULE, load_code_model
from registry.flavors.optional_imports import installed_version
from registry.flavors.protocol import Predictor
from registry.flavors.python_model import FunctionModel, PythonModel, PythonModelContext
from registry.validation.arguments import check_mapping
from registry.validation.paths import check_local_path, check_path

_PICKLE: Final = "python_model.pkl"


class PythonFunctionFlavor:
    """MLflow's ``python_function`` flavor, for models that have no other flavor."""

    name = "python_function"
    loader_module = "mlflow.pyfunc.model"

    def save(
        self,
        model: Any,
        directory: Path,
        *,
        artifacts: Mapping[str, str | Path] | None = None,
        loader_module: str | None = None,
        data_path: str | Path | None = None,
        model_config: Mapping[str, Any] | None = None,
        artifact_origins: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> dict[str, Any]:
        """Write the pickle or the Python file of a model and its artifacts, or copy the data of a loader module.

        Args:
            model: A `PythonModel`, a function, or the path of a Python file; None with `loader_module`.
            directory: An existing directory.
            artifacts: Local paths by name.
            loader_module: Name of a module that loads the model, in place of `model`.
            data_path: File or directory that the loader module reads.
            model_config: Configuration that the model is loaded with.
            artifact_origins: What the MLmodel file records of fetched artifacts, by name: their ``uri`` and more.

        Raises:
            InvalidParameterError: there is no usable model, or both a model and a loader module.
            InvalidModelError: the Python file fails, or sets no model.
            ArtifactNotFoundError: an artifact, the Python file or the data path does not exist.
        """
        if (model is None) == (loader_module is None):
            raise InvalidParameterError(
                "Either `loader_module` or `python_model` must be specified. Give one of them, and not both."
            )
        config = {"config": check_mapping(model_config, "model_config")} if model_config else {}
        if loader_module is not None:
            data = _copy_data(data_path, directory)
            return {self.name: {"loader_module": loader_module, **data, **config}}
        if data_path is not None:
            raise InvalidParameterError(
                "data_path belongs to loader_module; a python_model takes artifacts={name: path}."
            )
        if isinstance(model, str | Path):
            entry: dict[str, Any] = {"loader_module": LOADER_MODULE, "model_code_path": _copy_code(model, directory)}
        else:
            pickles.dump(_as_model(model), directory / _PICKLE, "cloudpickle")
            entry = {"loader_module": self.loader_module, "python_model": _PICKLE}
        entry |= {"cloudpickle_version": installed_version("cloudpickle"), "streamable": False}
        paths, origins = check_mapping(artifacts, "artifacts"), artifact_origins or {}
        copied = {
            name: {**_copy_artifact(name, check_local_path(path), directory), **origins.get(name, {})}
            for name, path in paths.items()
        }
        return {self.name: {**entry, **({"artifacts": copied} if copied else {}), **config}}

    def load(self, directory: Path, config: Mapping[str, Any], *, allow_code: bool, **options: Any) -> Any:
        """Load the user's own object and its context; the errors are those of `predictor`."""
        predictor = self.predictor(directory, config, allow_code=allow_code, **options)
        return getattr(predictor, "python_model", predictor)

    def wrap(self, model: Any, config: Mapping[str, Any]) -> Predictor | None:
        """Wrap the model that is being saved as `predictor` would; return None if it must load its context first.

        Loading the context would change the caller's own object.
        """
        own = None if model is None or isinstance(model, str | Path) else _as_model(model)
        if own is None or getattr(type(own), "load_context", None) is not PythonModel.load_context:
            return None
        return PythonModelPredictor(own, PythonModelContext({}, config.get("config")))

    def predictor(
        self,
        directory: Path,
        config: Mapping[str, Any],
        *,
        allow_code: bool,
        model_config: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Predictor:
        """Load the model for `pyfunc`.

        Raises:
            CodeExecutionRefusedError: `allow_code` is False; this flavor always runs code.
            InvalidModelError: the pickle or the loader module failed.
        """
        del options
        loader = str(config.get("loader_module"))
        if loader == LOADER_MODULE:
            require_consent(allow_code, directory, "it is a Python file")
            # MLflow records the original path of the file; the copy is at the top of the directory.
            name = PurePosixPath(str(config.get("model_code_path")).replace("\\", "/")).name
            model = load_code_model(inside(directory, name, "flavors.python_function.model_code_path"))
        elif loader == self.loader_module:
            require_consent(allow_code, directory, "it is a pickled Python object")
            file = inside(directory, config.get("python_model"), "flavors.python_function.python_model")
            model = pickles.load(file, needs_cloudpickle=True)
        else:
            return _by_module(loader, directory, config, model_config, allow_code=allow_code)
        context = PythonModelContext(_artifact_paths(directory, config.get("artifacts")), model_config)
        _call(directory, getattr(model, "load_context", None), context)
        return PythonModelPredictor(model, context)

    def requirements(self, config: Mapping[str, Any]) -> list[str]:
        """Return cloudpickle for a pickled model. A caller with a loader module names its requirements."""
        return ["cloudpickle"] if "python_model" in config else []


class PythonModelPredictor:
    """A user's model, called with ``context`` and ``params`` only if its ``predict`` takes them."""

    def __init__(self, python_model: Any, context: PythonModelContext) -> None:
        self.python_model = python_model
        self._context = context
        names = list(inspect.signature(python_model.predict).parameters)
        self._takes_params = "params" in names
        self._takes_context = "context" in names or len([name for name in names if name != "params"]) == 2

    def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> Any:
        """Return what the user's ``predict`` returns. It gets its own copy of a frame, which it may write to."""
        own = data.copy() if type(data).__name__ == "DataFrame" else data
        arguments = [self._context, own] if self._takes_context else [own]
        return self.python_model.predict(*arguments, **({"params": params} if self._takes_params else {}))


class LoadedPredictor:
    """The object that a loader module returned, with the predict function that the MLmodel file names."""

    def __init__(self, loaded: Any, predict_fn: str) -> None:
        self.python_model = loaded
        function = getattr(loaded, predict_fn, None)
        if not callable(function):
            raise InvalidModelError(f"The loader module returned a {type(loaded).__name__} without {predict_fn}().")
        self._function = function
        self._takes_params = "params" in inspect.signature(function).parameters

    def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> Any:
        """Return what the predict function returns."""
        return self._function(data, params=params) if self._takes_params else self._function(data)


def _as_model(model: Any) -> Any:
    if hasattr(model, "predict") and not isinstance(model, type):
        return model
    if inspect.isfunction(model):
        return FunctionModel(model)
    raise InvalidParameterError(
        f"python_model must be an instance of PythonModel or a function, got {type(model).__name__}: {model!r}"
    )


def _copy_code(path: str | Path, directory: Path) -> str:
    """Copy the Python file of a model from code, and run it once to check it. Return the copy's name."""
    source = check_local_path(path)
    if source.suffix != ".py":
        raise InvalidParameterError(
            f"python_model={str(path)!r} must be a PythonModel, a function or the path of a Python file that ends in "
            ".py and calls models.set_model()."
        )
    if not source.is_file():
        raise ArtifactNotFoundError(f"The provided model path {str(source)!r} does not exist.")
    load_code_model(source)
    copy_in(source, directory / source.name)
    return source.name


def _copy_data(data_path: str | Path | None, directory: Path) -> dict[str, str]:
    if data_path is None:
        return {}
    source = check_local_path(data_path)
    name = f"data/{source.resolve().name}"
    copy_in(source, directory / name)
    return {"data": name}


def _copy_artifact(name: str, source: Path, directory: Path) -> dict[str, str]:
    relative = f"artifacts/{check_path(name, 'name of an artifact')}/{source.resolve().name}"
    copy_in(source, directory / relative)
    return {"path": relative, "uri": str(source)}


def _artifact_paths(directory: Path, entries: object) -> dict[str, str]:
    if entries is None:
        return {}
    if not isinstance(entries, Mapping) or not all(isinstance(entry, Mapping) for entry in entries.values()):
        raise InvalidModelError(
            f"The artifacts in the MLmodel file of {str(directory)!r} must be a map of names to maps."
        )
    where = "flavors.python_function.artifacts"
    return {str(name): str(inside(directory, entry.get("path"), where).resolve()) for name, entry in entries.items()}


def _by_module(
    loader: str, directory: Path, config: Mapping[str, Any], model_config: Mapping[str, Any] | None, *, allow_code: bool
) -> Predictor:
    if loader.partition(".")[0] == "mlflow":
        raise NotSupportedError(
            f"The model in {str(directory)!r} is loaded by {loader!r}, a flavor of MLflow that is not installed. "
            "A package can add it by an entry point in the group 'registry.flavors'."
        )
    require_consent(allow_code, directory, f"its loader is the module {loader!r}")
    data = (
        directory if config.get("data") is None else inside(directory, config["data"], "flavors.python_function.data")
    )
    try:
        function = importlib.import_module(loader)._load_pyfunc
    except Exception as error:
        # Importing runs the module, which can raise anything.
        raise InvalidModelError(f"The loader module {loader!r} of {str(directory)!r} failed: {error!r}") from error
    arguments = [str(data), dict(model_config)] if model_config else [str(data)]
    return LoadedPredictor(_call(directory, function, *arguments), str(config.get("predict_fn") or "predict"))


def _call(directory: Path, function: Any, *arguments: Any) -> Any:
    """Call code of the model; convert anything it raises to an `InvalidModelError`."""
    if function is None:
        return None
    try:
        return function(*arguments)
    except RegistryError:
        raise
    except Exception as error:
        raise InvalidModelError(
            f"The code of the model in {str(directory)!r} failed while loading: {error!r}"
        ) from error
