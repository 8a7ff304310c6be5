"""Client methods that import a registered model from an exported file.

Guarantees: everything in the file is validated before anything appears: the history is unbroken and matches the
contents, every byte matches its digest, and no model file could crash its parser. Bytes come first, and the rows of all
versions last in one transaction; a crash leaves uploads that gc finds, never half a model.
"""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from registry.client.base import ClientBase
from registry.client.models.model_upload import check_outside, discard_if_expired, store_directory
from registry.entities import LifecycleStage, Metric
from registry.entities.logged_model import new_model_id
from registry.exceptions import AlreadyExistsError, IntegrityError, InvalidModelError, InvalidStateError
from registry.validation.names import check_model_name
from registry.validation.paths import check_local_path

if TYPE_CHECKING:
    from registry.client.backend import Backend
    from registry.client.transfer.archive import ArchiveReader, Blob
    from registry.entities.history import ImportedHistory
    from registry.entities.model_registry import RegisteredModel
    from registry.entities.portable_model import PortableLoggedModel, PortableMetric, PortableModel, PortableRun
    from registry.store.logged_models.logged_models import NewModel
    from registry.store.transfer.model_import import ImportedLoggedModel
    from registry.store.transfer.run_import import ImportedRun


class ImportMethods(ClientBase):
    """Client methods that import registered models."""

    def import_model(
        self, path: str | Path, *, name: str | None = None, with_stages: bool = False, reason: str | None = None
    ) -> "RegisteredModel":
        """Import a registered model from a file that `export_model` wrote.

        Versions keep their numbers, digests, descriptions and tags. Promotion rules are imported, approvals are not.
        Runs keep their ids; logged models get new ones. The earlier history stays readable (`get_foreign_history`).

        Args:
            path: Exported file.
            name: Name of the new model. Default: the name in the file.
            with_stages: Also import stages and aliases. Otherwise all versions are in stage None.
            reason: Why, for the history.

        Returns:
            The new registered model.

        Raises:
            AlreadyExistsError: The name is taken.
            ArtifactNotFoundError: There is no such file.
            ConflictError: A different run with the id of one in the file exists.
            IntegrityError: The file is damaged, or its parts contradict each other.
            InvalidModelError: A model file in it could crash its parser.
            PermissionDeniedError: The database user is no promoter, and the file brings promotion rules, or
                `with_stages` is given.

        Example:
            >>> path = client.export_model("churn", "churn.zip")
            >>> client.import_model(path, name="churn-staging", with_stages=True).aliases
            {'champion': 2}
        """
        from registry.client.transfer.archive import open_archive
        from registry.client.transfer.export_manifest import from_json
        from registry.store.transfer.model_import import ImportedModel

        new_name = None if name is None else check_model_name(name)
        self.backend.model_import.check_writable()  # before the file is read
        with open_archive(check_local_path(path)) as archive:
            model, state = from_json(archive.manifest())
            target = new_name or state.name
            self._check_name_free(target)
            # Before anything is written, so that a refused import leaves nothing behind.
            self.backend.model_import.check_allowed(rules=bool(state.rules), stages=with_stages)
            _check_files(archive, model)
            for run in model.runs:
                self.backend.run_import.check(run)
            imported = ImportedModel(
                name=target,
                segments=model.segments,
                state=state,
                versions=model.versions,
                logged_models={
                    logged.model_id: _upload(self.backend, archive, logged) for logged in model.logged_models
                },
                runs=[_imported_run(self.backend, archive, model.own, run) for run in model.runs],
                with_stages=with_stages,
            )
            with contextlib.ExitStack() as uploads:
                for logged_model in imported.logged_models.values():
                    uploads.enter_context(discard_if_expired(self.backend, logged_model.copy.location))
                self.backend.model_import.insert(imported, reason=reason)
        return self.backend.models.get(target)

    def get_foreign_history(self, name: str) -> list["ImportedHistory"]:
        """Return the histories that a model had in other registries before it was imported, oldest first.

        Args:
            name: Registered model.

        Returns:
            One history per registry, with ``registry_id``, ``model_uid`` and ``events``; an empty list if the model was
            never imported.

        Raises:
            IntegrityError: The history was edited.
            ModelNotFoundError: There is no such model.

        Example:
            >>> client.get_foreign_history("churn")
            []
            >>> _ = client.import_model(client.export_model("churn", "churn.zip"), name="churn-2")
            >>> [len(history.events) for history in client.get_foreign_history("churn-2")]
            [8]
        """
        return self.backend.model_import.imported_histories(check_model_name(name))

    def _check_name_free(self, name: str) -> None:
        try:
            self.backend.model_import.check_free(name)
        except AlreadyExistsError as error:
            raise AlreadyExistsError(f"{error} Import it under another name (name='…', --as).") from None


def _check_files(archive: "ArchiveReader", model: "PortableModel") -> None:
    """Read every file once, and check that none could crash its parser."""
    archive.check_contents(_blobs(model))
    for run in model.runs:
        for _ in _points(archive, run):
            pass
    for logged in model.logged_models:
        with archive.extract(logged.manifest) as directory:
            try:
                check_outside(directory)
            except InvalidModelError as error:
                shown = str(error).replace(f"{directory}/", "").replace(str(directory), logged.model_id)
                raise InvalidModelError(f"The logged model {logged.model_id} of the export: {shown}") from None


def _blobs(model: "PortableModel") -> Iterator["Blob"]:
    sizes: dict[str, int] = {}
    blobs: list[Blob] = [file for logged in model.logged_models for file in logged.files]
    blobs += [run.points for run in model.runs if run.points is not None]
    for blob in blobs:
        if sizes.setdefault(blob.sha256, blob.size) != blob.size:
            raise IntegrityError(f"The export gives the file {blob.sha256} two sizes.")
        yield blob


def _upload(backend: "Backend", archive: "ArchiveReader", logged: "PortableLoggedModel") -> "ImportedLoggedModel":
    from registry.store.transfer.model_import import ImportedLoggedModel

    new = map_imported_model(backend, logged)
    with archive.extract(logged.manifest) as directory:
        copy = store_directory(backend, directory, new)
    if copy.seal.manifest != logged.manifest:
        raise IntegrityError(
            f"The files of the logged model {logged.model_id} changed during the import: their digest is "
            f"{copy.seal.manifest.digest}, expected {logged.manifest.digest}. Import the file again."
        )
    return ImportedLoggedModel(copy, [_metric(point, new.model_id) for point in logged.metrics])


def _metric(point: "PortableMetric", model_id: str) -> Metric:
    return Metric(
        key=point.key,
        value=float(point.value),
        timestamp=point.timestamp,
        step=point.step,
        model_id=model_id,
        dataset_name=point.dataset_name,
        dataset_digest=point.dataset_digest,
    )


def _imported_run(
    backend: "Backend", archive: "ArchiveReader", own: "ImportedHistory", run: "PortableRun"
) -> "ImportedRun":
    from registry.store.transfer.run_import import ImportedRun

    return ImportedRun(
        run, find_or_create_experiment(backend, run.experiment), own.registry_id, lambda: _points(archive, run)
    )


def _points(archive: "ArchiveReader", run: "PortableRun") -> Iterator[list[Metric]]:
    from registry.client.transfer.metrics_jsonl import read_points

    return iter(()) if run.points is None else read_points(archive.read(run.points))


def map_imported_model(backend: "Backend", logged: "PortableLoggedModel") -> "NewModel":
    """Map an imported logged model to a new id and to an experiment of this registry."""
    from registry.store.logged_models.logged_models import NewModel

    run_id = logged.run_id
    if run_id is not None and backend.run_import.is_deleted(run_id):
        run_id = None
    return NewModel(
        model_id=new_model_id(),
        experiment_id=find_or_create_experiment(backend, logged.experiment),
        name=logged.name,
        run_id=run_id,
        model_type=logged.model_type,
        params=logged.params,
        tags=logged.tags,
        signatures=logged.signatures,
    )


def find_or_create_experiment(backend: "Backend", name: str, tags: Mapping[str, str] | None = None) -> str:
    """Return the id of the experiment of a name; create it, with these tags, if it is missing.

    Raises:
        InvalidStateError: The experiment is deleted.
    """
    experiment = backend.experiments.find_by_name(name)
    if experiment is None:
        try:
            return backend.experiments.create(name, artifact_root=backend.place.artifact_root, tags=tags)
        except AlreadyExistsError:  # another process has just created it
            return find_or_create_experiment(backend, name, tags)
    if experiment.lifecycle_stage != LifecycleStage.ACTIVE:
        raise InvalidStateError(
            f"The target experiment {name!r} is deleted. Restore it with "
            f"restore_experiment({experiment.experiment_id!r}), or rename it so that a new one is created."
        )
    return experiment.experiment_id
