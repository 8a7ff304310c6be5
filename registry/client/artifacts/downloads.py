"""From a URI of any form to a copy of its files, or to a listing of them.

Owns which files a URI stands for, and how a copy lands. Invariant: a download is the caller's own copy, which lands
whole or not at all; a file of a sealed model lands only if it is what was sealed.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol

from registry.blobs import BlobStore, open_blob_store
from registry.client.atomic_files import move_into_place
from registry.client.backend import Backend, open_store
from registry.client.base import ClientBase
from registry.client.models.loading import model_directory, resolve
from registry.entities import FileInfo, Manifest
from registry.entities.model_registry import ResolvedModel
from registry.exceptions import ArtifactNotFoundError
from registry.uris import LocalUri, LoggedModelUri, RunUri, S3Uri, Uri
from registry.validation.names import check_run_id

_SHOWN = 10


class Files(Protocol):
    """Files that a URI stands for: a file, or a directory with all that is in it."""

    def level(self, path: str) -> list[FileInfo]:
        """The files and directories right below `path`, from the same root as the URI's own path."""

    def bring(self, directory: Path) -> Path | None:
        """Copy them into an empty directory; the path of the copy, or None if there are none."""


@dataclass(frozen=True)
class StoredFiles:
    """Plain files at `path` below a byte store; they are what they are at the moment."""

    store: BlobStore
    path: str

    def level(self, path: str) -> list[FileInfo]:
        """The files and directories right below `path`."""
        return self.store.list(path)

    def bring(self, directory: Path) -> Path | None:
        """Copy them into an empty directory. A directory that is listed has a copy, though it is empty."""
        if not (self.store.find(self.path) if self.path else self.store.list()):
            return None
        return self.store.download(self.path, directory)


@dataclass(frozen=True)
class SealedFiles:
    """Files of a sealed model at `path`, which begins with `prefix`, the model's name in a run, if it has one."""

    backend: Backend
    resolved: ResolvedModel
    prefix: str
    path: str

    @cached_property
    def manifest(self) -> Manifest:
        """All files of the model."""
        return self.backend.logged_models.manifest(self.resolved.model_id)

    def level(self, path: str) -> list[FileInfo]:
        """The files and directories right below `path`."""
        base = f"{path}/" if path else ""
        below: dict[str, FileInfo] = {}
        for entry in self.manifest.entries:
            full = f"{self.prefix}{entry.path}"
            if full.startswith(base):
                name, slash, _ = full.removeprefix(base).partition("/")
                below[name] = FileInfo(base + name, is_dir=bool(slash), file_size=None if slash else entry.size)
        return sorted(below.values(), key=lambda info: info.path)

    def bring(self, directory: Path) -> Path | None:
        """Copy them into an empty directory, each checked by its digest."""
        inner = f"{self.path}/".removeprefix(self.prefix).removesuffix("/")
        wanted = [
            entry
            for entry in self.manifest.entries
            if not inner or entry.path == inner or entry.path.startswith(f"{inner}/")
        ]
        if not wanted:
            return None
        store = self.backend.blobs(self.resolved.location)
        if inner or store.local_directory is not None:
            store.fetch(Manifest.of(wanted), directory)
        else:
            # A whole model from elsewhere is likely to be wanted again: it comes through the cache.
            with model_directory(self.backend, self.resolved) as cached:
                open_blob_store(str(cached)).fetch(self.manifest, directory)
        return directory / inner


def listing(client: ClientBase, uri: Uri, *, relative: bool = False) -> list[FileInfo]:
    """Return the files and directories right below what a URI stands for, sorted; none for a file or a missing path.

    Paths are relative to the run's artifact directory or the model; if `relative`, to the URI itself.

    Raises:
        NotFoundError: no such run or model.
    """
    path, sources = _sources(client, uri)
    found = {info.path: info for files in sources for info in files.level(path)}
    above = f"{path}/" if relative and path else ""
    return [replace(found[name], path=name.removeprefix(above)) for name in sorted(found)]


def download(client: ClientBase, uri: Uri, dst_path: Path | None) -> str:
    """Copy what a URI stands for into the directory `dst_path`, or a fresh temporary one; the local path of the copy.

    A file ``a/b.txt`` becomes ``<dst_path>/b.txt``; a whole run or model becomes `dst_path` itself.

    Raises:
        NotFoundError: nothing is there; the message says what there is.
        IntegrityError: a file of a sealed model is not what was sealed.
        StorageError: the local directory cannot be written to.
    """
    path, sources = _sources(client, uri)

    def bring(directory: Path) -> list[Path]:
        found = [files.bring(directory / str(number)) for number, files in enumerate(sources)]
        copies = [copy for copy in found if copy is not None]
        if not copies and not (isinstance(uri, RunUri) and not path):  # a run without artifacts is an empty directory
            raise ArtifactNotFoundError(_missing(uri, path, sources))
        return copies

    return str(move_into_place(dst_path, path.rpartition("/")[2], bring))


def _sources(client: ClientBase, uri: Uri) -> tuple[str, Sequence[Files]]:
    """The path that is meant, and where to look for it; what comes later wins."""
    if isinstance(uri, LocalUri):
        return _local(Path(os.path.abspath(uri.path)))  # noqa: PTH100  # `resolve` would rename a link to its target
    if isinstance(uri, S3Uri):
        above, _, name = uri.key.rpartition("/")
        return name, [_place(str(S3Uri(uri.bucket, above)), name)]
    if isinstance(uri, RunUri):
        return uri.path or "", _of_run(client, uri)
    path = uri.path or ""
    return path, [SealedFiles(client.backend, resolve(client.backend, uri), "", path)]


def _of_run(client: ClientBase, uri: RunUri) -> list[Files]:
    backend = client.backend
    path = uri.path or ""
    run = backend.runs.get(check_run_id(uri.run_id))
    plain = StoredFiles(backend.blobs(run.info.artifact_uri), path)
    name = path.partition("/")[0]
    model_id = backend.logged_models.find_in_run(uri.run_id, name) if name else None
    if model_id is None:
        return [plain]
    return [plain, SealedFiles(backend, resolve(backend, LoggedModelUri(model_id)), f"{name}/", path)]


def _local(place: Path) -> tuple[str, list[Files]]:
    # A store follows no link below its root; one that the caller names is the caller's choice.
    real = place.resolve() if place.is_symlink() else place
    return real.name, [_place(str(real.parent), real.name)]


def _place(root: str, path: str) -> StoredFiles:
    # A place needs no database: nothing is opened for it.
    return StoredFiles(open_store(root), path)


def _missing(uri: Uri, path: str, sources: Sequence[Files]) -> str:
    if isinstance(uri, LocalUri | S3Uri):
        return f"No such artifact: {str(uri)!r}. Nothing is there."
    for above in (path.rpartition("/")[0], ""):
        if there := sorted({info.path for files in sources for info in files.level(above)}):
            more = "" if len(there) <= _SHOWN else f" and {len(there) - _SHOWN} more"
            return f"No such artifact: {str(uri)!r}. There is: {', '.join(there[:_SHOWN])}{more}."
    return f"No such artifact: {str(uri)!r}. There are none."
