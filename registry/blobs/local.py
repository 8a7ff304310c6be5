"""The byte store in a local directory. `Directory` opens, lists and writes files atomically.

Guarantees: those of `BlobStore`.
"""

import os
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from registry.blobs.digests import check_entry, copy_stream, hash_stream, missing
from registry.blobs.directory import Directory
from registry.blobs.paths import check_blob_path, check_subtree, join
from registry.blobs.progress import TransferProgress, unwatched
from registry.blobs.protocol import BlobStore, Range, Stamp
from registry.blobs.upload_plan import check_free, filled_whole, local_source, planned, sealed_path
from registry.entities.manifest import Manifest, ManifestEntry
from registry.entities.paging import FileInfo
from registry.exceptions import ArtifactNotFoundError, StorageError

_ATTEMPTS: Final = 10


def tree_size(directory: Directory, path: str) -> int:
    """Return the bytes of all files at or below `path`; 0 if it is missing."""
    with directory.os_errors(path), suppress(ArtifactNotFoundError, FileNotFoundError):
        with directory.parent(path) as (parent, name):
            status = os.stat(name, dir_fd=parent, follow_symlinks=False)
            if not stat.S_ISDIR(status.st_mode):
                return status.st_size
            total = 0
            for _, _, files, descriptor in os.fwalk(name, dir_fd=parent):
                for file in files:
                    with suppress(FileNotFoundError):  # it has just been removed
                        total += os.stat(file, dir_fd=descriptor, follow_symlinks=False).st_size
            return total
    return 0


def remove_tree(directory: Directory, path: str) -> None:
    """Remove everything at or below `path`, and the parent directories that this leaves empty, up to the root."""
    with directory.os_errors(path):
        for _ in range(_ATTEMPTS):
            if _remove(directory, path):
                directory.remove_empty(path.rpartition("/")[0])
                return
    raise StorageError(f"{directory.root / path} could not be removed: others write to it.")


def _remove(directory: Directory, path: str) -> bool:
    """Remove the file or directory at `path`; return False if another process interfered and something may be left."""
    try:
        with directory.parent(path) as (parent, name):
            mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
            try:
                if stat.S_ISDIR(mode):
                    shutil.rmtree(name, dir_fd=parent)
                else:
                    os.unlink(name, dir_fd=parent)
            except FileNotFoundError:
                return False
    except (ArtifactNotFoundError, FileNotFoundError, NotADirectoryError):
        pass  # nothing is there
    return True


class LocalBlobStore:
    """Bytes below one local directory, which is created with the first file."""

    def __init__(self, root: Path) -> None:
        self._directory = Directory(root)

    @property
    def root(self) -> str:
        """Return the absolute path of the directory."""
        return str(self._directory.root)

    @property
    def local_directory(self) -> Path | None:
        """Return the directory itself."""
        return self._directory.root

    def list(self, path: str = "") -> list[FileInfo]:
        """List one level below `path`."""
        return self._directory.entries(check_subtree(path))

    def walk(self, path: str = "") -> Iterator[FileInfo]:
        """Yield every file at or below `path`."""
        return self._directory.files(check_subtree(path))

    def find(self, path: str) -> FileInfo | None:
        """Return the file or directory at `path`, or None."""
        return self._directory.find(check_blob_path(path))

    def open(self, path: str, part: Range | None = None) -> AbstractContextManager[BinaryIO]:
        """Open one file, or a part of it, for reading."""
        return self._directory.open(check_blob_path(path), part)

    def read(self, path: str) -> bytes:
        """Return the bytes of one file."""
        with self.open(path) as file:
            return file.read()

    def write(self, path: str, data: bytes) -> None:
        """Write one file atomically."""
        with self._directory.create(path) as file:
            file.write(data)

    def write_once(self, path: str, data: bytes) -> None:
        """Write one file atomically, unless the path exists."""
        with self._directory.create(path, exclusive=True) as file:
            file.write(data)

    def upload(self, source: Path, path: str = "", *, follow_symlinks: bool = False) -> None:
        """Store a local file as `path`, or the contents of a local directory below it, with its empty directories."""
        files = local_source(source, path, follow_symlinks=follow_symlinks)
        with TransferProgress("Storing", sum(file.size for file in files)) as progress:
            for file in files:
                with file.open() as stream, self._directory.create(file.path) as target:
                    copy_stream(file.path, stream, target, progress.advance)
        if source.is_dir() and not follow_symlinks:
            for empty in Directory(source).empty_directories():
                self._directory.make(join(path, empty))

    def download(self, path: str, destination: Path) -> Path:
        """Copy the file or directory at `path` into `destination`."""
        empty = list(self._directory.empty_directories(check_subtree(path)))
        files = planned(self.walk(path), path, self.root, may_be_empty=bool(empty))
        target = Directory(destination)
        for directory in empty:
            target.make(directory)
        with TransferProgress("Copying", sum(file.file_size or 0 for file in files)) as progress:
            for file in files:
                with self.open(file.path) as stream, target.create(file.path, sync=False) as copy:
                    copy_stream(file.path, stream, copy, progress.advance)
        return destination / path if path else destination

    def seal(self, source: Path) -> Manifest:
        """Store the contents of a local directory below the root, once."""
        return self.seal_from(LocalBlobStore(source))

    def seal_from(self, source: BlobStore, path: str = "") -> Manifest:
        """Copy the files at or below `path` of another store, once."""
        files = planned(source.walk(path), path, source.root)
        check_free(self)
        with TransferProgress("Storing", sum(file.file_size or 0 for file in files)) as progress:
            entries = [self._seal_file(source, path, file.path, progress) for file in files]
        self._directory.sync({entry.path for entry in entries})
        return Manifest.of(entries)

    def manifest(self) -> Manifest:
        """Read and hash every file below the root."""
        return Manifest.of(self._hash(file.path) for file in self.walk())

    def fetch(self, manifest: Manifest, destination: Path) -> None:
        """Copy exactly the files of a manifest into an empty directory, each checked by its digest."""
        with filled_whole(destination) as target, TransferProgress("Copying", manifest.size) as progress:
            for entry in manifest.entries:
                self._fetch_file(entry, target, progress)

    def stamps(self) -> dict[str, Stamp]:
        """Return a stamp of every file; its mark is the time of its last change and its inode."""
        stamps = {}
        for file in self.walk():
            with suppress(ArtifactNotFoundError):  # it has just been removed
                stamps[file.path] = self._directory.stamp(file.path)
        return stamps

    def has_same(self, path: str, stamp: Stamp, source: BlobStore) -> bool:
        """Compare the digests of two files."""
        del stamp
        with self.open(path) as own, source.open(path) as other:
            return hash_stream(path, own) == hash_stream(path, other)

    def copy_from(self, source: BlobStore, files: Mapping[str, Stamp]) -> int:
        """Copy files of another store, replacing what is there."""
        copied = 0
        for path in files:
            with suppress(ArtifactNotFoundError), source.open(path) as stream, self._directory.create(path) as target:
                copied += copy_stream(path, stream, target, unwatched).size
        return copied

    def delete(self, paths: Iterable[str]) -> None:
        """Remove files, and the directories that this leaves empty."""
        for path in [check_blob_path(path) for path in paths]:
            self._directory.remove(path)

    def total_size(self, path: str) -> int:
        """Return the bytes of all files at or below `path`, partial ones included."""
        return tree_size(self._directory, check_blob_path(path))

    def purge(self, path: str) -> None:
        """Remove everything at or below `path`, and the directories that this leaves empty."""
        remove_tree(self._directory, check_blob_path(path))

    def _seal_file(self, source: BlobStore, base: str, path: str, progress: TransferProgress) -> ManifestEntry:
        sealed = sealed_path(base, path)
        with source.open(path) as stream, self._directory.create(sealed, exclusive=True) as target:
            return copy_stream(sealed, stream, target, progress.advance)

    def _hash(self, path: str) -> ManifestEntry:
        with self.open(path) as stream:
            return hash_stream(path, stream)

    def _fetch_file(self, entry: ManifestEntry, target: Directory, progress: TransferProgress) -> None:
        with target.create(entry.path, exclusive=True, sync=False) as copy:
            try:
                with self.open(entry.path) as stream:
                    actual = copy_stream(entry.path, stream, copy, progress.advance)
            except ArtifactNotFoundError as error:
                raise missing(entry, self.root) from error
            check_entry(entry, actual, self.root)
