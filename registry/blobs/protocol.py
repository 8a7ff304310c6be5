"""The protocol of a byte store: bytes under one root, addressed by relative paths.

Every implementation guarantees (`tests/blobs/test_contract.py` checks):
- no path leads outside the root (`check_path` checks every path, also those that a listing returns);
- a file is written completely or not at all; a failed or interrupted call leaves no partial file;
- `seal` writes once: an existing file is never overwritten;
- the manifest that `seal` returns was hashed from the bytes that were sent, and the store verified them;
- only errors of `registry.exceptions` are raised.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

from registry.entities.manifest import Manifest
from registry.entities.paging import FileInfo


class Stamp(NamedTuple):
    """What a store knows about a file without reading it: its bytes, and a mark that changes whenever they may have."""

    size: int
    mark: str


class Range(NamedTuple):
    """Bytes `start` (included) to `stop` (excluded) of a file."""

    start: int
    stop: int


class BlobStore(Protocol):
    """Bytes under `root`: a local directory or an S3 prefix. Thread-safe."""

    @property
    def root(self) -> str:
        """Return the absolute local path or ``s3://bucket/prefix`` that all paths are relative to."""

    @property
    def local_directory(self) -> Path | None:
        """Return the directory of the files on this machine's disk, or None if they are elsewhere."""

    def list(self, path: str = "") -> list[FileInfo]:
        """List one level below `path`, sorted by path (relative to the root); empty for a file or a missing path."""

    def walk(self, path: str = "") -> Iterator[FileInfo]:
        """Yield every file at or below `path`, sorted by path; nothing for a missing path."""

    def find(self, path: str) -> FileInfo | None:
        """Return the file or directory at `path`, or None."""

    def read(self, path: str) -> bytes:
        """Return the bytes of one file.

        Raises:
            ArtifactNotFoundError: There is no file at `path`.
        """

    def open(self, path: str, part: Range | None = None) -> AbstractContextManager[BinaryIO]:
        """Open one file, or a part that it has, to read it once, from beginning to end, in bounded memory.

        Raises:
            ArtifactNotFoundError: There is no file at `path`.
            StorageError: The file ends before the part does.
        """

    def write(self, path: str, data: bytes) -> None:
        """Write one file atomically, replacing an existing one."""

    def write_once(self, path: str, data: bytes) -> None:
        """Write one file atomically, unless the path exists.

        Raises:
            PathExistsError: The path exists.
        """

    def upload(self, source: Path, path: str = "", *, follow_symlinks: bool = False) -> None:
        """Store a local file as `path`, or the contents of a local directory below `path`, replacing what is there.

        With `follow_symlinks` the files are stored that symlinks in the directory lead to.

        Raises:
            ArtifactNotFoundError: `source` does not exist.
            InvalidPathError: the directory has a name that cannot be stored, or a symlink that is not followed.
        """

    def download(self, path: str, destination: Path) -> Path:
        """Copy the file or directory at `path` into the directory `destination`; return the local path of the copy.

        A file ``a/b.txt`` becomes ``destination/a/b.txt``, a directory without files an empty one; ``""`` copies all.

        Raises:
            ArtifactNotFoundError: There is nothing at `path`.
        """

    def seal(self, source: Path) -> Manifest:
        """Store the contents of a local directory directly below the root, once; return their manifest.

        Raises:
            ArtifactNotFoundError: The directory does not exist or has no file.
            PathExistsError: There are files below the root already.
            IntegrityError: The stored bytes differ from those sent.
        """

    def seal_from(self, source: "BlobStore", path: str = "") -> Manifest:
        """Copy the files at or below `path` of another store, once; return their manifest.

        On S3 the server copies large files where it can. A file ``<path>/a/b`` is sealed as ``a/b``; if `path` itself
        is a file, under its name.

        Raises:
            ArtifactNotFoundError: There is no file at or below `path`.
            PathExistsError: There are files below the root already.
            IntegrityError: The stored bytes differ from those read.
        """

    def manifest(self) -> Manifest:
        """Read and hash every file below the root."""

    def fetch(self, manifest: Manifest, destination: Path) -> None:
        """Download exactly the files of a manifest into the empty directory `destination`, and check each digest.

        Raises:
            IntegrityError: A file is missing or differs; `destination` is left empty.
        """

    def stamps(self) -> dict[str, Stamp]:
        """Return a stamp of every file below the root, by path: two equal stamps mean that a file has not changed."""

    def has_same(self, path: str, stamp: Stamp, source: "BlobStore") -> bool:
        """Tell whether the file at `path`, which has this stamp, has the bytes of the one in another store.

        Its own bytes are not read where the store knows a checksum. Where nothing tells, the answer is False.
        """

    def copy_from(self, source: "BlobStore", files: Mapping[str, Stamp]) -> int:
        """Copy files of another store, with their stamps there, to the same paths; return the bytes.

        What is there is replaced. On S3 the server copies large files where it can. A file that is gone is left out.
        """

    def delete(self, paths: Iterable[str]) -> None:
        """Remove files. Missing files are ignored."""

    def total_size(self, path: str) -> int:
        """Return the bytes of all files at or below `path`, with partial files and unfinished uploads."""

    def purge(self, path: str) -> None:
        """Remove everything at or below `path`, whatever its name, with partial files and unfinished uploads.

        A missing path is ignored, and concurrent purges do not disturb each other.

        Raises:
            InvalidPathError: `path` is ``""``: a whole root is never removed.
        """
