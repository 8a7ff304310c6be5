"""Client methods that store, list and download the files of runs.

Guarantees: a file is stored completely or not at all, below the artifact directory of a run that is not deleted.
"""

import os
import tempfile
from pathlib import Path
from typing import Any, Final, Protocol

from registry.blobs import AdoptedBlobStore, WritableFiles
from registry.client.artifacts.downloads import download, listing
from registry.client.artifacts.json_yaml import dump_document
from registry.client.base import ClientBase
from registry.entities import FileInfo, LifecycleStage
from registry.exceptions import InvalidParameterError, InvalidTypeError, ReadOnlyError, disk_error
from registry.settings import current_settings
from registry.uris import LoggedModelUri, RunUri
from registry.validation.names import check_run_id
from registry.validation.paths import check_artifact_path, check_local_path

_CHUNK: Final = 1024 * 1024


class ByteStream(Protocol):
    """A binary stream for `log_stream`: an open file, or the body of a response."""

    def read(self, size: int = -1, /) -> bytes | None:
        """Return at most `size` bytes; ``b""`` at the end."""


class ArtifactMethods(ClientBase):
    """Client methods for the files of runs."""

    def log_artifact(
        self,
        run_id: str,
        local_path: str | Path,
        artifact_path: str | None = None,
        *,
        follow_symlinks: bool | None = None,
    ) -> None:
        """Store a local file or directory under its own name among a run's artifacts.

        Args:
            run_id: The run's id. It may be finished, but not deleted.
            local_path: The file or directory to store.
            artifact_path: The directory of the run to store it in. Default: the run's root.
            follow_symlinks: Store the files that symlinks lead to, instead of refusing them. Default:
                ``REGISTRY_FOLLOW_SYMLINKS``, else False.

        Raises:
            ArtifactNotFoundError: `local_path` does not exist.
            InvalidPathError: `artifact_path` leads out of the run's directory, or a symlink is refused.
            InvalidParameterError: The run is deleted.
            RunNotFoundError: No run has this id.

        Example:
            >>> from pathlib import Path
            >>> _ = Path("notes.md").write_text("# Notes")
            >>> client.log_artifact(run_id, "notes.md", "docs")
            >>> [file.path for file in client.list_artifacts(run_id, "docs")]
            ['docs/notes.md']
        """
        source = check_local_path(local_path)
        name = Path(os.path.abspath(source)).name  # noqa: PTH100  # `resolve` would rename a link to its target
        path = check_artifact_path(f"{_directory(artifact_path)}{name}")
        self._writable(run_id).upload(source, path, follow_symlinks=_follows(follow_symlinks))

    def log_artifacts(
        self,
        run_id: str,
        local_dir: str | Path,
        artifact_path: str | None = None,
        *,
        follow_symlinks: bool | None = None,
    ) -> None:
        """Store the contents of a local directory among a run's artifacts.

        Args:
            run_id: The run's id. It may be finished, but not deleted.
            local_dir: The directory whose contents are stored.
            artifact_path: The directory of the run to store them in. Default: the run's root.
            follow_symlinks: Store the files that symlinks lead to, instead of refusing them. Default:
                ``REGISTRY_FOLLOW_SYMLINKS``, else False.

        Raises:
            ArtifactNotFoundError: `local_dir` does not exist.
            InvalidPathError: `artifact_path` leads out of the run's directory, or a symlink is refused.
            InvalidParameterError: The run is deleted, or `local_dir` is a file.
            RunNotFoundError: No run has this id.

        Example:
            >>> from pathlib import Path
            >>> Path("plots").mkdir()
            >>> _ = Path("plots/roc.csv").write_text("fpr,tpr")
            >>> client.log_artifacts(run_id, "plots", "plots")
            >>> [file.path for file in client.list_artifacts(run_id, "plots")]
            ['plots/roc.csv']
        """
        source = check_local_path(local_dir)
        if source.is_file():
            raise InvalidParameterError(f"{str(source)!r} is a file, not a directory; store it with log_artifact.")
        path = check_artifact_path(artifact_path) if artifact_path else ""
        self._writable(run_id).upload(source, path, follow_symlinks=_follows(follow_symlinks))

    def log_text(self, run_id: str, text: str, artifact_file: str) -> None:
        """Store text as a UTF-8 file of a run.

        Args:
            run_id: The run's id. It may be finished, but not deleted.
            text: The text.
            artifact_file: The file's path in the run.

        Raises:
            InvalidTypeError: `text` is not a string.
            InvalidPathError: `artifact_file` leads out of the run's directory.
            RunNotFoundError: No run has this id.

        Example:
            >>> client.log_text(run_id, "home teams rest longer", "insights/rest.txt")
            >>> mlflow.artifacts.load_text(f"runs:/{run_id}/insights/rest.txt")
            'home teams rest longer'
        """
        if not isinstance(text, str):
            raise InvalidTypeError(f"log_text takes a string, not {type(text).__name__}; use log_dict or log_artifact.")
        try:
            data = text.encode()
        except UnicodeEncodeError as error:
            raise InvalidParameterError(f"The text for {artifact_file!r} is not Unicode: {error}") from error
        self._store(run_id, artifact_file, data)

    def log_dict(self, run_id: str, dictionary: Any, artifact_file: str) -> None:
        """Store nested values as a YAML or JSON file of a run.

        Args:
            run_id: The run's id. It may be finished, but not deleted.
            dictionary: The value: mappings, lists, text and numbers. NumPy's numbers and arrays become numbers and
                lists; other values become their `str`.
            artifact_file: The file's path in the run. ``.yml`` and ``.yaml`` mean YAML, any other ending JSON.

        Raises:
            InvalidParameterError: The value contains itself.
            InvalidPathError: `artifact_file` leads out of the run's directory.
            RunNotFoundError: No run has this id.

        Example:
            >>> client.log_dict(run_id, {"window": 5, "weights": np.array([0.5, 0.5])}, "features.yaml")
            >>> mlflow.artifacts.load_dict(f"runs:/{run_id}/features.yaml")
            {'weights': [0.5, 0.5], 'window': 5}
        """
        path = check_artifact_path(artifact_file)
        self._store(run_id, path, dump_document(dictionary, path))

    def log_stream(self, run_id: str, stream: ByteStream, artifact_file: str) -> None:
        """Store the rest of a binary stream as a file of a run, without holding it in memory.

        Args:
            run_id: The run's id. It may be finished, but not deleted.
            stream: An open binary file, or any object whose ``read(size)`` returns bytes.
            artifact_file: The file's path in the run.

        Raises:
            InvalidTypeError: The stream returns text.
            InvalidPathError: `artifact_file` leads out of the run's directory.
            RunNotFoundError: No run has this id.
            StorageError: The temporary directory, through which the stream goes, or the store cannot be written.

        Example:
            >>> import io
            >>> client.log_stream(run_id, io.BytesIO(b"id,score"), "scores.csv")
            >>> client.list_artifacts(run_id)[-1].file_size
            8
        """
        path = check_artifact_path(artifact_file)
        if not callable(getattr(stream, "read", None)):
            raise InvalidTypeError(f"log_stream takes a file open for reading, not {type(stream).__name__}.")
        store = self._writable(run_id)
        with tempfile.TemporaryDirectory(prefix="registry-") as temporary:
            copy = Path(temporary) / "stream"
            _copy_to_disk(stream, copy)
            store.upload(copy, path)

    def list_artifacts(self, run_id: str, path: str | None = None) -> list[FileInfo]:
        """List the files and directories directly below a path of a run.

        Args:
            run_id: The run's id.
            path: A directory of the run. The name of a logged model of the run shows that model's files. Default: the
                root.

        Returns:
            Files with their size in bytes, and directories, sorted by path. Empty for a file or a path that does not
            exist.

        Raises:
            RunNotFoundError: No run has this id.
            InvalidPathError: `path` leads out of the run's directory.

        Example:
            >>> [(file.path, file.is_dir, file.file_size) for file in client.list_artifacts(run_id)]
            [('notes.txt', False, 8)]
            >>> [file.path for file in client.list_artifacts(run_id, "model")][:2]
            ['model/MLmodel', 'model/conda.yaml']
        """
        return listing(self, run_artifact(run_id, path))

    def list_logged_model_artifacts(self, model_id: str, path: str | None = None) -> list[FileInfo]:
        """List the files and directories directly below a path of a sealed logged model.

        Args:
            model_id: The logged model's id.
            path: A directory of the model. Default: the root.

        Returns:
            Files with their size in bytes, and directories, sorted by path.

        Raises:
            LoggedModelNotFoundError: No logged model has this id.

        Example:
            >>> model_id = client.resolve("models:/churn@champion").model_id
            >>> [file.path for file in client.list_logged_model_artifacts(model_id)][:3]
            ['MLmodel', 'conda.yaml', 'model.ubj']
        """
        return listing(self, LoggedModelUri(model_id, _readable(path)))

    def download_artifacts(self, run_id: str, path: str, dst_path: str | Path | None = None) -> str:
        """Copy a file or directory of a run into a local directory and return the path of the copy.

        The copy appears complete or not at all. It is yours to change.

        Args:
            run_id: The run's id.
            path: The file or directory of the run; ``""`` copies all artifacts.
            dst_path: The directory to copy into; it is created if it is missing. Default: a new temporary directory.

        Returns:
            The local path of the copied file or directory.

        Raises:
            ArtifactNotFoundError: `path` does not exist; the message lists what exists.
            RunNotFoundError: No run has this id.
            IntegrityError: A file of a logged model differs from its manifest.

        Example:
            >>> from pathlib import Path
            >>> Path(client.download_artifacts(run_id, "notes.txt", dst_path="copy")).read_text()
            'all good'
        """
        return download(self, run_artifact(run_id, path), None if dst_path is None else check_local_path(dst_path))

    def _store(self, run_id: str, artifact_file: str, data: bytes) -> None:
        path = check_artifact_path(artifact_file)
        self._writable(run_id).write(path, data)

    def _writable(self, run_id: str) -> WritableFiles:
        """Open the byte store of a run that can be logged to; a finished run can."""
        if self._read_only:
            raise ReadOnlyError("This client is read-only (read_only=True); open another one to make changes.")
        place = self.backend.runs.files(check_run_id(run_id))
        if place.lifecycle_stage != LifecycleStage.ACTIVE:
            raise InvalidParameterError(
                f"The run {run_id} must be in the 'active' state. Current state is {place.lifecycle_stage}; "
                "restore it with restore_run."
            )
        files = self.backend.files_at(place)
        if isinstance(files, AdoptedBlobStore):
            return files  # refuses, and says why
        return self.backend.ownership.writable(place.artifact_uri, place.experiment_id)


def _copy_to_disk(stream: ByteStream, path: Path) -> None:
    with path.open("wb", buffering=0) as file:  # with a buffer, closing would write again, and fail again
        while chunk := stream.read(_CHUNK):
            if not isinstance(chunk, bytes | bytearray | memoryview):
                raise InvalidTypeError("log_stream takes a stream of bytes; open the file in binary mode.")
            left = memoryview(chunk).cast("B")
            try:
                while left:
                    left = left[file.write(left) :]
            except OSError as error:
                raise disk_error(
                    f"The stream cannot be copied to {path.parent}: {error.strerror}. Free space there, or set TMPDIR.",
                    error,
                ) from error


def run_artifact(run_id: str, path: str | None) -> RunUri:
    """Return the URI of a path of a run; None and ``""`` mean the run's root.

    Raises:
        InvalidPathError: The path leads out of the run's directory.
    """
    return RunUri(check_run_id(run_id), _readable(path))


def _readable(path: str | None) -> str | None:
    return check_artifact_path(path) if path and path != "./" else None


def _follows(follow_symlinks: bool | None) -> bool:
    return current_settings().follow_symlinks if follow_symlinks is None else follow_symlinks


def _directory(artifact_path: str | None) -> str:
    return f"{check_artifact_path(artifact_path)}/" if artifact_path else ""
