"""Prepare a model directory, and copy code and extra files into it."""

import errno
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from registry.exceptions import (
    ArtifactNotFoundError,
    InvalidParameterError,
    InvalidTypeError,
    PathExistsError,
    StorageError,
)
from registry.validation.paths import check_local_path

CODE_DIRECTORY: Final = "code"
EXTRA_DIRECTORY: Final = "extra_files"
_FULL: Final = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
_NOT_COPIED = shutil.ignore_patterns("__pycache__", "*.pyc")


def prepare_directory(path: str | Path) -> Path:
    """Return an empty directory at `path`, created if missing.

    Raises:
        PathExistsError: `path` is a file, or a directory that is not empty.
        InvalidPathError: `path` is not a path of this machine.
    """
    directory = check_local_path(path)
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise PathExistsError(f"Path '{directory}' already exists and is not empty; save to another path or remove it.")
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def copy_code(code_paths: Sequence[str | Path] | None, directory: Path) -> str | None:
    """Copy files and packages into ``code/``. Return that name, or None if `code_paths` is None.

    Raises:
        InvalidTypeError: `code_paths` is not a list.
        ArtifactNotFoundError: a path does not exist.
    """
    if code_paths is None:
        return None
    _copy_all(code_paths, directory / CODE_DIRECTORY, "code_paths")
    return CODE_DIRECTORY


def copy_extra_files(extra_files: Sequence[str | Path] | None, directory: Path) -> dict[str, Any]:
    """Copy files into ``extra_files/``. Return what to add to the flavor's entry of the MLmodel file.

    Raises:
        InvalidTypeError: `extra_files` is not a list.
        ArtifactNotFoundError: a path does not exist.
    """
    if not extra_files:
        return {}
    names = _copy_all(extra_files, directory / EXTRA_DIRECTORY, "extra_files")
    return {EXTRA_DIRECTORY: [{"path": f"{EXTRA_DIRECTORY}/{name}"} for name in names]}


def copy_in(source: Path, target: Path) -> None:
    """Copy a file or directory to `target`.

    Raises:
        ArtifactNotFoundError: `source` does not exist.
        InvalidParameterError: it cannot be copied.
        StorageError: the disk is full.
    """
    if not source.exists():
        raise ArtifactNotFoundError(f"There is no file or directory {str(source)!r} to be saved with the model.")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        if source.is_dir():
            shutil.copytree(source, target, ignore=_NOT_COPIED)
        else:
            shutil.copy2(source, target)
    except (OSError, shutil.Error) as error:
        if _is_full_disk(error):
            raise StorageError(f"{str(source)!r} cannot be copied into the model: the disk is full.") from error
        raise InvalidParameterError(f"{str(source)!r} cannot be copied into the model: {error}") from error


def _is_full_disk(error: OSError) -> bool:
    # copytree reports errors of single files only as text.
    return error.errno in _FULL or any(os.strerror(number) in str(error) for number in _FULL)


def size_of(directory: Path) -> int:
    """Return the total size of all files below a directory, in bytes."""
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def _copy_all(paths: Sequence[str | Path], target: Path, what: str) -> list[str]:
    if not isinstance(paths, list | tuple):
        raise InvalidTypeError(f"{what} should be a list of paths, not {type(paths).__name__}")
    names = []
    for path in map(check_local_path, paths):
        # "." and ".." have no name; `resolve` gives them one. Like copying, it follows links.
        name = path.name or path.resolve().name
        if name in names:
            raise InvalidParameterError(f"{what} has two paths that end in {name!r}; rename one.")
        copy_in(path, target / name)
        names.append(name)
    return names
