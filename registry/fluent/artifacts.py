"""Files of the active run, and artifacts by URI: MLflow's module-level functions for them.

Where no run is active one is started and stays active, as in MLflow.
"""

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from registry.client import MlflowClient
from registry.client.artifacts.downloads import download, listing
from registry.client.artifacts.images import decoded
from registry.client.artifacts.json_yaml import decode, load_document
from registry.client.artifacts.run_artifacts import ByteStream, run_artifact
from registry.client.models.signing import signed_uri
from registry.entities import FileInfo
from registry.exceptions import InvalidParameterError
from registry.fluent import state
from registry.fluent.experiments import active_experiment_id
from registry.fluent.runs import active_or_new_run_id
from registry.uris import Uri, parse
from registry.validation.paths import check_artifact_path, check_local_path

if TYPE_CHECKING:
    import pandas as pd
    from PIL.Image import Image


def log_artifact(
    local_path: str | Path,
    artifact_path: str | None = None,
    run_id: str | None = None,
    *,
    follow_symlinks: bool | None = None,
) -> None:
    """Store a local file or directory, under its own name, in the directory `artifact_path` of the run.

    Raises:
        ArtifactNotFoundError: nothing is at `local_path`.
        InvalidPathError: `artifact_path` leaves the run's directory.
    """
    state.client().log_artifact(_run(run_id, artifact_path), local_path, artifact_path, follow_symlinks=follow_symlinks)


def log_artifacts(
    local_dir: str | Path,
    artifact_path: str | None = None,
    run_id: str | None = None,
    *,
    follow_symlinks: bool | None = None,
) -> None:
    """Store the contents of a local directory in the directory `artifact_path` of the run.

    Raises:
        ArtifactNotFoundError: there is no such directory.
        InvalidPathError: `artifact_path` leaves the run's directory.
    """
    state.client().log_artifacts(_run(run_id, artifact_path), local_dir, artifact_path, follow_symlinks=follow_symlinks)


def log_text(text: str, artifact_file: str, run_id: str | None = None) -> None:
    """Store a text in UTF-8."""
    state.client().log_text(_run(run_id, artifact_file), text, artifact_file)


def log_dict(dictionary: Any, artifact_file: str, run_id: str | None = None) -> None:
    """Store nested values as YAML (``.yml``, ``.yaml``) or else JSON."""
    state.client().log_dict(_run(run_id, artifact_file), dictionary, artifact_file)


def log_stream(stream: ByteStream, artifact_file: str, run_id: str | None = None) -> None:
    """Store what a binary stream has from where it stands to its end, in little memory."""
    state.client().log_stream(_run(run_id, artifact_file), stream, artifact_file)


def log_figure(figure: Any, artifact_file: str, *, save_kwargs: Mapping[str, Any] | None = None) -> None:
    """Store a figure of matplotlib or plotly in the format of the file's ending.

    Raises:
        InvalidTypeError: no such figure, or plotly has no format of that ending.
        MissingDependencyError: plotly needs kaleido for pictures.
    """
    state.client().log_figure(_run(None, artifact_file), figure, artifact_file, save_kwargs=save_kwargs)


def log_image(
    image: Any,
    artifact_file: str | None = None,
    key: str | None = None,
    step: int | None = None,
    timestamp: int | None = None,
    synchronous: bool | None = False,
) -> None:
    """Store a picture: as the file `artifact_file`, or under `key` as one of a series, with a thumbnail.

    Raises:
        InvalidTypeError: both or neither of `artifact_file` and `key`, or no picture.
    """
    state.client().log_image(_run(None, artifact_file), image, artifact_file, key, step, timestamp, synchronous)


def log_table(data: "Mapping[str, Any] | pd.DataFrame", artifact_file: str, run_id: str | None = None) -> None:
    """Append rows to a table of the run, which is made if there is none; ``.json`` or ``.parquet``.

    Raises:
        InvalidParameterError: the file is no such table, or the rows do not fit it.
        MissingDependencyError: ``.parquet`` needs pyarrow.
    """
    state.client().log_table(_run(run_id, artifact_file), data, artifact_file)


def load_table(
    artifact_file: str, run_ids: Sequence[str] | None = None, extra_columns: Sequence[str] | None = None
) -> "pd.DataFrame":
    """A table of all runs of the active experiment that have it, or of some of them, as one data frame.

    Raises:
        ArtifactNotFoundError: no such run has the table.
    """
    return state.client().load_table(active_experiment_id(), artifact_file, run_ids, extra_columns)


def flush_artifact_async_logging() -> None:
    """Do nothing: a file is stored when the call that logs it returns. For scripts that call it."""


def get_artifact_uri(artifact_path: str | None = None) -> str:
    """Where the active run's files are, or one of them: an absolute path or an S3 URI."""
    root = state.client().get_run(_run(None, artifact_path)).info.artifact_uri
    return root if artifact_path is None else f"{root}/{check_artifact_path(artifact_path)}"


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
    """Copy a file or directory, of a URI of any form or of a run, into `dst_path`; the local path of the copy.

    The directory is made if need be, a fresh temporary one by default. The copy is the caller's own, and lands whole or
    not at all. With `require_signature`, a public key (a PEM file), only files of a model that this key signed are.

    Raises:
        UntrustedModelError: the model lacks the signature that is required.
        InvalidParameterError: not exactly one of `artifact_uri` and `run_id`.
        NotFoundError: nothing is there; the message says what there is.
        IntegrityError: a file of a model is not what was sealed.
    """
    uri = _meant(artifact_uri, run_id, artifact_path)
    destination = None if dst_path is None else check_local_path(dst_path)
    client = _client(tracking_uri, registry_uri)
    if require_signature is not None:
        uri = signed_uri(client.backend, uri, require_signature)
    return download(client, uri, destination)


def list_artifacts(
    artifact_uri: str | None = None,
    run_id: str | None = None,
    artifact_path: str | None = None,
    tracking_uri: str | None = None,
) -> list[FileInfo]:
    """Return the files and directories right below a URI of any form or a path of a run; none for a file or nothing.

    Paths are relative to `artifact_uri`, or to the run's artifact directory.

    Raises:
        InvalidParameterError: not exactly one of `artifact_uri` and `run_id`.
        NotFoundError: no such run or model.
    """
    uri = _meant(artifact_uri, run_id, artifact_path)
    return listing(_client(tracking_uri, None), uri, relative=artifact_uri is not None)


def load_text(artifact_uri: str) -> str:
    """The text of a file.

    Raises:
        InvalidParameterError: it is not UTF-8, or a directory.
        NotFoundError: nothing is there.
    """
    with _file(artifact_uri) as (data, name):
        return decode(data, name)


def load_dict(artifact_uri: str) -> Any:
    """The value of a JSON file, or of YAML where the name ends in ``.yml`` or ``.yaml``.

    Raises:
        InvalidParameterError: it is not such a file, or a directory.
        NotFoundError: nothing is there.
    """
    with _file(artifact_uri) as (data, name):
        return load_document(data, name)


def load_image(artifact_uri: str) -> "Image":
    """The picture of a file as Pillow's image.

    Raises:
        InvalidParameterError: it is not a picture, or a directory.
        NotFoundError: nothing is there.
        MissingDependencyError: Pillow is not installed.
    """
    with _file(artifact_uri) as (data, name):
        return decoded(data, name)


@contextlib.contextmanager
def _file(artifact_uri: str) -> Iterator[tuple[bytes, str]]:
    with tempfile.TemporaryDirectory(prefix="registry-") as temporary:
        copy = Path(download_artifacts(artifact_uri, dst_path=Path(temporary) / "copy"))
        if copy.is_dir():
            raise InvalidParameterError(f"{artifact_uri!r} is a directory; name a file in it.")
        yield copy.read_bytes(), copy.name


def _run(run_id: str | None, path: str | None) -> str:
    """The run that is given, or the active one; none is started for a path that cannot be used."""
    if path is not None and path != "":
        check_artifact_path(path)
    return run_id or active_or_new_run_id()


def _meant(artifact_uri: str | None, run_id: str | None, artifact_path: str | None) -> Uri:
    if artifact_uri is not None and run_id is None:
        if artifact_path is not None:
            raise InvalidParameterError(
                "'artifact_path' goes with 'run_id'; with 'artifact_uri' make it part of the URI."
            )
        return parse(artifact_uri)
    if artifact_uri is None and run_id is not None:
        return run_artifact(run_id, artifact_path)
    raise InvalidParameterError("Exactly one of 'run_id' or 'artifact_uri' must be specified.")


def _client(tracking_uri: str | None, registry_uri: str | None) -> MlflowClient:
    return state.client() if tracking_uri is None and registry_uri is None else MlflowClient(tracking_uri, registry_uri)
