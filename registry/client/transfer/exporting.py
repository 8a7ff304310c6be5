"""Exporting a registered model: its versions with their files, runs and history as one file.

Owns what goes into the file; leaves its layout to `archive` and `archive_manifest`. Invariant: the file holds what was
verified: the history and the tables in one snapshot, and every byte against its digest on its way in.
"""

import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from registry.client.backend import Backend
from registry.client.base import ClientBase
from registry.client.transfer.archive import ArchiveWriter, create_archive
from registry.client.transfer.export_manifest import text_of
from registry.client.transfer.metrics_jsonl import write_points
from registry.entities.portable import PortableLoggedModel, PortablePoints, PortableRun
from registry.exceptions import ArtifactNotFoundError, IntegrityError
from registry.validation.arguments import check_list
from registry.validation.names import check_model_name, check_version
from registry.validation.paths import check_local_path


class ExportMethods(ClientBase):
    """How registered models leave."""

    def export_model(self, name: str, path: str | Path, *, versions: Sequence[int | str] | None = None) -> Path:
        """Write a registered model to a new file, with all living versions or with these; the absolute path.

        The file has the versions' sealed files, the runs they come from (params, tags, data sets and every metric
        point, but not the runs' plain artifacts), signatures, promotion rules and the whole history. It appears whole
        or not at all.

        Raises:
            ModelNotFoundError, VersionNotFoundError: no such model or version.
            PathExistsError: a file is there already.
            IntegrityError: the history, a table or a stored file is not what was recorded.
            StorageError: the file cannot be written.
        """
        numbers = (
            None
            if versions is None
            else [check_version(version) for version in check_list(versions, "versions", object)]
        )
        departure = self.backend.model_export.model(check_model_name(name), numbers)
        target = check_local_path(path).absolute()
        with tempfile.TemporaryDirectory(prefix="registry-") as temporary:
            runs = [_with_points(self.backend, run, Path(temporary)) for run in departure.model.runs]
            model = replace(departure.model, runs=runs)
            with create_archive(target, text_of(model)) as archive:
                for logged in model.logged_models:
                    _add_files(self.backend, archive, departure.locations[logged.model_id], logged)
                for run in runs:
                    if run.points is not None:
                        with _points_file(Path(temporary), run).open("rb") as stream:
                            archive.add(run.points, stream, f"the points of run {run.run_id}")
        return target


def _with_points(backend: Backend, run: PortableRun, directory: Path) -> PortableRun:
    """The run with its points in a file of `directory`."""
    place = _points_file(directory, run)
    with place.open("w+b") as file:
        backend.model_export.points(run.run_id, lambda points: write_points(file, points))
        size = file.tell()
        if size == 0:
            return run
        file.seek(0)
        return replace(run, points=PortablePoints(size, hashlib.file_digest(file, "sha256").hexdigest()))


def _points_file(directory: Path, run: PortableRun) -> Path:
    return directory / hashlib.sha256(run.run_id.encode()).hexdigest()


def _add_files(backend: Backend, archive: ArchiveWriter, location: str, model: PortableLoggedModel) -> None:
    store = backend.blobs(location)
    for file in model.files:
        if archive.has(file):
            continue
        try:
            with store.open(file.path) as stream:
                archive.add(file, stream, f"{location}/{file.path}")
        except ArtifactNotFoundError as error:
            raise IntegrityError(
                f"{location}/{file.path} is missing: expected {file.size} bytes with SHA-256 {file.sha256}."
            ) from error
