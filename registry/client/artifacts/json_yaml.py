"""Settings and other nested values as JSON or YAML text, and back.

Owns what becomes of values that neither format knows. Invariant: NumPy's numbers and arrays are written as numbers and
lists, never as their text; what is written can be read again without running code.
"""

import datetime
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Any, Final

from registry.exceptions import InvalidParameterError

Leaf = Callable[[Any], Any]
"""What becomes of a value that is no container, text, whole number or truth value."""

_YAML_SUFFIXES: Final = (".yml", ".yaml")


def dump_document(value: Any, path: str) -> bytes:
    """A nested value as YAML if `path` ends in ``.yml`` or ``.yaml``, else as JSON with an indent of 2; UTF-8.

    Values that the format has no form for become their `str`.

    Raises:
        InvalidParameterError: the value contains itself, or nests too deeply.
    """
    if _is_yaml(path):
        import yaml

        return yaml.safe_dump(plain(value, _yaml_leaf), indent=2, allow_unicode=True, encoding="utf-8")
    return json.dumps(plain(value, _json_leaf), indent=2).encode()


def load_document(data: bytes, path: str) -> Any:
    """The value of YAML or JSON text, by the ending of `path`.

    Raises:
        InvalidParameterError: it is not text of that format in UTF-8.
    """
    kind = "YAML" if _is_yaml(path) else "JSON"
    text = decode(data, path)
    try:
        return _load_yaml(text) if kind == "YAML" else json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidParameterError(
            f"The file {path!r} is not {kind}: {' '.join(str(error).split())[:300]}", error_code="BAD_REQUEST"
        ) from error


def decode(data: bytes, path: str) -> str:
    """The text of a file.

    Raises:
        InvalidParameterError: it is not UTF-8.
    """
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidParameterError(
            f"The file {path!r} is not valid UTF-8 (byte {error.start}). To read another encoding, download it with "
            "registry.artifacts.download_artifacts and open it with that encoding.",
            error_code="BAD_REQUEST",
        ) from error


def plain(value: Any, leaf: Leaf) -> Any:
    """A nested value made of dict, list, str, int, bool, None, and what `leaf` returns.

    Raises:
        InvalidParameterError: the value contains itself, or nests too deeply.
    """
    try:
        return _plain(value, leaf)
    except RecursionError:
        raise InvalidParameterError("The value contains itself, or nests too deeply to be written.") from None


def _plain(value: Any, leaf: Leaf) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)  # an enum of texts is written as its value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, Mapping):
        return {_key(key, leaf): _plain(item, leaf) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, leaf) for item in value]
    return _plain(value.tolist(), leaf) if _is_numeric_numpy(value) else leaf(value)


def _key(key: Any, leaf: Leaf) -> Any:
    written = _plain(key, leaf)
    return written if written is None or isinstance(written, str | int | float) else str(key)


def _is_numeric_numpy(value: Any) -> bool:
    numpy = sys.modules.get("numpy")  # without NumPy loaded there is no value of its types
    if numpy is None or isinstance(value, float) or not isinstance(value, numpy.generic | numpy.ndarray):
        return False
    return value.dtype.kind not in "mMV"  # times and records have no number to be written as


def _json_leaf(value: Any) -> Any:
    return float(value) if isinstance(value, float) else str(value)


def _yaml_leaf(value: Any) -> Any:
    # Subclasses, such as pandas.Timestamp, are unknown to YAML.
    return value if type(value) in (datetime.date, datetime.datetime, bytes) else _json_leaf(value)


def _load_yaml(text: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def _is_yaml(path: str) -> bool:
    return PurePosixPath(path).suffix.lower() in _YAML_SUFFIXES
