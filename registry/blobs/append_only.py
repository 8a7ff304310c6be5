"""Files that may be added to but not replaced, for a database that does not own the bytes at their place."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from registry.blobs.protocol import BlobStore
from registry.blobs.upload_plan import local_source
from registry.exceptions import PathExistsError, RegistryError


class WritableFiles(Protocol):
    """What logging does with the files of a run or of a model that is not sealed yet; see `BlobStore`."""

    @property
    def root(self) -> str:
        """Return the absolute local path or ``s3://bucket/prefix`` that all paths are relative to."""

    def find(self, path: str) -> object | None:
        """Return the file or directory at `path`, or None."""

    def read(self, path: str) -> bytes:
        """Return the bytes of one file."""

    def write(self, path: str, data: bytes) -> None:
        """Store one file whole."""

    def upload(self, source: Path, path: str = "", *, follow_symlinks: bool = False) -> None:
        """Store a local file as `path`, or the contents of a local directory below `path`."""


class AppendOnlyFiles:
    """The files of a store, none of which is replaced; `refusal` makes the error of a path that is taken."""

    def __init__(self, store: BlobStore, refusal: Callable[[str], RegistryError]) -> None:
        self._store = store
        self._refusal = refusal

    @property
    def root(self) -> str:
        """Return the root of the store."""
        return self._store.root

    def find(self, path: str) -> object | None:
        """Return the file or directory at `path`, or None."""
        return self._store.find(path)

    def read(self, path: str) -> bytes:
        """Return the bytes of one file."""
        return self._store.read(path)

    def write(self, path: str, data: bytes) -> None:
        """Store one file whole, unless something is there."""
        try:
            self._store.write_once(path, data)
        except PathExistsError as error:
            raise self._refusal(path) from error

    def upload(self, source: Path, path: str = "", *, follow_symlinks: bool = False) -> None:
        """Store local files, unless something is at the path of one of them."""
        for file in local_source(source, path, follow_symlinks=follow_symlinks):
            if self._store.find(file.path) is not None:
                raise self._refusal(file.path)
        self._store.upload(source, path, follow_symlinks=follow_symlinks)
