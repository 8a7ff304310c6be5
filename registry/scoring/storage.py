"""Data files in a local directory or below an S3 prefix, as scoring reads and writes them.

Guarantees: `writing` moves a file into place whole or not at all; what killed processes left is removed by the next one
that writes the same file.
"""

import contextlib
import os
import secrets
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, cast

from registry.blobs.locks import FileLock
from registry.client.atomic_files import sync_to_disk
from registry.client.byte_stores import s3_options
from registry.exceptions import ArtifactNotFoundError, disk_error
from registry.settings import current_settings
from registry.uris import S3Uri, parse_location

if TYPE_CHECKING:
    from registry.blobs.s3.store import S3BlobStore

_INCOMPLETE: Final = ".incomplete"


class DataFiles(Protocol):
    """The files below one root, by relative path. Picklable."""

    @property
    def root(self) -> str:
        """Return the absolute path or S3 location."""

    def kind(self, path: str) -> str:
        """Return ``file``, ``directory`` or ``nothing``; ``""`` is the root."""

    def walk(self) -> list[tuple[str, int]]:
        """Return the paths and sizes of all files, sorted by path."""

    def size(self, path: str) -> int:
        """Return the size of a file."""

    def stamp(self, path: str) -> str:
        """Return a text that changes when the file is replaced."""

    def read_end(self, path: str, size: int) -> bytes:
        """Return the last bytes of a file, at most `size`."""

    def reading(self, path: str) -> contextlib.AbstractContextManager[Path]:
        """Open a local path with the bytes of a file."""

    def writing(self, path: str) -> contextlib.AbstractContextManager[Path]:
        """Open a local path to write to; when the block ends without an error, the file is moved into place."""


def open_files(root: str) -> DataFiles:
    """Return the files below a local path or an S3 location."""
    location = parse_location(root)
    return S3Files(str(location)) if isinstance(location, S3Uri) else LocalFiles(os.path.abspath(location.path))  # noqa: PTH100


@dataclass(frozen=True)
class LocalFiles:
    """Files below a local directory; symlinks are followed, except one to a directory that holds it."""

    root: str

    def kind(self, path: str) -> str:
        """Look at the path."""
        place = self._place(path)
        return "directory" if place.is_dir() else "file" if place.exists() else "nothing"

    def walk(self) -> list[tuple[str, int]]:
        """Walk the directory."""
        files: list[tuple[str, int]] = []
        for directory, below, names in os.walk(self.root, followlinks=True):
            real = Path(directory).resolve()
            below[:] = [name for name in below if not real.is_relative_to(Path(directory, name).resolve())]
            for place in (Path(directory, name) for name in names):
                with contextlib.suppress(FileNotFoundError):  # a symlink to nothing, or a file that was just removed
                    files.append((place.relative_to(self.root).as_posix(), place.stat().st_size))
        return sorted(files)

    def size(self, path: str) -> int:
        """Ask the file system."""
        return self._status(path).st_size

    def stamp(self, path: str) -> str:
        """Return size and time of the last change."""
        status = self._status(path)
        return f"{status.st_size} bytes, {status.st_mtime_ns} ns"

    def read_end(self, path: str, size: int) -> bytes:
        """Read from the end."""
        with self._place(path).open("rb") as file:
            file.seek(max(0, self.size(path) - size))
            return file.read()

    @contextlib.contextmanager
    def reading(self, path: str) -> Iterator[Path]:
        """Return the file itself."""
        yield self._place(path)

    @contextlib.contextmanager
    def writing(self, path: str) -> Iterator[Path]:
        """Write beside the target, and rename."""
        target = self._place(path)
        with _disk_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            _remove_abandoned(target)
            incomplete, lock = _create_beside(target)
        with lock:
            try:
                yield incomplete
                with _disk_errors(target):
                    sync_to_disk(incomplete)
                    incomplete.replace(target)
                    sync_to_disk(target.parent)
            finally:
                incomplete.unlink(missing_ok=True)

    def _status(self, path: str) -> os.stat_result:
        try:
            return self._place(path).stat()
        except FileNotFoundError:
            raise ArtifactNotFoundError(f"There is no file {self.root}/{path}.") from None

    def _place(self, path: str) -> Path:
        return Path(self.root, path)


def _create_beside(target: Path) -> tuple[Path, FileLock]:
    """Create an empty file with the mode of the umask, and lock it, so that others see that its writer lives."""
    while True:
        incomplete = target.with_name(f".{target.name[:200]}.{secrets.token_hex(8)}{_INCOMPLETE}")
        incomplete.touch(exist_ok=False)  # a file that the lock creates is its user's alone
        with contextlib.suppress(FileNotFoundError):  # it was taken for an abandoned one before it was locked
            lock = FileLock.acquire(incomplete)
            if lock.guards(incomplete):
                return incomplete, lock
            lock.release()


def _remove_abandoned(target: Path) -> None:
    for left in target.parent.iterdir():
        if left.name.startswith(f".{target.name[:200]}.") and left.name.endswith(_INCOMPLETE):
            with contextlib.suppress(FileNotFoundError):
                if lock := FileLock.attempt(left):
                    with lock:
                        left.unlink()


@dataclass(frozen=True)
class S3Files:
    """Files below an S3 prefix. Each is downloaded before it is read, and uploaded once it is whole."""

    root: str

    @cached_property
    def _store(self) -> "S3BlobStore":
        from registry.blobs.s3.store import S3BlobStore

        return S3BlobStore(cast(S3Uri, parse_location(self.root)), s3_options(current_settings()))

    def __getstate__(self) -> dict[str, str]:
        """Return the root alone: another machine reaches S3 with its own settings."""
        return {"root": self.root}

    def __setstate__(self, values: dict[str, str]) -> None:
        """Take the root."""
        self.__dict__.update(values)

    def kind(self, path: str) -> str:
        """Ask S3."""
        if not path:
            return "directory" if next(iter(self._store.list()), None) else "nothing"
        found = self._store.find(path)
        return "nothing" if found is None else "directory" if found.is_dir else "file"

    def walk(self) -> list[tuple[str, int]]:
        """List all below the prefix."""
        return [(file.path, file.file_size or 0) for file in self._store.walk()]

    def size(self, path: str) -> int:
        """Ask S3."""
        found = self._store.find(path)
        if found is None or found.file_size is None:
            raise ArtifactNotFoundError(f"There is no file {self.root}/{path}.")
        return found.file_size

    def stamp(self, path: str) -> str:
        """Return the ETag."""
        return self._store.etag(path)

    def read_end(self, path: str, size: int) -> bytes:
        """Get a range."""
        return self._store.read_end(path, size)

    @contextlib.contextmanager
    def reading(self, path: str) -> Iterator[Path]:
        """Download to a temporary directory."""
        with tempfile.TemporaryDirectory(prefix="registry-") as directory:
            yield self._store.download(path, Path(directory))

    @contextlib.contextmanager
    def writing(self, path: str) -> Iterator[Path]:
        """Write to a temporary directory, and upload."""
        with tempfile.TemporaryDirectory(prefix="registry-") as directory:
            local = Path(directory, path.rpartition("/")[2])
            yield local
            self._store.upload(local, path)


@contextlib.contextmanager
def _disk_errors(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise disk_error(
            f"{str(target)!r} cannot be written: {os.strerror(error.errno or 0)}. Check the rights and the free space.",
            error,
        ) from error
