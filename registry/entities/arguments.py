"""What callers hand in as mappings, lists and paths of this machine, checked for being that.

Leaves the keys, texts and numbers in them to whoever uses them, and touches no disk. Invariant: what passes is a dict
or list of the caller's entries that nobody else holds, or a path that the operating system can look up.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from registry.exceptions import InvalidPathError, InvalidTypeError

MAX_LOCAL_SEGMENT_BYTES: Final = 255
MAX_LOCAL_PATH_BYTES: Final = 4_095


def check_mapping(value: object, what: str) -> dict[Any, Any]:
    """A mapping as a dict; None is an empty one.

    Raises:
        InvalidTypeError: it is no mapping.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidTypeError(f"{what} must be a dict, such as {{'name': 'value'}}, got {_shown(value)}.")
    return dict(value)


def check_list(value: object, what: str, kind: type[Any]) -> list[Any]:
    """Values of one class as a list; None is an empty one. A text is not taken for a list of characters.

    Raises:
        InvalidTypeError: it cannot be iterated, or has another value.
    """
    if value is None:
        return []
    if not isinstance(value, Iterable) or isinstance(value, str | bytes | Mapping):
        raise InvalidTypeError(f"{what} must be a list of {kind.__name__}, got {_shown(value)}.")
    found = list(value)
    for item in found:
        if not isinstance(item, kind):
            raise InvalidTypeError(f"{what} must be a list of {kind.__name__}, but has {_shown(item)}.")
    return found


def check_local_path(path: object) -> Path:
    """A path of this machine, which need not exist.

    Raises:
        InvalidTypeError: it is neither a string nor a Path.
        InvalidPathError: it is empty, has a NUL or half a surrogate pair, or is longer than any file system takes.
    """
    if not isinstance(path, str | os.PathLike) or not isinstance(text := os.fspath(path), str):
        raise InvalidTypeError(f"A local path must be a string or Path, got {_shown(path)}.")
    if reason := _path_fault(text):
        raise InvalidPathError(f"{text!r} is not a local path: {reason}. Give the path of a file or directory.")
    return Path(text)


def _path_fault(text: str) -> str | None:
    if not text or "\0" in text:
        return "it is empty" if not text else "it has a NUL"
    try:
        data = os.fsencode(text)
    except UnicodeEncodeError:
        return "it has half of a surrogate pair"
    if len(data) > MAX_LOCAL_PATH_BYTES:
        return f"it is longer than {MAX_LOCAL_PATH_BYTES} bytes"
    if any(len(segment) > MAX_LOCAL_SEGMENT_BYTES for segment in data.split(os.sep.encode())):
        return f"it has a name longer than {MAX_LOCAL_SEGMENT_BYTES} bytes"
    return None


def _shown(value: object) -> str:
    text = repr(value)
    return f"{text if len(text) <= 60 else text[:60] + '…'} of type {type(value).__name__}"
