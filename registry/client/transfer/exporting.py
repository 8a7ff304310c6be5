"""Client method that exports a registered model, with files, runs and history, to one file.

Guarantees: the file holds verified data: history and tables from one snapshot, and every byte checked against its
digest as it is written.
"""

import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from registry.client.base import ClientBase
from registry.exceptions import ArtifactNotFoundError, IntegrityError
from registry.validation.arguments import check_list
from registry.validation.names import check_model_name, check_version
from registry.validation.paths import check_local_path

if TYPE_CHECKING:
    from registry.client.backend import Backend
    from registry.client.transfer.archive import ArchiveWriter
    from registry.entities.portable_model import PortableLoggedModel, PortableRun


class ExportMethods(ClientBase):
    """Client method that exports registered models."""

    def export_model(self, name: str, path: str | Path, *, versions: Sequence[int | str] | None = None) -> Path:
        """Export a registered model to a new file.

        The file holds the versions' files, the runs that made them (params, tags, data sets and every metric point, but
        no plain artifacts), signatures, promotion rules and the whole history. It appears complete or not at all.

        Args:
            name: Registered model.
            path: New file, a ZIP archive.
            versions: Version numbers; None for all that are not deleted.

        Returns:
            The absolute path of the file.

        Raises:
            IntegrityError: The history, a table or a stored file differs from what was recorded.
            ModelNotFoundError: There is no such model.
            PathExistsError: The file exists already.
            StorageError: The file cannot be written.
            VersionNotFoundError: The model has no such version.

        Example:
            >>> client.export_model("churn", "churn.zip", versions=[2]).name
            'churn.zip'
        """
        from registry.client.transfer.archive import create_archive
        from registry.client.transfer.export_manifest import to_json

        numbers = (
            None
            if versions is None
            else [check_version(version) for version in check_list(versions, "versions", object)]
        )
        exported = self.backend.model_export.model(check_model_name(name), numbers)
        target = check_local_path(path).absolute()
        with tempfile.TemporaryDirectory(prefix="registry-") as temporary:
            runs = [_with_points(self.backend, run, Path(temporary)) for run in exported.model.runs]
            model = replace(exported.model, runs=runs)
            with create_archive(target, to_json(model)) as archive:
                for logged in model.logged_models:
                    _add_files(self.backend, archive, exported.locations[logged.model_id], logged)
                for run in runs:
                    if run.points is not None:
                        with _points_file(Path(temporary), run).open("rb") as stream:
                            archive.add(run.points, stream, f"the points of run {run.run_id}")
        return target


def _with_points(backend: "Backend", run: "PortableRun", directory: Path) -> "PortableRun":
    """Write the points of a run to a file in `directory`. Return the run with the file's size and digest."""
    from registry.client.transfer.archive import disk_errors
    from registry.client.transfer.metrics_jsonl import write_points
    from registry.entities.portable_model import PortablePoints

    with disk_errors(directory, "written"), _points_file(directory, run).open("w+b") as file:
        backend.model_export.points(run.run_id, lambda points: write_points(file, points))
        size = file.tell()
        if size == 0:
            return run
        file.seek(0)
        return replace(run, points=PortablePoints(size, hashlib.file_digest(file, "sha256").hexdigest()))


def _points_file(directory: Path, run: "PortableRun") -> Path:
    return directory / hashlib.sha256(run.run_id.encode()).hexdigest()


def _add_files(backend: "Backend", archive: "ArchiveWriter", location: str, model: "PortableLoggedModel") -> None:
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
