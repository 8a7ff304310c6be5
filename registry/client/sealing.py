"""Sealing: a directory becomes a logged model. Bytes first, row last.

Invariant: the row appears only after every byte is stored and verified; a crash before that leaves bytes that an
`uploads` row names, never a row that names nothing.
"""

import json
import shutil
import tempfile
from pathlib import Path

from registry.client.backend import Backend
from registry.entities import LoggedModel, Manifest
from registry.exceptions import ArtifactNotFoundError, InvalidModelError
from registry.flavors import CHECKED_FLAVORS, Model, check_directory
from registry.store.logged_models import NewModel, Seal

MLMODEL = "MLmodel"


def seal_directory(backend: Backend, directory: Path, new: NewModel) -> LoggedModel:
    """Store a local directory as the logged model `new`."""
    described = _described(directory)
    location = backend.logged_models.begin_upload(new.model_id, new.experiment_id)
    manifest = backend.blobs(location).seal(directory)
    return backend.logged_models.create(new, _seal(manifest, described))


def seal_copy(backend: Backend, root: str, path: str, new: NewModel) -> LoggedModel:
    """Store a copy of what lies at `path` below `root`, a local directory or S3 prefix, as the logged model `new`.

    Raises:
        ArtifactNotFoundError: nothing lies there.
    """
    source = backend.blobs(root)
    place = f"{root}/{path}" if path else root
    if next(iter(source.walk(path)), None) is None:
        raise ArtifactNotFoundError(f"There are no files at {place!r}, so there is nothing to register.")
    location = backend.logged_models.begin_upload(new.model_id, new.experiment_id)
    target = backend.blobs(location)
    manifest = target.seal_from(source, path)
    return backend.logged_models.create(new, _seal(manifest, described_at(backend, location, manifest, place)))


def described_at(backend: Backend, location: str, manifest: Manifest, shown: str) -> Model | None:
    """What the MLmodel file of files from outside says, after they were checked; None where there is no usable one.

    `shown` is the place that an error names.

    Raises:
        InvalidModelError: a model file is damaged so that the parser of its format could crash on it.
    """
    if not any(entry.path == MLMODEL for entry in manifest.entries):
        return None
    store = backend.blobs(location)
    with tempfile.TemporaryDirectory(prefix="registry-") as temporary:
        directory = Path(temporary)
        store.download(MLMODEL, directory)
        described = _described(directory)
        if described is not None and CHECKED_FLAVORS & described.flavors.keys():
            shutil.rmtree(directory)
            directory.mkdir()
            store.fetch(manifest, directory)
            try:
                check_directory(directory)
            except InvalidModelError as error:
                raise InvalidModelError(str(error).replace(temporary, shown)) from None
    return described


def seal_stored(backend: Backend, location: str) -> Seal:
    """The seal of files that were stored at a location piece by piece."""
    manifest = backend.blobs(location).manifest()
    return _seal(manifest, described_at(backend, location, manifest, location))


def _described(directory: Path) -> Model | None:
    if not (directory / MLMODEL).exists():
        return None
    try:
        return Model.load(directory)
    except InvalidModelError:
        # Registering needs files to be there, not flavors: whoever loads the model is told.
        return None


def _seal(manifest: Manifest, described: Model | None) -> Seal:
    if described is None:
        return Seal(manifest)
    signature = None if described.signature is None else json.dumps(described.signature.to_dict(), sort_keys=True)
    return Seal(manifest, flavors=tuple(described.flavors), signature=signature)
