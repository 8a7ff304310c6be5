"""Checks a whole set of files before the first byte is transferred. All stores share these checks.

Guarantees: a set of files that cannot be stored, or is incomplete, is refused before anything changes.
"""

import errno
import os
import shutil
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from registry.blobs.directory import Directory
from registry.blobs.paths import check_blob_path, check_subtree, join
from registry.blobs.protocol import BlobStore
from registry.entities.paging import FileInfo
from registry.exceptions import (
    AccessDeniedError,
    ArtifactNotFoundError,
    InvalidPathError,
    PathExistsError,
    RegistryError,
    disk_error,
)


@dataclass(frozen=True, slots=True)
class LinkedFile:
    """A file: its path in the directory, where it is, and its size in bytes."""

    path: str
    place: Path
    size: int


def follow_links(directory: Path) -> Iterator[LinkedFile]:
    """Yield every file of a directory, sorted by path; symlinks count as what they lead to.

    Raises:
        InvalidPathError: a symlink leads to nothing or to a directory that holds it, or an entry is no file.
    """
    try:
        yield from _files(directory, "", ())
    except OSError as error:
        raise disk_error(f"{error.filename} cannot be read: {os.strerror(error.errno or 0)}.", error) from error


def _files(directory: Path, path: str, above: tuple[tuple[int, int], ...]) -> Iterator[LinkedFile]:
    status = directory.stat()
    identity = status.st_dev, status.st_ino
    if identity in above:
        raise InvalidPathError(f"{directory} is a symbolic link to a directory that holds it. Remove it.")
    for place in sorted(directory.iterdir()):
        try:
            found = place.stat()
        except (FileNotFoundError, NotADirectoryError) as error:
            raise InvalidPathError(f"{place} is a symbolic link to nothing. Remove it.") from error
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            raise InvalidPathError(f"{place} is a symbolic link to itself. Remove it.") from error
        below = join(path, place.name)
        if stat.S_ISDIR(found.st_mode):
            yield from _files(place, below, (*above, identity))
        elif stat.S_ISREG(found.st_mode):
            yield LinkedFile(below, place, found.st_size)
        else:
            raise InvalidPathError(f"{place} is neither a file nor a directory, nor a link to one. Remove it.")


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A local file to store as `path`; `size` is in bytes, as listed."""

    path: str
    size: int
    open: Callable[[], AbstractContextManager[BinaryIO]]


def local_source(source: Path, path: str, *, follow_symlinks: bool = False) -> list[SourceFile]:
    """Return a local file as `path`, or the files of a local directory below `path`.

    Raises:
        ArtifactNotFoundError: `source` does not exist.
        InvalidPathError: the directory has a name that cannot be stored, or a symlink: any, or if links are followed,
            one that leads to nothing, to a directory above it, or to what is no file.
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
    below = check_subtree(path)
    if follow_symlinks:
        return [_followed(found, check_blob_path(join(below, found.path))) for found in follow_links(source)]
    return [_below(Directory(source), info, below) for info in Directory(source).files()]


def planned(files: Iterable[FileInfo], path: str, root: str, *, may_be_empty: bool = False) -> list[FileInfo]:
    """Return the files of a walk, of which there must be one unless `may_be_empty`.

    Raises:
        ArtifactNotFoundError: there is none.
        InvalidPathError: a path is that of a file and of a directory, as S3 allows, or comes twice.
    """
    found = list(files)
    if not found and not may_be_empty:
        raise ArtifactNotFoundError(f"There is no file at {join(root, path)}.")
    _check_tree([file.path for file in found], root)
    return found


def _check_tree(paths: list[str], root: str) -> None:
    """Pass if a local directory can hold these files side by side.

    Raises:
        InvalidPathError: it cannot.
    """
    distinct = set(paths)
    if len(distinct) < len(paths):
        twice = next(path for path, count in Counter(paths).items() if count > 1)
        raise InvalidPathError(f"{join(root, twice)} is listed twice. Ask whoever runs the store.")
    for path in paths:
        above = path.rpartition("/")[0]
        while above:
            if above in distinct:
                raise InvalidPathError(
                    f"{join(root, above)} is a file, and {join(root, path)} is below it as in a directory. A directory "
                    "on disk cannot hold both; rename or remove one."
                )
            above = above.rpartition("/")[0]


def sealed_path(base: str, path: str) -> str:
    """Return the path to seal the file `path` under, relative to `base`; a single file keeps its name."""
    if path == base:
        return path.rpartition("/")[2]
    return path.removeprefix(base + "/") if base else path


def check_free(store: BlobStore) -> None:
    """Refuse to seal where a file is; where listing is not allowed, the conditions of the writes must do.

    Raises:
        PathExistsError: a file is below the root of `store`.
    """
    with suppress(AccessDeniedError):
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


def _followed(found: LinkedFile, path: str) -> SourceFile:
    return SourceFile(path, found.size, lambda: _open(found.place))


@contextmanager
def _open(source: Path) -> Iterator[BinaryIO]:
    try:
        with source.open("rb") as file:
            yield file
    except RegistryError:  # what the other end refused is a StorageError, and so an OSError, too
        raise
    except OSError as error:
        raise disk_error(f"{source} cannot be read: {os.strerror(error.errno or 0)}.", error) from error
