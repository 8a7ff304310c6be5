"""Module-level functions that list, download and load artifacts by URI, or by run and path."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from registry.client import MlflowClient
from registry.client.artifacts.downloads import download, listing
from registry.client.artifacts.images import decode_image
from registry.client.artifacts.json_yaml import decode_text, load_document
from registry.client.artifacts.run_artifacts import run_artifact
from registry.client.models.signing import signed_uri
from registry.entities import FileInfo
from registry.exceptions import InvalidParameterError
from registry.fluent import state
from registry.uris import Uri, parse
from registry.validation.paths import check_local_path

if TYPE_CHECKING:
    from PIL.Image import Image


def download_artifacts(
    artifact_uri: str | None = None,
    run_id: str | None = None,
    artifact_path: str | None = None,
    dst_path: str | Path | None = None,
    tracking_uri: str | None = None,
    registry_uri: str | None = None,
    *,
    require_signature: str | Path | None = None,
) -> str:
    """Copy a file or directory of a run or a URI into a local directory and return the path of the copy.

    The copy appears complete or not at all. It is yours to change.

    Args:
        artifact_uri: A ``runs:``, ``models:``, ``s3:`` or ``file:`` URI, or a local path.
        run_id: A run. Give either `artifact_uri` or `run_id`.
        artifact_path: A path in the run. Default: all its artifacts.
        dst_path: The directory to copy into; it is created if it is missing. Default: a new temporary directory.
        tracking_uri: Where to look. Default: the tracking URI that is set.
        registry_uri: For MLflow's scripts; it must be the tracking URI.
        require_signature: A public key (a PEM file). Copy only files of a model that this key signed.

    Returns:
        The local path of the copied file or directory.

    Raises:
        InvalidParameterError: Both or neither of `artifact_uri` and `run_id` are given.
        NotFoundError: There is nothing to copy; the message lists what exists.
        IntegrityError: A model's file differs from its manifest.
        UntrustedModelError: The model is not signed with the required key.

    Example:
        >>> from pathlib import Path
        >>> path = mlflow.artifacts.download_artifacts(f"runs:/{run_id}/notes.txt", dst_path="copy")
        >>> Path(path).relative_to(Path.cwd()).as_posix()
        'copy/notes.txt'
        >>> Path(path).read_text()
        'all good'
    """
    uri = _choose_uri(artifact_uri, run_id, artifact_path)
    destination = None if dst_path is None else check_local_path(dst_path)
    client = _choose_client(tracking_uri, registry_uri)
    if require_signature is not None:
        uri = signed_uri(client.backend, uri, require_signature)
    return download(client, uri, destination)


def list_artifacts(
    artifact_uri: str | None = None,
    run_id: str | None = None,
    artifact_path: str | None = None,
    tracking_uri: str | None = None,
) -> list[FileInfo]:
    """List the files and directories directly below a URI or a path of a run.

    Args:
        artifact_uri: A ``runs:``, ``models:``, ``s3:`` or ``file:`` URI, or a local path.
        run_id: A run. Give either `artifact_uri` or `run_id`.
        artifact_path: A path in the run. Default: its root.
        tracking_uri: Where to look. Default: the tracking URI that is set.

    Returns:
        Files with their size in bytes, and directories, sorted by path. Paths are relative to `artifact_uri`, or to the
        run's root. Empty for a file or a path that does not exist.

    Raises:
        InvalidParameterError: Both or neither of `artifact_uri` and `run_id` are given.
        NotFoundError: The run or model does not exist.

    Example:
        >>> [(file.path, file.file_size) for file in mlflow.artifacts.list_artifacts(run_id=run_id)]
        [('notes.txt', 8)]
    """
    uri = _choose_uri(artifact_uri, run_id, artifact_path)
    return listing(_choose_client(tracking_uri, None), uri, relative=artifact_uri is not None)


def load_text(artifact_uri: str) -> str:
    """Return the text of a UTF-8 file.

    Args:
        artifact_uri: The file's URI or local path, as in `download_artifacts`.

    Returns:
        The text.

    Raises:
        InvalidParameterError: It is a directory, or not UTF-8.
        NotFoundError: It does not exist.

    Example:
        >>> mlflow.artifacts.load_text(f"runs:/{run_id}/notes.txt")
        'all good'
    """
    with _download_file(artifact_uri) as (data, name):
        return decode_text(data, name)


def load_dict(artifact_uri: str) -> Any:
    """Return the value of a JSON or YAML file.

    Args:
        artifact_uri: The file's URI or local path, as in `download_artifacts`. ``.yml`` and ``.yaml`` mean YAML.

    Returns:
        The value: for a mapping a dict, for a sequence a list.

    Raises:
        InvalidParameterError: It is a directory, or not a file of this format.
        NotFoundError: It does not exist.

    Example:
        >>> mlflow.log_dict({"eta": 0.1}, "settings.json", run_id=run_id)
        >>> mlflow.artifacts.load_dict(f"runs:/{run_id}/settings.json")
        {'eta': 0.1}
    """
    with _download_file(artifact_uri) as (data, name):
        return load_document(data, name)


def load_image(artifact_uri: str) -> "Image":
    """Return an image file as a Pillow image.

    Args:
        artifact_uri: The file's URI or local path, as in `download_artifacts`.

    Returns:
        A ``PIL.Image.Image``.

    Raises:
        InvalidParameterError: It is a directory, or not an image.
        NotFoundError: It does not exist.
        MissingDependencyError: Pillow is not installed.

    Example:
        >>> with mlflow.start_run() as run:
        ...     mlflow.log_image(np.ones((2, 3)), "white.png")
        >>> mlflow.artifacts.load_image(f"runs:/{run.info.run_id}/white.png").getpixel((0, 0))
        255
    """
    with _download_file(artifact_uri) as (data, name):
        return decode_image(data, name)


@contextlib.contextmanager
def _download_file(artifact_uri: str) -> Iterator[tuple[bytes, str]]:
    with tempfile.TemporaryDirectory(prefix="registry-") as temporary:
        copy = Path(download_artifacts(artifact_uri, dst_path=Path(temporary) / "copy"))
        if copy.is_dir():
            raise InvalidParameterError(f"{artifact_uri!r} is a directory; name a file in it.")
        yield copy.read_bytes(), copy.name


def _choose_uri(artifact_uri: str | None, run_id: str | None, artifact_path: str | None) -> Uri:
    if artifact_uri is not None and run_id is None:
        if artifact_path is not None:
            raise InvalidParameterError(
                "'artifact_path' goes with 'run_id'; with 'artifact_uri' make it part of the URI."
            )
        return parse(artifact_uri)
    if artifact_uri is None and run_id is not None:
        return run_artifact(run_id, artifact_path)
    raise InvalidParameterError("Exactly one of 'run_id' or 'artifact_uri' must be specified.")


def _choose_client(tracking_uri: str | None, registry_uri: str | None) -> MlflowClient:
    return state.client() if tracking_uri is None and registry_uri is None else MlflowClient(tracking_uri, registry_uri)
