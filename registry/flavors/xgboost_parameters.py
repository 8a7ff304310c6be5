"""Store the parameters of XGBoost's scikit-learn wrappers, as JSON beside the model file.

XGBoost's own file holds the trees but not the wrapper's parameters, such as ``missing``, which changes predictions.
Guarantees: parameters are data. Reading them calls nothing, and sets only attributes that the wrapper's class knows.
"""

import inspect
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from registry.exceptions import InvalidModelError

FILE_NAME: Final = "wrapper_parameters.json"
_MAX_BYTES: Final = 64 * 1024 * 1024
# XGBoost starts as many threads as it is told; if the system cannot, the process crashes.
_MAX_THREADS: Final = 1_024
_SPECIAL_FLOATS: Final = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def save_wrapper_parameters(model: Any, directory: Path) -> list[str]:
    """Write the parameters of a wrapper and its evaluation results. Return the names of those that are not data."""
    parameters: dict[str, Any] = {}
    left_out = []
    # Read attributes, because get_params() draws a number from a random generator.
    own = {name: getattr(model, name, None) for name in sorted(_parameter_names(type(model)))}
    for name, value in (own | dict(vars(model).get("kwargs") or {})).items():
        try:
            parameters[name] = to_json(name, value)
        except TypeError:
            left_out.append(name)
    content = {"parameters": parameters, "evals_result": _results(vars(model).get("evals_result_"))}
    (directory / FILE_NAME).write_text(json.dumps(content, allow_nan=False), encoding="utf-8")
    return left_out


@dataclass(frozen=True, slots=True)
class WrapperParameters:
    """The parameters that were saved with a wrapper, and its evaluation results."""

    values: Mapping[str, Any]
    evals_result: Any

    @classmethod
    def read(cls, file: Path) -> "WrapperParameters":
        """Read a file that `save_wrapper_parameters` wrote.

        Raises:
            InvalidModelError: the file has another form.
        """
        try:
            if file.stat().st_size > _MAX_BYTES:
                raise ValueError(f"it is larger than {_MAX_BYTES} bytes")
            content = json.loads(file.read_text(encoding="utf-8"))
            values = {name: from_json(value) for name, value in content["parameters"].items()}
            results = from_json(content.get("evals_result"))
            _check_threads(values.get("n_jobs"))
            if not isinstance(values.get("missing", math.nan), int | float):
                raise ValueError(f"missing is {values['missing']!r}, not a number")
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError) as error:
            raise InvalidModelError(f"The wrapper parameters in {str(file)!r} cannot be read: {error!r}") from None
        return cls(values, results)

    def apply(self, model: Any) -> None:
        """Set the parameters on a wrapper. Parameters that its class does not know become its `kwargs`."""
        known = _parameter_names(type(model))
        for name in known & self.values.keys():
            setattr(model, name, self.values[name])
        if kwargs := {name: value for name, value in self.values.items() if name not in known}:
            model.kwargs = kwargs
        if isinstance(self.evals_result, dict):
            model.evals_result_ = self.evals_result


def _parameter_names(wrapper: type) -> set[str]:
    """Return the parameter names of the constructors of a wrapper's class and its bases, without `kwargs`."""
    return {
        name
        for base in wrapper.__mro__
        if "__init__" in vars(base) and hasattr(base, "get_params")
        for name in _keyword_names(base)
    }


def _keyword_names(wrapper: type) -> list[str]:
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    signature = inspect.signature(wrapper)
    return [name for name, parameter in signature.parameters.items() if parameter.kind in kinds]


def _check_threads(count: object) -> None:
    if count is None:
        return
    if type(count) is not int or abs(count) > _MAX_THREADS:
        raise ValueError(f"n_jobs is {count!r}; it can be None or an integer up to {_MAX_THREADS}")


def _results(results: object) -> Any:
    try:
        return to_json("evals_result", results)
    except TypeError:
        return None


def to_json(name: str, value: Any) -> Any:
    """Return the JSON form of a value. Values that JSON lacks become a map with one key that starts with ``$``.

    Raises:
        TypeError: the value is not data.
    """
    import numpy as np

    if isinstance(value, np.generic):
        value = value.item()
    if name == "n_jobs":
        try:
            _check_threads(value)
        except ValueError as error:
            raise TypeError(str(error)) from None
    if value is None or type(value) in (bool, int, str):
        return value
    if type(value) is float:
        return value if math.isfinite(value) else {"$float": str(value)}
    if type(value) is list:
        return [to_json("", item) for item in value]
    if type(value) is tuple:
        return {"$tuple": [to_json("", item) for item in value]}
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return {"$array": [to_json("", item) for item in value.tolist()], "dtype": value.dtype.name}
    if isinstance(value, Mapping):
        if all(type(key) is str and not key.startswith("$") for key in value):
            return {key: to_json("", item) for key, item in value.items()}
        return {"$map": [[to_json("", key), to_json("", item)] for key, item in value.items()]}
    raise TypeError(f"a {type(value).__name__} is not data")


def from_json(value: Any) -> Any:
    """Return the value whose JSON form `to_json` returned."""
    if isinstance(value, list):
        return [from_json(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "$float" in value:
        return _SPECIAL_FLOATS[value["$float"]]
    if "$tuple" in value:
        return tuple(from_json(value["$tuple"]))
    if "$map" in value:
        return {from_json(key): from_json(item) for key, item in value["$map"]}
    if "$array" in value:
        return _array(from_json(value["$array"]), str(value["dtype"]))
    return {key: from_json(item) for key, item in value.items()}


def _array(items: list[Any], dtype: str) -> Any:
    import numpy as np

    kind = np.dtype(dtype)
    if kind.kind not in "biuf":
        raise ValueError(f"an array of {dtype} is not known")
    return np.array(items, dtype=kind)
