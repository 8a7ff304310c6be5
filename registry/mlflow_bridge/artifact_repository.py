"""mlflow's access to the files of logged models and versions (``mlflow.artifact_repository`` entry point).

Guarantees: what mlflow loads is a copy of its own, checked against the sealed digests; mlflow writes files of its own
(``registered_model_meta``) only into that copy. Files can be added only until a model is finalized.
"""

import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mlflow import entities as theirs
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repo import ArtifactRepository

from registry.client import MlflowClient
from registry.client.artifacts.downloads import download
from registry.mlflow_bridge.places import MODEL_SCHEME, current_store_uri, open_client, translate_class
from registry.uris import parse


@translate_class
class RegistryModelRepository(ArtifactRepository):  # type: ignore[misc]  # mlflow has no types
    """The files of one logged model, ``registry-model:/<model id>``."""

    def __init__(self, artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None) -> None:
        super().__init__(artifact_uri, tracking_uri, registry_uri)
        self._model_id, _, inner = urlsplit(artifact_uri).path.removeprefix("/").partition("/")
        self._inner = inner.strip("/")
        if not self._model_id:
            raise MlflowException.invalid_parameter_value(
                f"{artifact_uri!r} names no model; write {MODEL_SCHEME}:/<model id>."
            )

    def log_artifact(self, local_file: str, artifact_path: str | None = None) -> None:
        """Add a file to a pending model."""
        self._client().log_model_artifact(self._model_id, local_file, self._below(artifact_path) or None)

    def log_artifacts(self, local_dir: str, artifact_path: str | None = None) -> None:
        """Add the files of a directory to a pending model."""
        self._client().log_model_artifacts(self._model_id, local_dir, self._below(artifact_path) or None)

    def list_artifacts(self, path: str | None = None) -> list[Any]:
        """List the files and directories directly below a path, relative to this URI."""
        files = self._client().list_logged_model_artifacts(self._model_id, self._below(path) or None)
        above = f"{self._inner}/" if self._inner else ""
        return [theirs.FileInfo(file.path.removeprefix(above), file.is_dir, file.file_size) for file in files]

    def download_artifacts(self, artifact_path: str, dst_path: str | None = None) -> str:
        """Copy a file or directory of the model below a local directory and return the path of the copy."""
        target = Path(dst_path) if dst_path is not None else Path(tempfile.mkdtemp(prefix="registry-"))
        if not target.is_dir():
            raise MlflowException.invalid_parameter_value(f"The directory {target} to download to does not exist.")
        path = self._below(artifact_path)
        uri = parse(f"models:/{self._model_id}" + (f"/{path}" if path else ""))
        return download(self._client(), uri, (target / artifact_path).parent if artifact_path else target)

    def delete_artifacts(self, artifact_path: str | None = None) -> None:
        """Refuse: the files of a model are sealed, and `registry gc` removes those of deleted models."""
        what = f"{artifact_path!r} of the model" if artifact_path else "The files of the model"
        raise MlflowException.invalid_parameter_value(
            f"{what} {self._model_id} are sealed. Delete the model; 'registry gc' removes its files."
        )

    def _download_file(self, remote_file_path: str, local_path: str) -> None:
        with tempfile.TemporaryDirectory(prefix="registry-") as temporary:
            copy = Path(self.download_artifacts(remote_file_path, temporary))
            Path(local_path).parent.mkdir(parents=True, exist_ok=True)
            Path(local_path).write_bytes(copy.read_bytes())

    def _below(self, path: str | None) -> str:
        return "/".join(part for part in (self._inner, path) if part)

    def _client(self) -> MlflowClient:
        return open_client(current_store_uri(self.tracking_uri, self.registry_uri))
