"""Downloads and JSON files that appear in local directories atomically.

A download is staged in a directory beside its target, on the same disk, and then moved. Guarantees: until every byte is
there and every target path is free, the target is untouched; symlinks below the destination are not followed.
"""

import contextlib
import json
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from registry.exceptions import InvalidParameterError, InvalidPathError, RegistryError, disk_error

Fetch = Callable[[Path], list[Path]]
"""Fills an empty directory and returns the files or directories to move; later ones overwrite earlier ones."""


def move_into_place(destination: Path | None, name: str, fetch: Fetch) -> Path:
    """Move the files that `fetch` downloads to `name` in a directory, or to the directory itself if `name` is ``""``.

    The directory is created if it is missing; None means a new temporary one. Existing files are replaced, others stay.
    Return the path of the file or directory.

    Raises:
        InvalidParameterError: The destination is a file.
        InvalidPathError: A directory or a symlink is in the place of a file.
        StorageError: The disk reports an error.
    """
    with _map_disk_errors(destination):
        if destination is not None:
            return _move(destination.absolute(), name, fetch)
        fresh = Path(tempfile.mkdtemp(prefix="registry-"))
        try:
            return _move(fresh, name, fetch)
        except BaseException:
            shutil.rmtree(fresh)
            raise


def _move(destination: Path, name: str, fetch: Fetch) -> Path:
    anchor = destination
    while not anchor.exists():
        anchor = anchor.parent
    if not anchor.is_dir():
        raise InvalidParameterError(f"{str(anchor)!r} is a file; the destination of a download is a directory.")
    # Stage inside the target or its nearest existing parent: no other directory has to be writable or on the same disk.
    with tempfile.TemporaryDirectory(prefix=".registry-", dir=anchor) as staging:
        copies = fetch(Path(staging))
        target = destination / name
        moves = _moves(copies, target)
        for place in moves:
            _check_free(destination, place)
        target.parent.mkdir(parents=True, exist_ok=True)
        if len(copies) == 1 and copies[0].is_dir() and not target.exists():
            copies[0].rename(target)
            return target
        for place, file in moves.items():
            place.parent.mkdir(parents=True, exist_ok=True)
            file.replace(place)
        if not moves:
            target.mkdir(exist_ok=True)
    return target


def _moves(copies: list[Path], target: Path) -> dict[Path, Path]:
    """Map each target to its source. If two copies need one path, as a file or as a directory, the later one wins."""
    moves: dict[Path, Path] = {}
    directories: set[Path] = set()
    for copy in reversed(copies):
        for file in _files(copy):
            place = target / file.relative_to(copy)
            if place not in directories and not any(path in moves for path in (place, *place.parents)):
                moves[place] = file
                directories.update(place.parents)
    return moves


def _files(copy: Path) -> list[Path]:
    return [copy] if copy.is_file() else sorted(path for path in copy.rglob("*") if not path.is_dir())


def _check_free(destination: Path, place: Path) -> None:
    """Raise if a file cannot be placed there, before anything is changed."""
    for above in reversed(place.relative_to(destination).parents[:-1]):
        mode = _mode(destination / above)
        if mode is None:
            return
        if not stat.S_ISDIR(mode):
            kind = "a symbolic link, which is not followed" if stat.S_ISLNK(mode) else "a file"
            raise InvalidPathError(f"{destination / above} is {kind}; a directory is needed in its place.")
    if (mode := _mode(place)) is not None and stat.S_ISDIR(mode):
        raise InvalidPathError(f"{place} is a directory; a file cannot take its place.")


def _mode(path: Path) -> int | None:
    try:
        return path.lstat().st_mode
    except FileNotFoundError:
        return None


@contextlib.contextmanager
def _map_disk_errors(destination: Path | None) -> Iterator[None]:
    try:
        yield
    except RegistryError:
        raise
    except OSError as error:
        place = destination or tempfile.gettempdir()
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise disk_error(
            f"The download to {str(place)!r} failed: {reason}. Check the rights and the free space there, or give "
            "another dst_path.",
            error,
        ) from error


def read_json(path: Path, what: str) -> dict[str, Any] | None:
    """Return the JSON object in a file, or None if there is no file; `what` names the file in messages.

    Raises:
        InvalidParameterError: The file holds something else.
        StorageError: The file cannot be read.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise disk_error(f"The {what} {str(path)!r} cannot be read: {error.strerror}.", error) from error
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise InvalidParameterError(f"The file {str(path)!r} is not a {what}; give the one that was written here.")
    return value


def write_json(path: Path, value: dict[str, Any], what: str) -> None:
    """Replace a file's content with a JSON object atomically.

    Raises:
        StorageError: The file cannot be written; the old content is still there.
    """
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    try:
        replace_text(path, text)
    except OSError as error:
        raise disk_error(f"The {what} {str(path)!r} cannot be written: {error.strerror}.", error) from error


def replace_text(path: Path, text: str, mode: int = 0o666) -> None:
    """Replace a file's content atomically and durably. `mode` is that of the new file, less what the umask takes.

    Raises:
        OSError: The file cannot be written; the old content is still there.
    """
    name = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        name.replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            name.unlink()
        raise
    sync_to_disk(path.parent)


def sync_to_disk(path: Path) -> None:
    """Wait until a file, or the names in a directory, are on the disk."""
    if os.name != "posix":  # elsewhere a directory cannot be opened
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
