"""Write and read pickle files, by pickle or cloudpickle.

Guarantees: callers of `load` call `require_consent` first. MLflow's base classes in a pickle are replaced by ours, so
reading it does not import mlflow.
"""

import pickle
from pathlib import Path
from typing import Any, BinaryIO, Final

from registry.exceptions import InvalidModelError, InvalidParameterError
from registry.flavors import python_model
from registry.flavors.optional_imports import optional_import

PICKLE_FORMATS: Final = ("cloudpickle", "pickle")
_OWN_CLASSES: Final = {
    ("mlflow.models.signature", "_TypeHints"): python_model.TypeHints,
    ("mlflow.pyfunc.model", "PythonModel"): python_model.PythonModel,
    ("mlflow.pyfunc.model", "PythonModelContext"): python_model.PythonModelContext,
    ("mlflow.pyfunc.model", "_FunctionPythonModel"): python_model.FunctionModel,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str, /) -> Any:
        own = _OWN_CLASSES.get((module_name, global_name))
        return own if own is not None else super().find_class(module_name, global_name)


def dump(value: Any, path: Path, pickle_format: str) -> None:
    """Write a pickle.

    Raises:
        InvalidParameterError: the object cannot be pickled.
        MissingDependencyError: cloudpickle is asked for and not installed.
    """
    try:
        with path.open("wb") as file:
            if pickle_format == "cloudpickle":
                _cloud_dump(value, file)
            else:
                pickle.dump(value, file, protocol=pickle.DEFAULT_PROTOCOL)
    except (pickle.PicklingError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidParameterError(f"The {type(value).__name__} cannot be pickled: {error}") from error


def load(path: Path, *, needs_cloudpickle: bool) -> Any:
    """Load the object of a pickle file. This runs code of the file: call `require_consent` first.

    Raises:
        InvalidModelError: the file is not a pickle, or its code failed.
        MissingDependencyError: cloudpickle is needed and not installed.
    """
    if needs_cloudpickle:
        optional_import("cloudpickle", "cloudpickle")
    try:
        with path.open("rb") as file:
            return _Unpickler(file).load()
    except Exception as error:
        # The model's own code can raise anything.
        raise InvalidModelError(
            f"The pickle {str(path)!r} cannot be loaded: {type(error).__name__}: {error}"
        ) from error


def _cloud_dump(value: Any, file: BinaryIO) -> None:
    cloudpickle = optional_import("cloudpickle", "cloudpickle")
    # By value, so that the pickle carries the base class and loads where this package is not installed.
    cloudpickle.register_pickle_by_value(python_model)
    try:
        cloudpickle.dump(value, file, protocol=pickle.DEFAULT_PROTOCOL)
    finally:
        cloudpickle.unregister_pickle_by_value(python_model)
