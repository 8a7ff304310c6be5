"""A small JSON file that is whole at every moment, whatever stops the program: checkpoints and cursors.

Invariant: readers see the old content or the new one, never a part; what was written survives a power failure.
"""

import contextlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from registry.exceptions import InvalidParameterError, disk_error


def read_json(path: Path, what: str) -> dict[str, Any] | None:
    """The object in a file, None if there is no file; `what` says in messages what it is.

    Raises:
        InvalidParameterError: the file holds something else.
        StorageError: it cannot be read.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise disk_error(f"The {what} {str(path)!r} cannot be read: {error.strerror}.", error) from error
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise InvalidParameterError(f"The file {str(path)!r} is not a {what}; give the one that was written here.")
    return found


def write_json(path: Path, value: dict[str, Any], what: str) -> None:
    """Put an object in the place of a file's content, all at once.

    Raises:
        StorageError: it cannot be written; the old content is still there.
    """
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    try:
        _replace(path, text)
    except OSError as error:
        raise disk_error(f"The {what} {str(path)!r} cannot be written: {error.strerror}.", error) from error


def _replace(path: Path, text: str) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(name).unlink()
        raise
    _sync_directory(path.parent)


def _sync_directory(directory: Path) -> None:
    if os.name != "posix":  # elsewhere a directory cannot be opened
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
