"""Resolves a URI to a model and opens a local directory with its verified files.

Guarantees: no file is handed out unless its digest matches the manifest.
"""

import contextlib
import functools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from registry.blobs import ModelCache, explain_adopted
from registry.blobs.digests import check_entry, hash_stream, missing
from registry.client.atomic_files import move_into_place
from registry.client.byte_stores import open_store
from registry.exceptions import (
    AccessDeniedError,
    ArtifactNotFoundError,
    IntegrityError,
    InvalidPathError,
    InvalidUriError,
)
from registry.settings import cache_directory, current_settings
from registry.uris import LocalUri, LoggedModelUri, ModelAliasUri, ModelStageUri, ModelVersionUri, RunUri, S3Uri
from registry.validation.paths import check_local_path

if TYPE_CHECKING:
    from registry.blobs import BlobStore
    from registry.client.backend import Backend
    from registry.entities import Manifest, ManifestEntry
    from registry.entities.model_registry import ModelVersion, ResolvedModel
    from registry.uris import ModelsUri, Uri


def resolve(backend: "Backend", uri: "Uri") -> "ResolvedModel":
    """Return the sealed model that a ``models:`` or ``runs:`` URI names; a path inside it is ignored.

    Raises:
        NotFoundError: There is none; the message lists what exists.
        InvalidUriError: The URI is a path or an S3 location, not a model.
    """
    if isinstance(uri, RunUri):
        model_id = backend.logged_models.find_in_run(uri.run_id, (uri.path or "").partition("/")[0])
        if model_id is None:
            backend.runs.get(uri.run_id)
            raise ArtifactNotFoundError(
                f"The run {uri.run_id} has no logged model named {uri.path!r}.{models_of_run(backend, uri.run_id)}"
            )
        return backend.resolver.resolve(LoggedModelUri(model_id))
    if isinstance(uri, LocalUri | S3Uri):
        raise InvalidUriError(
            f"{str(uri)!r} is a path or S3 location, not a model of this registry. Use a models:/ or runs:/ URI."
        )
    return backend.resolver.resolve(uri)


def find_version(backend: "Backend", uri: "ModelsUri") -> "ModelVersion | None":
    """Return the version that a ``models:`` URI names; None if it names a logged model.

    Raises:
        NotFoundError: There is no such version; the message lists what exists.
    """
    if isinstance(uri, ModelVersionUri):
        return backend.versions.get(uri.name, uri.version)
    if isinstance(uri, ModelStageUri | ModelAliasUri) and (version := backend.resolver.find_version(uri)) is not None:
        return version
    resolved = resolve(backend, uri)
    if resolved.name is None or resolved.version is None:
        return None
    return backend.versions.get(resolved.name, resolved.version)


def models_of_run(backend: "Backend", run_id: str) -> str:
    """Return a sentence for an error message that names a run's logged models by URI; empty if it has none."""
    names = backend.logged_models.names_in_run(run_id)
    if not names:
        return ""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f" The run has {', '.join(repr(f'runs:/{run_id}/{name}') for name in names[:5])}{more}."


@contextlib.contextmanager
def model_directory(backend: "Backend", resolved: "ResolvedModel") -> Iterator[Path]:
    """Open a local directory with the verified files of a sealed model. Callers must not write to it.

    Files on this machine's disk are used in place; others go through the cache.

    Raises:
        IntegrityError: A stored file is missing or differs from what was sealed.
    """
    opened = sealed_directory(
        backend.blobs(resolved.location),
        resolved.digest,
        lambda: backend.logged_models.manifest(resolved.model_id),
    )
    with contextlib.ExitStack() as stack:
        with explain_adopted(resolved.location, is_adopted=resolved.is_adopted):
            directory = stack.enter_context(opened)
        yield directory


@contextlib.contextmanager
def sealed_directory(store: "BlobStore", digest: str, read_manifest: Callable[[], "Manifest"]) -> Iterator[Path]:
    """Do as `model_directory` for the files of a store, without a database. The manifest is read only if needed."""
    if store.local_directory is not None:
        check_files(store, read_manifest())
        yield store.local_directory
        return
    settings = current_settings()
    cache = _cache(cache_directory(settings), settings.cache_limit_bytes)
    lease = cache.find_lease(digest)
    if lease is None:
        manifest = read_manifest()
        lease = cache.lease(manifest, lambda directory: _fetch(store, manifest, directory))
    with lease as directory:
        yield directory


def _fetch(store: "BlobStore", manifest: "Manifest", directory: Path) -> None:
    """Download a sealed model. A surplus file is looked for, unless listing is not allowed."""
    sealed = {entry.path for entry in manifest.entries}
    extra = None
    with _odd_names(store.root), contextlib.suppress(AccessDeniedError):
        extra = next((info.path for info in store.walk() if info.path not in sealed), None)
    if extra is not None:
        with store.open(extra) as stream:
            raise _too_many(store.root, hash_stream(extra, stream))
    store.fetch(manifest, directory)


@functools.lru_cache(maxsize=8)
def _cache(directory: Path, limit_bytes: int) -> ModelCache:
    # Share one per process: it remembers which entries it has hashed.
    return ModelCache(directory, limit_bytes)


def open_model(
    backend: "Backend", uri: "Uri", dst_path: str | Path | None = None
) -> contextlib.AbstractContextManager[Path]:
    """Open a local directory with the model of any URI, until the block ends.

    With `dst_path` it is a copy that belongs to the caller and stays.

    Raises:
        NotFoundError: There is no such model.
        IntegrityError: The files differ from what was sealed.
        InvalidParameterError, StorageError: `dst_path` cannot be written.
    """
    return (
        open_external_model(uri, dst_path)
        if isinstance(uri, LocalUri | S3Uri)
        else _materialize(_locate(backend, uri), dst_path)
    )


def open_external_model(
    uri: LocalUri | S3Uri, dst_path: str | Path | None = None
) -> contextlib.AbstractContextManager[Path]:
    """Do as `open_model` for a path or S3 location outside any registry, without opening a database."""
    return _materialize(_locate_external(uri), dst_path)


@contextlib.contextmanager
def _materialize(source: contextlib.AbstractContextManager[Path], dst_path: str | Path | None) -> Iterator[Path]:
    with source as directory:
        if dst_path is None:
            yield directory
        else:
            yield move_into_place(check_local_path(dst_path), "", functools.partial(_copy_model, directory))


def _copy_model(directory: Path, staging: Path) -> list[Path]:
    return [Path(shutil.copytree(directory, staging / "model", copy_function=shutil.copyfile))]


@contextlib.contextmanager
def _locate_external(uri: LocalUri | S3Uri) -> Iterator[Path]:
    if isinstance(uri, LocalUri):
        yield Path(uri.path)
    else:
        with _downloaded(open_store(str(uri)), "") as directory:
            yield directory


@contextlib.contextmanager
def _locate(backend: "Backend", uri: "ModelsUri | RunUri") -> Iterator[Path]:
    if isinstance(uri, RunUri) and is_run_artifact(backend, uri):
        store = backend.run_files(uri.run_id)
        with _downloaded(store, uri.path or "") as directory:
            yield directory / (uri.path or "")
    else:
        inner = path_inside(uri)
        with model_directory(backend, resolve(backend, uri)) as directory:
            yield directory / inner if inner else directory


def path_inside(uri: "ModelsUri | RunUri") -> str | None:
    """Return the path inside the model that a URI names after it, or None."""
    return (uri.path or "").partition("/")[2] or None if isinstance(uri, RunUri) else uri.path


def is_run_artifact(backend: "Backend", uri: RunUri) -> bool:
    """Tell whether the path is a plain file of the run, not one of its logged models."""
    name = (uri.path or "").partition("/")[0]
    return backend.logged_models.find_in_run(uri.run_id, name) is None


@contextlib.contextmanager
def _downloaded(store: "BlobStore", path: str) -> Iterator[Path]:
    temporary, owner = Path(tempfile.mkdtemp(prefix="registry-")), os.getpid()
    try:
        store.download(path, temporary)
        yield temporary
    finally:
        if os.getpid() == owner:  # a forked child that ends must not take it from its parent
            shutil.rmtree(temporary, ignore_errors=True)


def check_files(store: "BlobStore", expected: "Manifest") -> bool:
    """Read every file of a store and compare it with a manifest.

    Returns:
        Whether the store was listed: where that is not allowed, a file that was added is not seen.

    Raises:
        IntegrityError: A file is missing, changed or was added; the message gives both digests.
    """
    try:
        with _odd_names(store.root):
            found = store.manifest()
    except AccessDeniedError:
        if store.local_directory is not None:
            raise
        for entry in expected.entries:
            _check_file(store, entry)
        return False
    compare_manifests(found, expected, store.root)
    return True


def _check_file(store: "BlobStore", entry: "ManifestEntry") -> None:
    try:
        with store.open(entry.path) as stream:
            check_entry(entry, hash_stream(entry.path, stream), store.root)
    except ArtifactNotFoundError as error:
        raise missing(entry, store.root) from error


def compare_manifests(actual: "Manifest", expected: "Manifest", location: str) -> None:
    """Compare the files read at a location with the sealed manifest.

    Raises:
        IntegrityError: They differ; the message names the first such file with both digests.
    """
    if actual.digest == expected.digest:
        return
    unexpected = {entry.path: entry for entry in actual.entries}
    for entry in expected.entries:
        actual_entry = unexpected.pop(entry.path, None)
        if actual_entry is None:
            raise missing(entry, location)
        check_entry(entry, actual_entry, location)
    raise _too_many(location, next(iter(unexpected.values())))


def _too_many(location: str, extra: "ManifestEntry") -> IntegrityError:
    return IntegrityError(
        f"{location}/{extra.path} was not sealed with the model: expected no such file, found {extra.size} bytes with "
        f"SHA-256 {extra.sha256}."
    )


@contextlib.contextmanager
def _odd_names(location: str) -> Iterator[None]:
    """Report a path that we could not have stored as a file that was not sealed."""
    try:
        yield
    except InvalidPathError as error:
        raise IntegrityError(
            f"The sealed model at {location} has a file that was not sealed: {error.message}"
        ) from error
