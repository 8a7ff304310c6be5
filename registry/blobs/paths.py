"""Which paths a byte store takes, and how it names the files that it is still writing.

Owns the temporary name; leaves the grammar of paths to `entities.naming`. The invariant: a path that passes here can be
stored by every store, and is never mistaken for a half-written file.
"""

import re
import secrets
from typing import Final

from registry.exceptions import InvalidPathError
from registry.validation.paths import check_path

_TEMPORARY: Final = re.compile(r"\.registry-[0-9a-f]{16}\.part")


def temporary_name() -> str:
    """A fresh file name for bytes that are not whole yet."""
    return f".registry-{secrets.token_hex(8)}.part"


def is_temporary(name: str) -> bool:
    """Whether a file name was made by `temporary_name`."""
    return _TEMPORARY.fullmatch(name) is not None


def check_blob_path(path: object, what: str = "artifact path") -> str:
    """A relative path that every store can hold.

    Raises:
        InvalidPathError: the path breaks the grammar of `check_path`, or has a name reserved for half-written files.
    """
    text = check_path(path, what)
    if any(is_temporary(segment) for segment in text.split("/")):
        raise InvalidPathError(f"Invalid {what}: {text!r} has a name reserved for half-written files; rename the file.")
    return text


def check_subtree(path: object) -> str:
    """As `check_blob_path`, with ``""`` for everything below the root."""
    return "" if path == "" else check_blob_path(path)


def join(base: str, path: str) -> str:
    """`path` below `base`, either of which may be ``""``."""
    return f"{base}/{path}" if base and path else base or path
