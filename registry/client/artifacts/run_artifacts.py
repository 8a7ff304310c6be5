"""Files of a run: MLflow's client methods for logging, listing and downloading them.

Owns which run may be written to and which paths may be given; leaves moving bytes to `blobs`. Invariant: a file is
stored whole or not at all, below the artifact directory of a run that is not deleted.
"""

import os
import tempfile
from pathlib import Path
from typing import Any, Final, Protocol

from registry.blobs import WritableFiles
from registry.client.artifacts.downloads import download, listing
from registry.client.artifacts.json_yaml import dump_document
from registry.client.base import ClientBase
from registry.entities import FileInfo, LifecycleStage
from registry.exceptions import InvalidParameterError, InvalidTypeError, ReadOnlyError
from registry.settings import current_settings
from registry.uris import LoggedModelUri, RunUri
from registry.validation.names import check_run_id
from registry.validation.paths import check_artifact_path, check_local_path

_CHUNK: Final = 1024 * 1024


class ByteStream(Protocol):
    """What `log_stream` reads: a file opened in binary mode, the body of an answer."""

    def read(self, size: int = -1, /) -> bytes | None:
        """At most `size` bytes; ``b""`` at the end."""


class ArtifactMethods(ClientBase):
    """What a client does with the files of runs."""

    def log_artifact(
        self,
        run_id: str,
        local_path: str | Path,
        artifact_path: str | None = None,
        *,
        follow_symlinks: bool | None = None,
    ) -> None:
        """Store a local file or directory, under its own name, in the directory `artifact_path` of a run.

        Symlinks in a directory are refused, unless `follow_symlinks` (by default REGISTRY_FOLLOW_SYMLINKS) says to
        store the files that they lead to.

        Raises:
            ArtifactNotFoundError: nothing is at `local_path`.
            InvalidPathError: `artifact_path` leaves the run's directory, or the directory has a symlink.
            InvalidParameterError: the run is deleted.
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
        """Store the contents of a local directory in the directory `artifact_path` of a run.

        Symlinks are refused, unless `follow_symlinks` (by default REGISTRY_FOLLOW_SYMLINKS) says to store the files
        that they lead to.

        Raises:
            ArtifactNotFoundError: there is no such directory.
            InvalidPathError: `artifact_path` leaves the run's directory, or the directory has a symlink.
            InvalidParameterError: the run is deleted, or `local_dir` is a file.
        """
        source = check_local_path(local_dir)
        if source.is_file():
            raise InvalidParameterError(f"{str(source)!r} is a file, not a directory; store it with log_artifact.")
        path = check_artifact_path(artifact_path) if artifact_path else ""
        self._writable(run_id).upload(source, path, follow_symlinks=_follows(follow_symlinks))

    def log_text(self, run_id: str, text: str, artifact_file: str) -> None:
        """Store a text in UTF-8."""
        if not isinstance(text, str):
            raise InvalidTypeError(f"log_text takes a string, not {type(text).__name__}; use log_dict or log_artifact.")
        try:
            data = text.encode()
        except UnicodeEncodeError as error:
            raise InvalidParameterError(f"The text for {artifact_file!r} is not Unicode: {error}") from error
        self._store(run_id, artifact_file, data)

    def log_dict(self, run_id: str, dictionary: Any, artifact_file: str) -> None:
        """Store nested values as YAML (``.yml``, ``.yaml``) or else JSON.

        NumPy's numbers and arrays are written as numbers and lists, other values that the format lacks as their `str`.

        Raises:
            InvalidParameterError: the value contains itself.
        """
        path = check_artifact_path(artifact_file)
        self._store(run_id, path, dump_document(dictionary, path))

    def log_stream(self, run_id: str, stream: ByteStream, artifact_file: str) -> None:
        """Store what a binary stream has from where it stands to its end, in little memory.

        Raises:
            InvalidTypeError: the stream gives text.
        """
        path = check_artifact_path(artifact_file)
        if not callable(getattr(stream, "read", None)):
            raise InvalidTypeError(f"log_stream takes a file open for reading, not {type(stream).__name__}.")
        store = self._writable(run_id)
        with tempfile.TemporaryDirectory(prefix="registry-") as temporary:
            copy = Path(temporary) / "stream"
            with copy.open("wb") as file:
                while chunk := stream.read(_CHUNK):
                    if not isinstance(chunk, bytes | bytearray | memoryview):
                        raise InvalidTypeError("log_stream takes a stream of bytes; open the file in binary mode.")
                    file.write(chunk)
            store.upload(copy, path)

    def list_artifacts(self, run_id: str, path: str | None = None) -> list[FileInfo]:
        """The files and directories right below `path`, sorted by path; empty for a file or a missing path.

        Paths are relative to the run's artifact directory. A path that begins with the name of a logged model of the
        run shows that model's files too.

        Raises:
            RunNotFoundError: no such run.
        """
        return listing(self, run_artifact(run_id, path))

    def list_logged_model_artifacts(self, model_id: str, path: str | None = None) -> list[FileInfo]:
        """The files and directories of a sealed logged model right below `path`, sorted by path.

        Raises:
            LoggedModelNotFoundError: no such model.
        """
        return listing(self, LoggedModelUri(model_id, _readable(path)))

    def download_artifacts(self, run_id: str, path: str, dst_path: str | Path | None = None) -> str:
        """Copy a file or directory of a run into the local directory `dst_path`; the local path of the copy.

        The directory is made if need be, a fresh temporary one by default; ``""`` copies everything. The copy is the
        caller's own and lands whole or not at all.

        Raises:
            ArtifactNotFoundError: nothing is at `path`; the message says what there is.
            RunNotFoundError: no such run.
        """
        return download(self, run_artifact(run_id, path), None if dst_path is None else check_local_path(dst_path))

    def _store(self, run_id: str, artifact_file: str, data: bytes) -> None:
        path = check_artifact_path(artifact_file)
        self._writable(run_id).write(path, data)

    def _writable(self, run_id: str) -> WritableFiles:
        """The files of a run that may be logged to; finished runs may."""
        if self._read_only:
            raise ReadOnlyError("This client is read-only (read_only=True); open another one to make changes.")
        info = self.backend.runs.get(check_run_id(run_id)).info
        if info.lifecycle_stage != LifecycleStage.ACTIVE:
            raise InvalidParameterError(
                f"The run {run_id} must be in the 'active' state. Current state is {info.lifecycle_stage}; "
                "restore it with restore_run."
            )
        return self.backend.ownership.writable(info.artifact_uri, info.experiment_id)


def run_artifact(run_id: str, path: str | None) -> RunUri:
    """The URI of a path of a run; None and ``""`` are the run's root.

    Raises:
        InvalidPathError: the path leaves the run's directory.
    """
    return RunUri(check_run_id(run_id), _readable(path))


def _readable(path: str | None) -> str | None:
    return check_artifact_path(path) if path and path != "./" else None


def _follows(follow_symlinks: bool | None) -> bool:
    return current_settings().follow_symlinks if follow_symlinks is None else follow_symlinks


def _directory(artifact_path: str | None) -> str:
    return f"{check_artifact_path(artifact_path)}/" if artifact_path else ""
