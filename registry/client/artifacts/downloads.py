"""Downloads and listings of the files behind a URI.

Guarantees: a download is the caller's own copy and appears complete or not at all; a file of a sealed model is copied
only if it matches its digest.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from registry.blobs import explain_adopted, open_blob_store
from registry.client.atomic_files import move_into_place
from registry.client.byte_stores import open_store
from registry.client.models.loading import model_directory, resolve
from registry.entities import FileInfo, Manifest
from registry.exceptions import ArtifactNotFoundError
from registry.uris import LocalUri, LoggedModelUri, RunUri, S3Uri
from registry.validation.names import check_run_id

if TYPE_CHECKING:
    from registry.blobs import BlobStore
    from registry.client.backend import Backend
    from registry.client.base import ClientBase
    from registry.entities import ManifestEntry
    from registry.entities.model_registry import ResolvedModel
    from registry.uris import Uri

_SHOWN = 10


class Files(Protocol):
    """The files behind a URI: one file, or a directory with its contents."""

    def level(self, path: str) -> list[FileInfo]:
        """List the files and directories directly below `path`, relative to the root of the URI's own path."""

    def is_found(self) -> bool:
        """Tell whether there is a file or a directory at the URI's path."""

    def copy_to(self, directory: Path) -> Path | None:
        """Copy the files into an empty directory; return the path of the copy, or None if there are none."""


@dataclass(frozen=True)
class StoredFiles:
    """Plain files at `path` in a byte store, in their current state."""

    store: "BlobStore"
    path: str

    def level(self, path: str) -> list[FileInfo]:
        """List the files and directories directly below `path`."""
        return self.store.list(path)

    def is_found(self) -> bool:
        """Tell whether there is a file or a directory at the path."""
        return not self.path or self.store.find(self.path) is not None

    def copy_to(self, directory: Path) -> Path | None:
        """Copy the files into an empty directory. An empty directory that is listed has a copy too."""
        if not (self.store.find(self.path) if self.path else self.store.list()):
            return None
        return self.store.download(self.path, directory)


@dataclass(frozen=True)
class SealedFiles:
    """Files of a sealed model at `path`; `prefix` is the model's name in a run with a slash, or empty."""

    backend: "Backend"
    resolved: "ResolvedModel"
    prefix: str
    path: str

    @cached_property
    def manifest(self) -> Manifest:
        """Return the manifest of the whole model."""
        return self.backend.logged_models.manifest(self.resolved.model_id)

    def level(self, path: str) -> list[FileInfo]:
        """List the files and directories directly below `path`."""
        base = f"{path}/" if path else ""
        below: dict[str, FileInfo] = {}
        for entry in self.manifest.entries:
            full = f"{self.prefix}{entry.path}"
            if full.startswith(base):
                name, slash, _ = full.removeprefix(base).partition("/")
                below[name] = FileInfo(base + name, is_dir=bool(slash), file_size=None if slash else entry.size)
        return sorted(below.values(), key=lambda info: info.path)

    def is_found(self) -> bool:
        """Tell whether there is a file or a directory at the path."""
        return bool(self._entries())

    def copy_to(self, directory: Path) -> Path | None:
        """Copy the files into an empty directory and check each digest."""
        inner, entries = self._inner, self._entries()
        if not entries:
            return None
        store = self.backend.blobs(self.resolved.location)
        if inner or store.local_directory is not None:
            with explain_adopted(store.root, is_adopted=self.resolved.is_adopted):
                store.fetch(Manifest.of(entries), directory)
        else:
            # A whole remote model is likely to be needed again: fetch it through the cache.
            with model_directory(self.backend, self.resolved) as cached:
                open_blob_store(str(cached)).fetch(self.manifest, directory)
        return directory / inner

    @property
    def _inner(self) -> str:
        """Return the path inside the model."""
        return f"{self.path}/".removeprefix(self.prefix).removesuffix("/")

    def _entries(self) -> "list[ManifestEntry]":
        inner = self._inner
        return [
            entry
            for entry in self.manifest.entries
            if not inner or entry.path == inner or entry.path.startswith(f"{inner}/")
        ]


def listing(client: "ClientBase", uri: "Uri", *, relative: bool = False) -> list[FileInfo]:
    """List the files and directories directly below a URI, sorted by path; empty for a file or a missing path.

    Paths are relative to the run's artifact directory or the model; with `relative`, to the URI itself.

    Raises:
        NotFoundError: The run or model does not exist.
    """
    path, sources = _find_files(client, uri)
    by_path = {info.path: info for files in sources for info in files.level(path)}
    above = f"{path}/" if relative and path else ""
    return [replace(by_path[name], path=name.removeprefix(above)) for name in sorted(by_path)]


def require_found(client: "ClientBase", uri: "Uri") -> None:
    """Refuse a URI of a file or directory that is not there; a run without artifacts is there.

    Raises:
        ArtifactNotFoundError: There is nothing; the message lists what exists.
    """
    path, sources = _find_files(client, uri)
    if not any(files.is_found() for files in sources):
        raise ArtifactNotFoundError(_not_found_message(uri, path, sources))


def download(client: "ClientBase", uri: "Uri", dst_path: Path | None) -> str:
    """Copy the files of a URI into `dst_path`, or a new temporary directory, and return the local path of the copy.

    A file ``a/b.txt`` becomes ``<dst_path>/b.txt``; a whole run or model becomes `dst_path` itself.

    Raises:
        NotFoundError: There is nothing to copy; the message lists what exists.
        IntegrityError: A file of a sealed model differs from its manifest.
        StorageError: The local directory cannot be written to.
    """
    path, sources = _find_files(client, uri)

    def fetch(directory: Path) -> list[Path]:
        results = [files.copy_to(directory / str(number)) for number, files in enumerate(sources)]
        copies = [copy for copy in results if copy is not None]
        if not copies and not (isinstance(uri, RunUri) and not path):  # a run without artifacts is an empty directory
            raise ArtifactNotFoundError(_not_found_message(uri, path, sources))
        return copies

    return str(move_into_place(dst_path, path.rpartition("/")[2], fetch))


def _find_files(client: "ClientBase", uri: "Uri") -> tuple[str, Sequence[Files]]:
    """Return the path that the URI names and the places to look for it; later places overwrite earlier ones."""
    if isinstance(uri, LocalUri):
        # Not `resolve`, which would rename a link to its target.
        return _find_local_files(Path(os.path.abspath(uri.path)))  # noqa: PTH100
    if isinstance(uri, S3Uri):
        above, _, name = uri.key.rpartition("/")
        return name, [_open_plain_files(str(S3Uri(uri.bucket, above)), name)]
    if isinstance(uri, RunUri):
        return uri.path or "", find_run_files(client, uri)
    path = uri.path or ""
    return path, [SealedFiles(client.backend, resolve(client.backend, uri), "", path)]


def find_run_files(client: "ClientBase", uri: RunUri) -> "list[StoredFiles | SealedFiles]":
    """Return the places to look for a path of a run; later places overwrite earlier ones."""
    backend = client.backend
    path = uri.path or ""
    plain: StoredFiles | SealedFiles = StoredFiles(backend.run_files(check_run_id(uri.run_id)), path)
    name = path.partition("/")[0]
    model_id = backend.logged_models.find_in_run(uri.run_id, name) if name else None
    if model_id is None:
        return [plain]
    return [plain, SealedFiles(backend, resolve(backend, LoggedModelUri(model_id)), f"{name}/", path)]


def _find_local_files(place: Path) -> tuple[str, list[Files]]:
    # A store follows no link below its root, but a link that the caller names is followed.
    real = place.resolve() if place.is_symlink() else place
    return real.name, [_open_plain_files(str(real.parent), real.name)]


def _open_plain_files(root: str, path: str) -> StoredFiles:
    # No database is opened for a path outside the registry.
    return StoredFiles(open_store(root), path)


def _not_found_message(uri: "Uri", path: str, sources: Sequence[Files]) -> str:
    if isinstance(uri, LocalUri | S3Uri):
        return f"No such artifact: {str(uri)!r}. Nothing exists there."
    for above in (path.rpartition("/")[0], ""):
        if existing := sorted({info.path for files in sources for info in files.level(above)}):
            more = "" if len(existing) <= _SHOWN else f" and {len(existing) - _SHOWN} more"
            return f"No such artifact: {str(uri)!r}. There is: {', '.join(existing[:_SHOWN])}{more}."
    return f"No such artifact: {str(uri)!r}. There are none."
