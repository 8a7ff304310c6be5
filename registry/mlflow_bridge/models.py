"""Import logged models, and registered models with their versions, stages and aliases.

A version of MLflow before 3 names files of a run; they become a logged model here, as every version has one.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from registry.client.models.model_upload import discard_if_expired, seal_stored, store_files
from registry.entities import Metric
from registry.entities.experiment import DEFAULT_EXPERIMENT_ID
from registry.entities.stages import ACTIVE_STAGES, ALL_STAGES, ARCHIVED, NONE
from registry.exceptions import (
    AccessDeniedError,
    AlreadyExistsError,
    ConflictError,
    IntegrityError,
    InvalidParameterError,
    InvalidStateError,
    NotFoundError,
)
from registry.mlflow_bridge.files import can_adopt
from registry.mlflow_bridge.renames import find_fault, propose
from registry.mlflow_bridge.source import DELETED_VERSION, Files, SourceLoggedModel, SourceModel, SourceVersion
from registry.store.logged_models.logged_models import NewModel
from registry.store.registry import NewVersion
from registry.store.transfer.outside_models import OutsideModel, OutsideVersion

if TYPE_CHECKING:
    from registry.mlflow_bridge.importing import Import

SYSTEM: Final = "mlflow"
_RUN_ID: Final = re.compile(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")
_FAULTS: Final = (
    AccessDeniedError,
    AlreadyExistsError,
    ConflictError,
    IntegrityError,
    InvalidParameterError,
    InvalidStateError,
    NotFoundError,
)


class ModelImport:
    """The part of an import that is about models."""

    def __init__(self, whole: "Import") -> None:
        self._whole = whole
        self._backend = whole.backend
        self._source = whole.source
        self.names: list[str] = []
        self.logged_ids: list[str] = []
        self._deleted: list[str] = []
        self._expected: list[OutsideModel] = []
        self._registry_id = whole.backend.experiments.registry_id()

    def import_logged_model(self, model: SourceLoggedModel) -> None:
        """Import a logged model of MLflow 3 under its id, with its files, unless it is here."""
        whole = self._whole
        whole.seen["logged models"] += 1
        self.logged_ids.append(model.model_id)
        if self._backend.outside_models.existing([model.model_id]):
            return
        new = self._new_model(
            model.model_id, whole.experiment_ids[model.experiment_id], model.name, model.run_id, model.creation_time
        )
        new = replace(
            new,
            model_type=model.model_type,
            params=_renamed(model.params, whole.renames.keys),
            tags=_renamed(model.tags, whole.renames.keys),
            inherits_params=False,
        )
        metrics = [
            Metric(
                key=whole.renames.keys.get(metric.point.key, metric.point.key),
                value=float(metric.point.value),
                timestamp=metric.point.timestamp,
                step=metric.point.step,
                model_id=model.model_id,
                dataset_name=metric.point.dataset_name,
                dataset_digest=metric.point.dataset_digest,
                run_id=metric.run_id,
            )
            for metric in model.metrics
        ]
        try:
            for key in (*new.params, *new.tags, *(metric.key for metric in metrics)):
                if fault := find_fault("keys", key):
                    raise InvalidParameterError(f"{fault} Rename the key, for example to {propose('keys', key)!r}.")
            if model.status == "READY":
                files = self._source.files(model.artifact_location, run_id=model.run_id, model_id=model.model_id)
                self._seal(files, new, metrics)
            else:
                self._backend.outside_models.insert_logged_model(
                    new,
                    None,
                    metrics=metrics,
                    failed=model.status == "FAILED",
                    status_message=model.status_message,
                )
        except _FAULTS as error:
            whole.problems.append(f"The logged model {model.model_id} ({model.name!r}) was not imported: {error}")
            return
        whole.added["logged models"] += 1
        if model.is_deleted:
            self._deleted.append(model.model_id)

    def delete_deleted(self) -> None:
        """Delete the imported logged models that the source deleted."""
        for model_id in self._deleted:
            self._backend.logged_models.delete(model_id)

    def import_registered_model(self, model: SourceModel) -> None:
        """Import a registered model with the versions that are not deleted, or bring it up to date."""
        whole = self._whole
        name = whole.renames.models.get(model.name, model.name)
        kept = [version for version in model.versions if version.stage != DELETED_VERSION]
        whole.seen["registered models"] += 1
        whole.seen["versions"] += len(kept)
        whole.seen["aliases"] += len(model.aliases)
        self.names.append(name)
        stages = self._stages(name, kept)
        versions = []
        for version in kept:
            try:
                versions.append(self._version(model, version, stages[version.version]))
            except _FAULTS as error:
                whole.problems.append(f"Version {version.version} of {name!r} was not imported: {error}")
        imported = {version.version for version in versions}
        aliases = {whole.renames.aliases.get(alias, alias): number for alias, number in model.aliases.items()}
        outside = OutsideModel(
            name=name,
            system=SYSTEM,
            source=self._source.uri,
            versions=versions,
            description=model.description,
            tags=_renamed(model.tags, whole.renames.keys),
            aliases={alias: number for alias, number in aliases.items() if number in imported},
            last_version=max((version.version for version in model.versions), default=0),
            creation_time=model.creation_time,
        )
        before = self._backend.outside_models.counts([name])
        try:
            outcome = self._backend.outside_models.write(outside, reason=whole.options.reason)
        except _FAULTS as error:
            whole.problems.append(f"The registered model {name!r} was not imported: {error}")
            return
        after = self._backend.outside_models.counts([name])
        for kind, number in after.items():
            whole.added[kind] += number - before[kind]
        for number in outcome.conflicts:
            whole.problems.append(f"Version {number} of {name!r} exists here and is another one; it was left as it is.")
        if outcome.changed_here:
            whole.notes.append(
                f"{name!r} was changed here since it was imported: new versions were added, and its stages, aliases, "
                "tags and descriptions were left as they are."
            )
        else:
            self._expected.append(outside)

    def compare(self) -> tuple[int, list[str]]:
        """Compare all imported versions with the source through the client; return how many values, and differences."""
        compared, differences = 0, []
        for outside in self._expected:
            for what, expected, actual in self._compared(outside):
                compared += 1
                if expected != actual:
                    differences.append(f"{what} of {outside.name!r} is {actual!r} here, {expected!r} in the source.")
        return compared, differences

    def _compared(self, outside: OutsideModel) -> Iterator[tuple[str, Any, Any]]:
        """Yield what, the value in the source and the value here."""
        client = self._whole.client
        model = client.get_registered_model(outside.name)
        yield "The description", outside.description or "", model.description or ""
        yield "The tags", dict(outside.tags), dict(model.tags)
        yield "The aliases", dict(outside.aliases), dict(model.aliases)
        for expected in outside.versions:
            version = client.get_model_version(outside.name, expected.version)
            number = expected.version
            yield f"The stage of version {number}", expected.stage, version.current_stage
            yield f"The run of version {number}", expected.new.run_id or version.run_id, version.run_id
            yield f"The description of version {number}", expected.new.description or "", version.description or ""
            yield f"The tags of version {number}", dict(expected.new.tags), dict(version.tags)

    def _stages(self, name: str, versions: list[SourceVersion]) -> dict[int, str]:
        """Return the stage that each version gets: of several in Production or Staging, the highest number keeps it."""
        stages: dict[int, str] = {}
        holders: dict[str, int] = {}
        for version in sorted(versions, key=lambda version: version.version, reverse=True):
            stage = next((known for known in ALL_STAGES if known.lower() == version.stage.lower()), None)
            if stage is None:
                self._whole.notes.append(
                    f"Version {version.version} of {name!r} has the unknown stage {version.stage!r}; here it has none."
                )
                stage = NONE
            if stage in ACTIVE_STAGES and stage in holders:
                self._whole.notes.append(
                    f"Versions {version.version} and {holders[stage]} of {name!r} are both in {stage}, which has one "
                    f"holder here: version {holders[stage]} keeps it, version {version.version} is archived."
                )
                stage = ARCHIVED
            elif stage in ACTIVE_STAGES:
                holders[stage] = version.version
            stages[version.version] = stage
        return stages

    def _version(self, model: SourceModel, version: SourceVersion, stage: str) -> OutsideVersion:
        """Return a version to insert, after storing its files."""
        model_id = self._logged_model_of(model, version)
        new = NewVersion(
            source=version.source or version.location,
            model_id=model_id,
            run_id=version.run_id,
            run_link=version.run_link,
            description=version.description,
            tags=_renamed(version.tags, self._whole.renames.keys),
            origin=f"{SYSTEM}/{model.name}/{version.version}",
            creation_time=version.creation_time,
            # An empty name rather than that of who imports: MLflow did not record who created it.
            user_id=version.user_id or "",
        )
        past = {
            "system": SYSTEM,
            "stage": version.stage,
            "status": version.status,
            "creation_time": version.creation_time,
            "user_id": version.user_id,
        }
        return OutsideVersion(version.version, new, stage, version.stage, {"imported": past})

    def _logged_model_of(self, model: SourceModel, version: SourceVersion) -> str:
        """Return the id of the logged model of a version; make it from the files if there is none."""
        if version.model_id is not None and self._backend.outside_models.existing([version.model_id]):
            return version.model_id
        model_id = _derived_id(self._registry_id, model, version)
        if self._backend.outside_models.existing([model_id]):
            return model_id
        location = self._resolve(version.location)
        files = self._source.files(location, run_id=_run_of(version, location), model_id=version.model_id)
        experiment_id = self._whole.experiment_of_run.get(version.run_id or "", DEFAULT_EXPERIMENT_ID)
        name = location.rstrip("/").rpartition("/")[2] or "model"
        self._seal(files, self._new_model(model_id, experiment_id, name, version.run_id, version.creation_time), [])
        return model_id

    def _resolve(self, location: str) -> str:
        """Replace a ``runs:`` URI by the location of the run's files."""
        if not location.startswith("runs:/"):
            return location
        run_id, _, path = location.removeprefix("runs:/").lstrip("/").partition("/")
        if run_id not in self._whole.artifact_uris:
            raise NotFoundError(f"Its source is {location!r}, but that run was not imported.")
        return f"{self._whole.artifact_uris[run_id].rstrip('/')}/{path}"

    def _new_model(
        self, model_id: str, experiment_id: str, name: str, run_id: str | None, creation_time: int | None
    ) -> NewModel:
        is_linked = run_id in self._whole.experiment_of_run and not self._backend.run_import.is_deleted(str(run_id))
        return NewModel(
            model_id=model_id,
            experiment_id=experiment_id,
            name=name,
            run_id=run_id if is_linked else None,
            inherits_params=False,
            creation_time=creation_time,
        )

    def _seal(self, files: Files, new: NewModel, metrics: list[Metric]) -> None:
        """Store the files of a logged model, or adopt them, and insert it."""
        if self._whole.options.adopts and can_adopt(files):
            if next(iter(files.store.walk(files.path)), None) is None:
                raise NotFoundError(f"There are no files at {files.location!r}.")
            seal = seal_stored(self._backend, files.location)
            new = replace(new, adopted_location=files.location)
            self._backend.outside_models.insert_logged_model(new, seal, metrics=metrics)
            return
        copy = store_files(self._backend, files.store, files.path, new, resumes=True)
        with discard_if_expired(self._backend, copy.location):
            self._backend.outside_models.insert_logged_model(copy.new, copy.seal, metrics=metrics)


def _renamed(pairs: Mapping[str, str], keys: Mapping[str, str]) -> dict[str, str]:
    return {keys.get(key, key): value for key, value in pairs.items()}


def _derived_id(registry_id: str, model: SourceModel, version: SourceVersion) -> str:
    """Return the id of the logged model for the files of a version, the same in every import into one registry.

    Versions share one if they name the same files of a run. A place without a run's id could be used again for others.
    """
    place = version.location if _RUN_ID.search(version.location) else f"{model.name} {version.version}"
    moment = "" if _RUN_ID.search(version.location) else str(version.creation_time)
    digest = hashlib.sha256("\0".join((SYSTEM, registry_id, place, moment)).encode()).hexdigest()
    return f"m-{digest[:32]}"


def _run_of(version: SourceVersion, location: str) -> str | None:
    """Return the id of the run whose files a location names: the one in it, else the version's."""
    found = _RUN_ID.findall(location)
    return found[-1] if found else version.run_id
