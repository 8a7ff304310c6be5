"""Checks the paths that a byte store accepts, and names files that are still being written.

Guarantees: a path that passes can be stored by every store, and is never mistaken for a partial file.
"""

import re
import secrets
from typing import Final

from registry.exceptions import InvalidPathError
from registry.validation.paths import check_path

_TEMPORARY: Final = re.compile(r"\.registry-[0-9a-f]{16}\.part")


def temporary_name() -> str:
    """Return a fresh name for a file that is still being written."""
    return f".registry-{secrets.token_hex(8)}.part"


def is_temporary(name: str) -> bool:
    """Tell whether `temporary_name` made a file name."""
    return _TEMPORARY.fullmatch(name) is not None


def check_blob_path(path: object, what: str = "artifact path") -> str:
    """Return a relative path that every store can hold.

    Raises:
        InvalidPathError: The path breaks the rules of `check_path`, or has a name reserved for partial files.
    """
    text = check_path(path, what)
    if any(is_temporary(segment) for segment in text.split("/")):
        raise InvalidPathError(f"Invalid {what}: {text!r} has a name reserved for half-written files; rename the file.")
    return text


def check_subtree(path: object) -> str:
    """Do as `check_blob_path`; ``""`` means everything below the root."""
    return "" if path == "" else check_blob_path(path)


def join(base: str, path: str) -> str:
    """Join two relative paths, either of which may be ``""``."""
    return f"{base}/{path}" if base and path else base or path
