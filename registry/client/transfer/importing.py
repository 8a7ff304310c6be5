"""Importing a registered model from a file that an export wrote.

Invariant: before anything appears, everything in the file was judged: that its history is whole and says what the file
holds, that every byte hashes to its name, and that no model file could crash the parser of its format. Bytes come first
and the rows of all versions in one transaction last: a crash leaves uploads that gc finds, never half a model.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from registry.client.backend import Backend
from registry.client.base import ClientBase
from registry.client.models.model_upload import check_outside, discard_if_expired, store_directory
from registry.client.transfer.archive import ArchiveReader, Blob, open_archive
from registry.client.transfer.export_manifest import parsed
from registry.client.transfer.metrics_jsonl import read_points
from registry.entities import LifecycleStage, Metric
from registry.entities.history import ImportedHistory
from registry.entities.logged_model import new_model_id
from registry.entities.model_registry import RegisteredModel
from registry.entities.portable import PortableLoggedModel, PortableMetric, PortableModel, PortableRun
from registry.exceptions import AlreadyExistsError, IntegrityError, InvalidModelError, InvalidStateError
from registry.store.models.logged_models import NewModel
from registry.store.transfer.model_import import ImportedLoggedModel, ImportedModel
from registry.store.transfer.run_import import ImportedRun
from registry.validation.names import check_model_name
from registry.validation.paths import check_local_path


class ImportMethods(ClientBase):
    """How registered models come in."""

    def import_model(
        self, path: str | Path, *, name: str | None = None, with_stages: bool = False, reason: str | None = None
    ) -> RegisteredModel:
        """Make a registered model of a file that `export_model` wrote, under its own name or under `name`.

        Versions keep their numbers, digests, descriptions and tags, and arrive in stage None and without aliases,
        unless `with_stages`. Promotion rules come along, approvals do not. Runs keep their ids; logged models get new
        ones. The history elsewhere is kept beside the new one (`get_foreign_history`).

        Raises:
            AlreadyExistsError: the name is taken.
            IntegrityError: the file is damaged, or what it holds does not fit together.
            InvalidModelError: a model file in it could crash the parser of its format.
            ConflictError: a run of another content has the id of a run of the file.
            ArtifactNotFoundError: there is no such file.
        """
        wanted = None if name is None else check_model_name(name)
        with open_archive(check_local_path(path)) as archive:
            model, state = parsed(archive.manifest())
            target = wanted or state.name
            self._refuse_taken(target)
            _check_files(archive, model)
            for run in model.runs:
                self.backend.run_import.check(run)
            arrival = ImportedModel(
                name=target,
                segments=model.segments,
                state=state,
                versions=model.versions,
                logged_models={
                    logged.model_id: _stored(self.backend, archive, logged) for logged in model.logged_models
                },
                runs=[_arriving(self.backend, archive, model.own, run) for run in model.runs],
                with_stages=with_stages,
            )
            with contextlib.ExitStack() as uploads:
                for arriving in arrival.logged_models.values():
                    uploads.enter_context(discard_if_expired(self.backend, arriving.copy.location))
                self.backend.model_import.insert(arrival, reason=reason)
        return self.backend.models.get(target)

    def get_foreign_history(self, name: str) -> list[ImportedHistory]:
        """The histories that a model had in other registries before it was imported, oldest first.

        Raises:
            ModelNotFoundError: no such model.
            IntegrityError: its history was edited.
        """
        return self.backend.model_import.imported_histories(check_model_name(name))

    def _refuse_taken(self, name: str) -> None:
        try:
            self.backend.model_import.check_free(name)
        except AlreadyExistsError as error:
            raise AlreadyExistsError(f"{error} Give the import another name (name='…', --as).") from None


def _check_files(archive: ArchiveReader, model: PortableModel) -> None:
    """Read every file once, and judge what a parser will see."""
    archive.require(_blobs(model))
    for run in model.runs:
        for _ in _points(archive, run):
            pass
    for logged in model.logged_models:
        with archive.extracted(logged.manifest) as directory:
            try:
                check_outside(directory)
            except InvalidModelError as error:
                shown = str(error).replace(f"{directory}/", "").replace(str(directory), logged.model_id)
                raise InvalidModelError(f"The logged model {logged.model_id} of the export: {shown}") from None


def _blobs(model: PortableModel) -> Iterator[Blob]:
    sizes: dict[str, int] = {}
    blobs: list[Blob] = [file for logged in model.logged_models for file in logged.files]
    blobs += [run.points for run in model.runs if run.points is not None]
    for blob in blobs:
        if sizes.setdefault(blob.sha256, blob.size) != blob.size:
            raise IntegrityError(f"The export gives the file {blob.sha256} two sizes.")
        yield blob


def _stored(backend: Backend, archive: ArchiveReader, logged: PortableLoggedModel) -> ImportedLoggedModel:
    new = map_imported_model(backend, logged)
    with archive.extracted(logged.manifest) as directory:
        copy = store_directory(backend, directory, new)
    if copy.seal.manifest != logged.manifest:
        raise IntegrityError(
            f"The files of the logged model {logged.model_id} changed on their way in: their digest is "
            f"{copy.seal.manifest.digest}, expected {logged.manifest.digest}. Import the file again."
        )
    return ImportedLoggedModel(copy, [_metric(point, new.model_id) for point in logged.metrics])


def _metric(point: PortableMetric, model_id: str) -> Metric:
    return Metric(
        key=point.key,
        value=float(point.value),
        timestamp=point.timestamp,
        step=point.step,
        model_id=model_id,
        dataset_name=point.dataset_name,
        dataset_digest=point.dataset_digest,
    )


def _arriving(backend: Backend, archive: ArchiveReader, own: ImportedHistory, run: PortableRun) -> ImportedRun:
    return ImportedRun(run, experiment_named(backend, run.experiment), own.registry_id, lambda: _points(archive, run))


def _points(archive: ArchiveReader, run: PortableRun) -> Iterator[list[Metric]]:
    return iter(()) if run.points is None else read_points(archive.read(run.points))


def map_imported_model(backend: Backend, logged: PortableLoggedModel) -> NewModel:
    """The logged model under a fresh id, in the experiment of the name that it has there."""
    run_id = logged.run_id
    if run_id is not None and backend.run_import.is_deleted(run_id):
        run_id = None
    return NewModel(
        model_id=new_model_id(),
        experiment_id=experiment_named(backend, logged.experiment),
        name=logged.name,
        run_id=run_id,
        model_type=logged.model_type,
        params=logged.params,
        tags=logged.tags,
        signatures=logged.signatures,
    )


def experiment_named(backend: Backend, name: str) -> str:
    """The id of the experiment of a name, which is made if there is none.

    Raises:
        InvalidStateError: it is deleted.
    """
    found = backend.experiments.find_by_name(name)
    if found is None:
        try:
            return backend.experiments.create(name, artifact_root=backend.place.artifact_root)
        except AlreadyExistsError:  # another process made it in between
            return experiment_named(backend, name)
    if found.lifecycle_stage != LifecycleStage.ACTIVE:
        raise InvalidStateError(
            f"The experiment {name!r}, where what comes in belongs, is deleted; restore it with "
            f"restore_experiment({found.experiment_id!r}), or rename it and have a new one made."
        )
    return found.experiment_id
