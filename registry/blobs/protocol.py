"""The role of a byte store: bytes under one root, addressed by relative paths.

Every implementation keeps these promises, which `tests/blobs/test_contract.py` checks:
- no path leads outside the root (`entities.naming.check_path` judges every path, listed ones included);
- a file is written whole or not at all, and a failed or interrupted call leaves no partial file behind;
- `seal` writes once: an occupied path is never overwritten;
- what `seal` returns was hashed from the very bytes that were sent, and stored bytes were verified by the store;
- only errors of `registry.exceptions` leave.
"""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, Protocol

from registry.entities.manifest import Manifest
from registry.entities.paging import FileInfo


class BlobStore(Protocol):
    """Bytes under `root`: a local directory or an S3 prefix. Safe to use from many threads."""

    @property
    def root(self) -> str:
        """The absolute local path or ``s3://bucket/prefix`` that all paths are relative to."""

    @property
    def local_directory(self) -> Path | None:
        """Where the files lie on this machine's disk, None if they are elsewhere."""

    def list(self, path: str = "") -> list[FileInfo]:
        """One level below `path`, sorted by path (relative to the root); empty for a file or a missing path."""

    def walk(self, path: str = "") -> Iterator[FileInfo]:
        """Every file at or below `path`, sorted by path; nothing for a missing path."""

    def find(self, path: str) -> FileInfo | None:
        """The file or directory at `path`, or None."""

    def read(self, path: str) -> bytes:
        """The bytes of one file.

        Raises:
            ArtifactNotFoundError: there is no file at `path`.
        """

    def open(self, path: str) -> AbstractContextManager[BinaryIO]:
        """One file for reading from its beginning to its end, in little memory.

        Raises:
            ArtifactNotFoundError: there is no file at `path`.
        """

    def write(self, path: str, data: bytes) -> None:
        """Store one file whole, replacing what is there."""

    def write_once(self, path: str, data: bytes) -> None:
        """Store one file whole, unless something is there.

        Raises:
            PathExistsError: something is.
        """

    def upload(self, source: Path, path: str = "", *, follow_symlinks: bool = False) -> None:
        """Store a local file as `path`, or the contents of a local directory below `path`, replacing what is there.

        With `follow_symlinks` the files are stored that symlinks in the directory lead to.

        Raises:
            ArtifactNotFoundError: `source` does not exist.
            InvalidPathError: the directory has a name that cannot be stored, or a symlink that is not followed.
        """

    def download(self, path: str, destination: Path) -> Path:
        """Copy the file or directory at `path` into the directory `destination`; the local path of the copy.

        A file ``a/b.txt`` becomes ``destination/a/b.txt``, a directory without files an empty one; ``""`` copies all.

        Raises:
            ArtifactNotFoundError: nothing is at `path`.
        """

    def seal(self, source: Path) -> Manifest:
        """Store the contents of a local directory directly below the root, once; their manifest.

        Raises:
            ArtifactNotFoundError: the directory does not exist or holds no file.
            PathExistsError: a file is there already.
            IntegrityError: what was stored is not what was sent.
        """

    def seal_from(self, source: "BlobStore", path: str = "") -> Manifest:
        """Store a copy of the files at or below `path` of another store, once; their manifest.

        On S3 large files are copied by the server where it can.
        A file ``<path>/a/b`` is sealed as ``a/b``; when `path` is itself a file, under its name.

        Raises:
            ArtifactNotFoundError: there is no file at or below `path`.
            PathExistsError: a file is below the root already.
            IntegrityError: what was stored is not what was read.
        """

    def manifest(self) -> Manifest:
        """Read and hash every file below the root."""

    def fetch(self, manifest: Manifest, destination: Path) -> None:
        """Download exactly the files of a manifest into the empty directory `destination`, each checked by its digest.

        Raises:
            IntegrityError: a file is missing, or its size or digest differs; nothing is left in `destination`.
        """

    def delete(self, paths: Iterable[str]) -> None:
        """Remove files; those that are not there are passed over."""

    def total_size(self, path: str) -> int:
        """The bytes of all that is at or below `path`, half-written files and unfinished uploads included."""

    def purge(self, path: str) -> None:
        """Remove all that is at or below `path`, whatever its name, half-written files and unfinished uploads included.

        What is not there is passed over; two that purge at once do not disturb each other.

        Raises:
            InvalidPathError: `path` is ``""``: a whole root is never removed.
        """
