"""Files of the user's own: what the functions in ``custom_artifacts`` return, as bytes of a known kind."""

import io
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from registry.client.artifacts.figures import draw_figure
from registry.evaluation.metrics import Arguments, MetricValue
from registry.evaluation.result import ENDINGS
from registry.exceptions import InvalidParameterError, InvalidTypeError, RegistryError


def make_artifacts(
    functions: Sequence[Callable[..., Any]], arguments: Arguments, results: Mapping[str, MetricValue]
) -> dict[str, tuple[str, bytes]]:
    """Call functions with (frame, metrics, directory); return the files that they make, as (file name, bytes) by name.

    Raises:
        InvalidTypeError: A function returns no mapping, or something that is no file, table, array, figure or JSON.
        InvalidParameterError: Two artifacts have one name.
    """
    made: dict[str, tuple[str, bytes]] = {}
    for function in functions:
        if not callable(function):
            raise InvalidTypeError(f"custom_artifacts is a list of functions, but has {function!r:.60}.")
        name = getattr(function, "__name__", repr(function))
        with tempfile.TemporaryDirectory(prefix="registry-") as directory:
            found = function(arguments.frame(), dict(results), directory)
            if not isinstance(found, Mapping) or not all(isinstance(key, str) for key in found):
                raise InvalidTypeError(f"The function {name!r} in custom_artifacts must return a dict by name.")
            for key, value in found.items():
                if key in made:
                    raise InvalidParameterError(f"Two artifacts of custom_artifacts are named {key!r}.")
                ending, data = _as_file(key, value)
                made[key] = (f"{key}{ending}", data)
    return made


def _as_file(name: str, value: Any) -> tuple[str, bytes]:
    if isinstance(value, Path) or (isinstance(value, str) and _is_file(value)):
        path = Path(value)
        if path.suffix.lower() not in ENDINGS:
            raise InvalidTypeError(
                f"The artifact {name!r} is the file {path.name!r}; it must end with one of {ENDINGS}."
            )
        try:
            return path.suffix.lower(), path.read_bytes()
        except OSError as error:
            raise InvalidParameterError(f"The artifact {name!r} cannot be read: {error}.") from error
    if isinstance(value, pd.DataFrame):
        return ".csv", value.to_csv(index=False).encode()
    if isinstance(value, np.ndarray):
        buffer = io.BytesIO()
        try:
            np.save(buffer, value, allow_pickle=False)
        except ValueError as error:
            raise InvalidTypeError(f"The artifact {name!r} is an array of objects: {error}") from error
        return ".npy", buffer.getvalue()
    if hasattr(value, "savefig"):
        try:
            return ".png", draw_figure(value, f"{name}.png", {})
        except RegistryError as error:
            raise InvalidTypeError(f"The artifact {name!r} could not be drawn: {error}") from error
    try:
        text = json.dumps(json.loads(value) if isinstance(value, str) else value, default=_plain)
    except (TypeError, ValueError) as error:
        raise InvalidTypeError(
            f"The artifact {name!r} is a value of type {type(value).__name__}: it must be a file's path, JSON, a "
            f"DataFrame, an array or a matplotlib figure ({error})."
        ) from error
    return ".json", text.encode()


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):
        return False


def _plain(value: object) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is not JSON")
