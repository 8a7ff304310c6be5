"""A model's metadata without loading it: its MLmodel file, and its row if it is a logged model."""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from registry.client.artifacts.downloads import download
from registry.client.base import ClientBase
from registry.client.models.loading import resolve
from registry.entities.model_registry import ResolvedModel
from registry.exceptions import ArtifactNotFoundError
from registry.uris import LocalUri, RunUri, S3Uri, Uri

if TYPE_CHECKING:
    from registry.flavors import ModelInfo

MLMODEL = "MLmodel"


def model_info(client: ClientBase, uri: Uri) -> "ModelInfo":
    """Return the content of a URI's MLmodel file; for a sealed model, check the file and add the logged model's row.

    Raises:
        NotFoundError: The URI leads to no MLmodel directory.
        InvalidModelError: The MLmodel file cannot be used.
    """
    from registry.flavors import Model

    with tempfile.TemporaryDirectory(prefix="registry-") as temporary:
        download(client, _file_in(uri), Path(temporary))
        mlmodel = Model.load(Path(temporary))
    resolved = _find_sealed(client, uri)
    if resolved is None:
        # This database has no row for it, even if the file names a logged model.
        return replace(mlmodel.get_model_info(), model_uri=str(uri))
    info = mlmodel.get_model_info(client.backend.logged_models.get(resolved.model_id))
    return replace(info, model_uri=str(uri), registered_model_version=resolved.version)


def _find_sealed(client: ClientBase, uri: Uri) -> ResolvedModel | None:
    if isinstance(uri, LocalUri | S3Uri):
        return None
    if not isinstance(uri, RunUri):
        return resolve(client.backend, uri)
    try:
        return resolve(client.backend, uri)
    except ArtifactNotFoundError:
        return None  # plain files of the run


def _file_in(uri: Uri) -> Uri:
    if isinstance(uri, LocalUri):
        return LocalUri(str(Path(uri.path) / MLMODEL))
    if isinstance(uri, S3Uri):
        return S3Uri(uri.bucket, f"{uri.key}/{MLMODEL}" if uri.key else MLMODEL)
    return replace(uri, path=f"{uri.path}/{MLMODEL}" if uri.path else MLMODEL)
