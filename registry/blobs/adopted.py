"""Files that stay where another program put them: read only if they match their digests, and never written or removed.

Guarantees: no file is handed out unless it is what it was when it was adopted; the error says whose files they are.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from registry.blobs.digests import check_entry, hash_stream, missing
from registry.blobs.protocol import BlobStore, Range
from registry.blobs.read_only import ReadOnlyBlobStore
from registry.entities.manifest import Manifest, ManifestEntry
from registry.entities.paging import FileInfo
from registry.exceptions import ArtifactNotFoundError, IntegrityError, InvalidStateError


@contextmanager
def explain_adopted(location: str, *, is_adopted: bool = True) -> Iterator[None]:
    """Say in an IntegrityError that the files at a location were adopted and belong to somebody else.

    Raises:
        IntegrityError: The block raised one.
    """
    try:
        yield
    except IntegrityError as error:
        if not is_adopted:
            raise
        raise IntegrityError(
            f"{error.message} The files at {location} were adopted, not copied: they are not this registry's, and "
            "whoever keeps them changed them. Restore them there, or import again with copies."
        ) from error


class AdoptedBlobStore(ReadOnlyBlobStore):
    """The files of a manifest in a byte store that is not ours; a `BlobStore` that is only read."""

    def __init__(self, store: BlobStore, manifest: Manifest) -> None:
        self._store = store
        self._manifest = manifest

    @property
    def root(self) -> str:
        """Return the location of the files."""
        return self._store.root

    def list(self, path: str = "") -> list[FileInfo]:
        """List one level below `path`, sorted by path."""
        above = f"{path}/" if path else ""
        found: dict[str, FileInfo] = {}
        for entry in self._manifest.entries:
            if entry.path.startswith(above):
                name, slash, _ = entry.path.removeprefix(above).partition("/")
                found[name] = FileInfo(above + name, is_dir=bool(slash), file_size=None if slash else entry.size)
        return sorted(found.values(), key=lambda info: info.path)

    def walk(self, path: str = "") -> Iterator[FileInfo]:
        """Yield every file at or below `path`, sorted by path."""
        for entry in self._entries(path):
            yield FileInfo(entry.path, is_dir=False, file_size=entry.size)

    def find(self, path: str) -> FileInfo | None:
        """Return the file or directory at `path`, or None."""
        return next((info for info in self.list(path.rpartition("/")[0]) if info.path == path), None)

    def read(self, path: str) -> bytes:
        """Return the bytes of one file."""
        with self.open(path) as stream:
            return stream.read()

    @contextmanager
    def open(self, path: str, part: Range | None = None) -> Iterator[BinaryIO]:
        """Open one file, or a part of it, after checking the whole.

        Raises:
            IntegrityError: It is missing or has changed.
        """
        entry = next((entry for entry in self._manifest.entries if entry.path == path), None)
        if entry is None:
            raise ArtifactNotFoundError(f"There is no file at {self.root}/{path}.")
        with explain_adopted(self.root):
            try:
                with self._store.open(path) as stream:
                    check_entry(entry, hash_stream(path, stream), self.root)
            except ArtifactNotFoundError as error:
                raise missing(entry, self.root) from error
        with self._store.open(path, part) as stream:
            yield stream

    def download(self, path: str, destination: Path) -> Path:
        """Copy the file or directory at `path` into a directory, each file checked.

        Raises:
            IntegrityError: A file is missing or has changed.
        """
        entries = self._entries(path)
        if path and not entries:
            raise ArtifactNotFoundError(f"There is no file at {self.root}/{path}.")
        with explain_adopted(self.root):
            self._store.fetch(Manifest.of(entries), destination)
        return destination / path if path else destination

    def manifest(self) -> Manifest:
        """Return the manifest with which the files were adopted."""
        return self._manifest

    def fetch(self, manifest: Manifest, destination: Path) -> None:
        """Download exactly the files of a manifest, each checked."""
        with explain_adopted(self.root):
            self._store.fetch(manifest, destination)

    def total_size(self, path: str) -> int:
        """Return the bytes of all files at or below `path`."""
        return sum(entry.size for entry in self._entries(path))

    def _entries(self, path: str) -> "tuple[ManifestEntry, ...]":
        return tuple(
            entry
            for entry in self._manifest.entries
            if not path or entry.path == path or entry.path.startswith(f"{path}/")
        )

    def refusal(self) -> InvalidStateError:
        """Return the error for a change of adopted files."""
        return InvalidStateError(
            f"The files at {self.root} were adopted, not copied: they are not this registry's, so it adds none and "
            "removes none there. Log to another run, or import this one again with copies."
        )
