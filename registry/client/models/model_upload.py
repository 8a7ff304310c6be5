"""Uploads a model directory and records it as a logged model ("sealing"): bytes first, row last.

Guarantees: the row appears only after every byte is stored and verified. A crash before that leaves bytes that an
`uploads` row names, never a row without bytes.
"""

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from registry.exceptions import ArtifactNotFoundError, InvalidModelError, PathExistsError, UploadExpiredError

if TYPE_CHECKING:
    from registry.blobs import BlobStore
    from registry.client.backend import Backend
    from registry.entities import LoggedModel, Manifest
    from registry.flavors import Model
    from registry.store.logged_models.logged_models import NewModel, Seal, SealedCopy


MLMODEL = "MLmodel"


def seal_directory(backend: "Backend", directory: Path, new: "NewModel", described: "Model") -> "LoggedModel":
    """Store a local directory, whose MLmodel file has the content `described`, as the logged model `new`."""
    location = _begin_upload(backend, new)
    manifest = backend.blobs(location).seal(directory)
    with discard_if_expired(backend, location):
        return backend.logged_models.create(new, _seal(manifest, described))


def store_copy(backend: "Backend", root: str, path: str, new: "NewModel") -> "SealedCopy":
    """Copy the files at `path` below `root`, a local directory or S3 prefix, for the logged model `new`.

    The logged model appears together with the version that names it; until then an `uploads` row owns the files.

    Raises:
        ArtifactNotFoundError: There are no files.
    """
    return store_files(backend, backend.blobs(root), path, new)


def store_files(
    backend: "Backend", source: "BlobStore", path: str, new: "NewModel", *, resumes: bool = False
) -> "SealedCopy":
    """Copy the files at `path` of a byte store, for the logged model `new`; see `store_copy`.

    With `resumes`, the id is the same in every attempt: what an earlier, interrupted one has stored is removed first.

    Raises:
        PathExistsError: Files are at the location that no upload of this registry has stored; they stay.
    """
    from registry.store.logged_models.logged_models import SealedCopy

    place = f"{source.root}/{path}" if path else source.root
    if next(iter(source.walk(path)), None) is None:
        raise ArtifactNotFoundError(f"There are no files at {place!r}, so there is nothing to register.")
    is_begun = resumes and backend.logged_models.forget_upload(new.model_id)
    location = _begin_upload(backend, new)
    if is_begun:
        above, _, name = location.rpartition("/")
        backend.blobs(above).purge(name)
    try:
        manifest = backend.blobs(location).seal_from(source, path)
    except PathExistsError:
        backend.logged_models.forget_upload(new.model_id)  # gc must not remove what we did not store
        raise
    return SealedCopy(new, _seal(manifest, described_at(backend, location, manifest, place)), location)


def _begin_upload(backend: "Backend", new: "NewModel") -> str:
    """Return the location for the files of a new logged model, and claim its root for this database."""
    location = backend.logged_models.begin_upload(new.upload_name, new.experiment_id)
    backend.ownership.claim(location, new.experiment_id)
    return location


def check_outside(directory: Path) -> None:
    """Check that no model file of an untrusted local directory could crash its parser.

    Raises:
        InvalidModelError: One could.
    """
    from registry.flavors import check_directory, needs_safety_check

    described = _described(directory)
    if described is not None and needs_safety_check(described):
        check_directory(directory)


def store_directory(backend: "Backend", directory: Path, new: "NewModel") -> "SealedCopy":
    """Store a local directory that was checked, for the logged model `new`, which appears with what names it."""
    from registry.store.logged_models.logged_models import SealedCopy

    described = _described(directory)
    location = _begin_upload(backend, new)
    manifest = backend.blobs(location).seal(directory)
    return SealedCopy(new, _seal(manifest, described), location)


@contextlib.contextmanager
def discard_if_expired(backend: "Backend", location: str) -> Iterator[None]:
    """Remove the files at a location if gc has expired the upload: no row names them any more."""
    try:
        yield
    except UploadExpiredError:
        above, _, name = location.rstrip("/").rpartition("/")
        backend.blobs(above).purge(name)
        raise


def described_at(backend: "Backend", location: str, manifest: "Manifest", shown: str) -> "Model | None":
    """Read the MLmodel file of untrusted files after checking them. Return None if there is no usable one.

    `shown` is the location that an error names.

    Raises:
        InvalidModelError: A damaged model file could crash its parser.
    """
    if not any(entry.path == MLMODEL for entry in manifest.entries):
        return None
    store = backend.blobs(location)
    with tempfile.TemporaryDirectory(prefix="registry-") as temporary:
        directory = Path(temporary)
        store.download(MLMODEL, directory)
        described = _described(directory)
        from registry.flavors import check_directory, needs_safety_check

        if described is not None and needs_safety_check(described):
            shutil.rmtree(directory)
            directory.mkdir()
            store.fetch(manifest, directory)
            try:
                check_directory(directory)
            except InvalidModelError as error:
                raise InvalidModelError(str(error).replace(temporary, shown)) from None
    return described


def seal_stored(backend: "Backend", location: str) -> "Seal":
    """Return the seal of files that are at a location already."""
    manifest = backend.blobs(location).manifest()
    return _seal(manifest, described_at(backend, location, manifest, location))


def _described(directory: Path) -> "Model | None":
    if not (directory / MLMODEL).exists():
        return None
    from registry.flavors import Model

    try:
        return Model.load(directory)
    except InvalidModelError:
        # Registering needs files, not flavors: loading the model reports this.
        return None


def _seal(manifest: "Manifest", described: "Model | None") -> "Seal":
    from registry.store.logged_models.logged_models import Seal

    if described is None:
        return Seal(manifest)
    signature = None if described.signature is None else json.dumps(described.signature.to_dict(), sort_keys=True)
    return Seal(manifest, flavors=tuple(described.flavors), signature=signature)
