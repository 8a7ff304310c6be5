"""From a URI to a local directory that holds exactly the files that were sealed.

Owns resolving (which model a URI stands for) and fetching (its bytes, verified). Invariant: no file is handed out whose
digest differs from its manifest.
"""

import contextlib
import functools
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from registry.blobs import ModelCache
from registry.client.backend import Backend
from registry.entities import Manifest
from registry.entities.model_registry import ResolvedModel
from registry.exceptions import ArtifactNotFoundError, IntegrityError, InvalidUriError
from registry.settings import cache_directory, current_settings
from registry.uris import LocalUri, LoggedModelUri, RunUri, S3Uri, Uri


def resolve(backend: Backend, uri: Uri) -> ResolvedModel:
    """The sealed model that a ``models:`` or ``runs:`` URI stands for; a path inside it is disregarded.

    Raises:
        NotFoundError: nothing is there; the message says what there is.
        InvalidUriError: the URI names a place, not a model.
    """
    if isinstance(uri, RunUri):
        found = backend.logged_models.find_in_run(uri.run_id, (uri.path or "").partition("/")[0])
        if found is None:
            backend.runs.get(uri.run_id)
            raise ArtifactNotFoundError(f"The run {uri.run_id} has no logged model named {uri.path!r}.")
        return backend.resolver.resolve(LoggedModelUri(found.model_id))
    if isinstance(uri, LocalUri | S3Uri):
        raise InvalidUriError(f"{str(uri)!r} is a place, not a model of this registry; use a models:/ or runs:/ URI.")
    return backend.resolver.resolve(uri)


@contextlib.contextmanager
def model_directory(backend: Backend, resolved: ResolvedModel) -> Iterator[Path]:
    """A local directory with the files of a sealed model, each checked; nobody may write to it.

    What lies on this machine's disk is used where it lies; from elsewhere it goes through the cache.

    Raises:
        IntegrityError: a stored file is missing, or its bytes are not those that were sealed.
    """
    store = backend.blobs(resolved.location)
    if store.local_directory is not None:
        check_files(backend, resolved.location, backend.logged_models.manifest(resolved.model_id))
        yield store.local_directory
        return
    settings = current_settings()
    cache = _cache(cache_directory(settings), settings.cache_limit_bytes)
    lease = cache.find_lease(resolved.digest)
    if lease is None:
        manifest = backend.logged_models.manifest(resolved.model_id)
        lease = cache.lease(manifest, lambda directory: store.fetch(manifest, directory))
    with lease as directory:
        yield directory


@functools.lru_cache(maxsize=8)
def _cache(directory: Path, limit_bytes: int) -> ModelCache:
    # One per process: it remembers which entries it has hashed.
    return ModelCache(directory, limit_bytes)


@contextlib.contextmanager
def opened(backend: Backend, uri: Uri, dst_path: str | Path | None = None) -> Iterator[Path]:
    """A local directory with the model that a URI of any form stands for, for as long as the block lasts.

    With `dst_path` it is a copy of the caller's own, which stays.
    """
    with _found(backend, uri) as directory:
        if dst_path is None:
            yield directory
        else:
            yield Path(shutil.copytree(directory, dst_path, dirs_exist_ok=True, copy_function=shutil.copyfile))


@contextlib.contextmanager
def _found(backend: Backend, uri: Uri) -> Iterator[Path]:
    if isinstance(uri, LocalUri):
        yield Path(uri.path)
    elif isinstance(uri, S3Uri):
        with _downloaded(backend, str(uri), "") as directory:
            yield directory
    elif isinstance(uri, RunUri) and _is_run_artifact(backend, uri):
        root = backend.runs.get(uri.run_id).info.artifact_uri
        with _downloaded(backend, root, uri.path or "") as directory:
            yield directory / (uri.path or "")
    else:
        inner = _path_inside(uri)
        with model_directory(backend, resolve(backend, uri)) as directory:
            yield directory / inner if inner else directory


def _path_inside(uri: Uri) -> str | None:
    if isinstance(uri, RunUri):
        return (uri.path or "").partition("/")[2] or None
    return None if isinstance(uri, LocalUri | S3Uri) else uri.path


def _is_run_artifact(backend: Backend, uri: RunUri) -> bool:
    """Whether the path is one of the run's plain files, and not a logged model of the run."""
    name = (uri.path or "").partition("/")[0]
    return backend.logged_models.find_in_run(uri.run_id, name) is None


@contextlib.contextmanager
def _downloaded(backend: Backend, root: str, path: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="registry-") as temporary:
        backend.blobs(root).download(path, Path(temporary))
        yield Path(temporary)


def check_files(backend: Backend, location: str, expected: Manifest) -> None:
    """Read every file at a location and compare it with a manifest.

    Raises:
        IntegrityError: a file is missing, changed or was added; the message names it with both digests.
    """
    compare_manifests(backend.blobs(location).manifest(), expected, location)


def compare_manifests(found: Manifest, expected: Manifest, location: str) -> None:
    """Pass if what was read at a location is what was sealed there.

    Raises:
        IntegrityError: a file is missing, changed or was added; the message names it with both digests.
    """
    if found.digest == expected.digest:
        return
    there = {entry.path: entry for entry in found.entries}
    for entry in expected.entries:
        actual = there.pop(entry.path, None)
        if actual is None:
            raise IntegrityError(f"The file {entry.path!r} of the sealed model at {location!r} is missing.")
        if actual != entry:
            raise IntegrityError(
                f"The file {entry.path!r} of the sealed model at {location!r} was changed: its SHA-256 is "
                f"{actual.sha256} ({actual.size} bytes), expected {entry.sha256} ({entry.size} bytes)."
            )
    extra = next(iter(there))
    raise IntegrityError(f"The sealed model at {location!r} has a file {extra!r} that was not sealed with it.")
