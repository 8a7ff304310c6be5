"""Checks a whole set of files before the first byte is transferred. All stores share these checks.

Guarantees: a set of files that cannot be stored, or is incomplete, is refused before anything changes.
"""

import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from registry.blobs.directory import Directory
from registry.blobs.paths import check_blob_path, check_subtree, join
from registry.blobs.protocol import BlobStore
from registry.entities.paging import FileInfo
from registry.exceptions import ArtifactNotFoundError, InvalidPathError, PathExistsError, disk_error


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A local file to store as `path`; `size` is in bytes, as listed."""

    path: str
    size: int
    open: Callable[[], AbstractContextManager[BinaryIO]]


def local_source(source: Path, path: str) -> list[SourceFile]:
    """A local file as `path`, or the files of a local directory below `path`.

    Raises:
        ArtifactNotFoundError: `source` does not exist.
        InvalidPathError: the directory has a symlink or a name that cannot be stored.
    """
    try:
        status = source.stat()
    except PermissionError as error:
        raise disk_error(f"{source} cannot be read: {os.strerror(error.errno or 0)}.", error) from error
    except OSError as error:
        raise ArtifactNotFoundError(f"{source} cannot be stored: {os.strerror(error.errno or 0)}.") from error
    if stat.S_ISREG(status.st_mode):
        return [SourceFile(check_blob_path(path), status.st_size, lambda: _open(source))]
    if not stat.S_ISDIR(status.st_mode):
        raise InvalidPathError(f"{source} is neither a file nor a directory.")
    return [_below(Directory(source), info, check_subtree(path)) for info in Directory(source).files()]


def planned(files: Iterable[FileInfo], path: str, root: str) -> list[FileInfo]:
    """The files of a walk, of which there must be one.

    Raises:
        ArtifactNotFoundError: there is none.
    """
    found = list(files)
    if not found:
        raise ArtifactNotFoundError(f"There is no file at {join(root, path)}.")
    return found


def sealed_path(base: str, path: str) -> str:
    """Return the path to seal the file `path` under, relative to `base`; a single file keeps its name."""
    if path == base:
        return path.rpartition("/")[2]
    return path.removeprefix(base + "/") if base else path


def check_free(store: BlobStore) -> None:
    """Refuse to seal where a file is.

    Raises:
        PathExistsError: a file is below the root of `store`.
    """
    for level in store.list():
        for taken in store.walk(level.path):
            raise PathExistsError(
                f"{store.root} holds {taken.path!r} already. What is sealed is never changed; take a fresh path."
            )


@contextmanager
def filled_whole(destination: Path) -> Iterator[Directory]:
    """Open an empty directory to fill, creating it if missing; empty it again if the block raises.

    Raises:
        PathExistsError: `destination` is not empty.
    """
    directory = Directory(destination)
    try:
        destination.mkdir(parents=True, exist_ok=True)
        taken = next(destination.iterdir(), None)
    except OSError as error:
        raise disk_error(
            f"{destination} cannot be used as a directory: {os.strerror(error.errno or 0)}.", error
        ) from error
    if taken is not None:
        raise PathExistsError(f"{destination} is not empty (it holds {taken.name!r}); give an empty directory.")
    try:
        yield directory
    except BaseException:
        for child in destination.iterdir():
            if child.is_dir() and not child.is_symlink():
                shutil.rmtree(child)
            else:
                child.unlink()
        raise


def _below(directory: Directory, info: FileInfo, path: str) -> SourceFile:
    return SourceFile(check_blob_path(join(path, info.path)), info.file_size or 0, lambda: directory.open(info.path))


@contextmanager
def _open(source: Path) -> Iterator[BinaryIO]:
    try:
        with source.open("rb") as file:
            yield file
    except OSError as error:
        raise disk_error(f"{source} cannot be read: {os.strerror(error.errno or 0)}.", error) from error
