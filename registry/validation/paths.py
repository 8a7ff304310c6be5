"""Which paths are accepted: artifact paths inside a store, and local paths of this machine.

Guarantees: a path that passes stays below the root it is joined to. Nothing is normalised or percent-decoded first.
"""

import os
import posixpath
import re
import unicodedata
from pathlib import Path, PurePath
from typing import Final

from registry.exceptions import InvalidPathError, InvalidTypeError
from registry.validation.arguments import shown_value

MAX_PATH_BYTES: Final = 1_024
MAX_SEGMENT_BYTES: Final = 255


# A colon is a character of names like any other, except where it makes a drive.
_DRIVE: Final = re.compile(r"[A-Za-z]:" if os.name == "nt" else r"[A-Za-z]:(?=/|\\|$)")


def is_plain_path(text: str) -> bool:
    """Tell whether a path is relative, already normalised and stays below its root."""
    return posixpath.normpath(text) == text and not text.startswith(("/", "..")) and text != "."


def check_path(path: object, what: str = "artifact path") -> str:
    """A relative ``/``-separated path that stays below its root: no empty, ``.`` or ``..`` segment, no backslash.

    Raises:
        InvalidPathError: the path could leave its root or cannot be stored everywhere.
    """
    if isinstance(path, str):
        reason = _path_fault(path)
        if reason is None:
            return path
    else:
        reason = "is not a string"
    raise InvalidPathError(
        f"Invalid {what}: {path!r} {reason}. Use a relative path with '/' between names, such as 'plots/roc.png'."
    )


def _path_fault(path: str) -> str | None:
    if path == "":
        return "is empty"
    if path.startswith("/") or _DRIVE.match(path):
        return "is absolute"
    if "\\" in path:
        return "has a backslash"
    if len(path) > MAX_PATH_BYTES:
        return f"is longer than {MAX_PATH_BYTES} bytes"
    # Printable characters are none of those, and are told at once.
    if not path.isprintable() and any(unicodedata.category(one) in ("Cc", "Cs", "Zl", "Zp") for one in path):
        return "has a control character"
    if len(path.encode()) > MAX_PATH_BYTES:
        return f"is longer than {MAX_PATH_BYTES} bytes"
    for segment in path.split("/"):
        if segment in ("", ".", ".."):
            return f"has the segment {segment!r}"
        if len(segment.encode()) > MAX_SEGMENT_BYTES:
            return f"has a segment longer than {MAX_SEGMENT_BYTES} bytes"
    return None


MAX_LOCAL_SEGMENT_BYTES: Final = 255
MAX_LOCAL_PATH_BYTES: Final = 4_095


def check_local_path(path: object) -> Path:
    """A path of this machine, which need not exist.

    Raises:
        InvalidTypeError: it is neither a string nor a Path.
        InvalidPathError: it is empty, has a NUL or half a surrogate pair, or is longer than any file system takes.
    """
    if not isinstance(path, str | os.PathLike) or not isinstance(text := os.fspath(path), str):
        raise InvalidTypeError(f"A local path must be a string or Path, got {shown_value(path)}.")
    if reason := _local_path_fault(text):
        raise InvalidPathError(f"{text!r} is not a local path: {reason}. Give the path of a file or directory.")
    return Path(text)


def _local_path_fault(text: str) -> str | None:
    if not text or "\0" in text:
        return "it is empty" if not text else "it has a NUL"
    try:
        data = os.fsencode(text)
    except UnicodeEncodeError as error:
        if "\ud800" <= error.object[error.start] <= "\udfff":
            return "it has half of a surrogate pair"
        return (
            f"the encoding for file names here, {error.encoding}, cannot hold it (set PYTHONUTF8=1 or a UTF-8 locale)"
        )
    if len(data) > MAX_LOCAL_PATH_BYTES:
        return f"it is longer than {MAX_LOCAL_PATH_BYTES} bytes"
    if any(len(segment) > MAX_LOCAL_SEGMENT_BYTES for segment in data.split(os.sep.encode())):
        return f"it has a name longer than {MAX_LOCAL_SEGMENT_BYTES} bytes"
    return None


# Nothing here decodes, but other readers of the same bytes may: encoded . / \ % and control characters.
_ENCODED: Final = re.compile(r"%(?:2[ef5]|5c|[01][0-9a-f]|7f)", re.IGNORECASE)


def check_artifact_path(path: object) -> str:
    """Return a relative path below a run's artifact directory, that no reader can take for one that leaves it.

    A leading ``./`` and one ``/`` at the end are how people write paths and directories; they are taken off.

    Raises:
        InvalidPathError: the path is absolute, climbs, has a backslash, or has an encoded form of these.
    """
    given = path.as_posix() if isinstance(path, PurePath) else path
    text = check_path(given.removeprefix("./").removesuffix("/") if isinstance(given, str) else given)
    if found := _ENCODED.search(text):
        raise InvalidPathError(
            f"Invalid artifact path: {text!r} has {found[0]!r}, which some readers would decode. Use a relative path "
            "with '/' between names, such as 'plots/roc.png'."
        )
    return text
