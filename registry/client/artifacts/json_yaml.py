"""Nested values as JSON or YAML text, and back.

Guarantees: NumPy's numbers and arrays are written as numbers and lists, not as their `str`; reading runs no code.
"""

import datetime
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Any, Final

from registry.exceptions import InvalidParameterError

Leaf = Callable[[Any], Any]
"""Converts a value that is not a container, str, int or bool."""

_YAML_SUFFIXES: Final = (".yml", ".yaml")


def dump_document(value: Any, path: str) -> bytes:
    """Return a nested value as YAML if `path` ends in ``.yml`` or ``.yaml``, else as JSON with an indent of 2; UTF-8.

    Values that the format cannot express become their `str`.

    Raises:
        InvalidParameterError: The value contains itself, nests too deeply, or has an int of more digits than Python
            writes.
    """
    is_yaml = _is_yaml(path)
    plain = to_plain(value, _yaml_leaf if is_yaml else _json_leaf)
    try:
        if is_yaml:
            import yaml

            return yaml.safe_dump(plain, indent=2, allow_unicode=True, encoding="utf-8")
        return json.dumps(plain, indent=2).encode()
    except ValueError as error:
        raise InvalidParameterError(f"The value cannot be written to {path!r}: {error}.") from error


def load_document(data: bytes, path: str) -> Any:
    """Return the value of YAML or JSON text, by the ending of `path`.

    Raises:
        InvalidParameterError: The text is not of this format, or not UTF-8.
    """
    kind = "YAML" if _is_yaml(path) else "JSON"
    text = decode_text(data, path)
    try:
        return _load_yaml(text) if kind == "YAML" else json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidParameterError(
            f"The file {path!r} is not {kind}: {' '.join(str(error).split())[:300]}", error_code="BAD_REQUEST"
        ) from error


def decode_text(data: bytes, path: str) -> str:
    """Decode the UTF-8 text of a file.

    Raises:
        InvalidParameterError: It is not UTF-8.
    """
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidParameterError(
            f"The file {path!r} is not valid UTF-8 (byte {error.start}). To read another encoding, download it with "
            "registry.artifacts.download_artifacts and open it with that encoding.",
            error_code="BAD_REQUEST",
        ) from error


def to_plain(value: Any, leaf: Leaf) -> Any:
    """Convert a nested value to dict, list, str, int, bool, None, and the results of `leaf`.

    Raises:
        InvalidParameterError: The value contains itself, or nests too deeply.
    """
    try:
        return _to_plain(value, leaf)
    except RecursionError:
        raise InvalidParameterError("The value contains itself, or nests too deeply to be written.") from None


def _to_plain(value: Any, leaf: Leaf) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)  # an enum of texts is written as its value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, Mapping):
        return {_to_key(key, leaf): _to_plain(item, leaf) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_to_plain(item, leaf) for item in value]
    return _to_plain(value.tolist(), leaf) if _is_numeric_numpy(value) else leaf(value)


def _to_key(key: Any, leaf: Leaf) -> Any:
    written = _to_plain(key, leaf)
    return written if written is None or isinstance(written, str | int | float) else str(key)


def _is_numeric_numpy(value: Any) -> bool:
    numpy = sys.modules.get("numpy")  # if NumPy is not loaded, the value is not NumPy's
    if numpy is None or isinstance(value, float) or not isinstance(value, numpy.generic | numpy.ndarray):
        return False
    return value.dtype.kind not in "mMV"  # times and records are not numbers


def _json_leaf(value: Any) -> Any:
    return float(value) if isinstance(value, float) else str(value)


def _yaml_leaf(value: Any) -> Any:
    # YAML cannot represent subclasses such as pandas.Timestamp.
    return value if type(value) in (datetime.date, datetime.datetime, bytes) else _json_leaf(value)


def _load_yaml(text: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def _is_yaml(path: str) -> bool:
    return PurePosixPath(path).suffix.lower() in _YAML_SUFFIXES
