"""Export logged models, and registered models with their versions, stages and aliases, into MLflow."""

import math
from typing import TYPE_CHECKING, Any, Final

from registry.entities import LoggedModelStatus
from registry.entities.model_registry import ModelVersion
from registry.exceptions import ConflictError, InvalidStateError
from registry.mlflow_bridge.export_worker import MODEL_ID_TAG, MODEL_TAG, VERSION_TAG
from registry.store.transfer.run_export import ExportedLoggedModel, ExportedRun

if TYPE_CHECKING:
    from registry.mlflow_bridge.exporting import Export

CREATED_TAG: Final = "registry.creation_time"
USER_TAG: Final = "registry.user_id"
_GREATEST: Final = 1.7976931348623157e308


class ModelExport:
    """The part of an export that is about models."""

    def __init__(self, whole: "Export") -> None:
        self._whole = whole
        self._backend = whole.backend
        self._ids: dict[str, str | None] = {}
        self._measured: list[ExportedLoggedModel] = []
        self._links: list[ExportedRun] = []

    def export_logged_model(self, model_id: str) -> str | None:
        """Export a logged model with its files unless it is there; return its id there, or None with a problem."""
        if model_id not in self._ids:
            self._ids[model_id] = None
            with self._whole.reporting(f"The logged model {model_id}"):
                self._ids[model_id] = self._export_logged_model(model_id)
        return self._ids[model_id]

    def _export_logged_model(self, model_id: str) -> str | None:
        whole = self._whole
        exported = self._backend.run_export.logged_model(model_id)
        if exported is None:
            raise InvalidStateError("gc has removed its files.")
        if exported.status == LoggedModelStatus.PENDING:
            whole.notes.append(f"The logged model {model_id} is not finished here yet; it was left out.")
            return None
        whole.here["logged models"] += 1
        there = whole.experiment(exported.model.experiment)
        existing, status = there.models.get(model_id, (None, ""))
        if existing is not None and status != exported.status:
            whole.process.ask("discard_model", model_id=existing)
            existing = None
        model = exported.model
        if existing is None:
            document = {
                "name": model.name,
                "run_id": whole.run_ids.get(model.run_id or ""),
                "model_type": model.model_type,
                "params": model.params,
                "tags": {**model.tags, MODEL_ID_TAG: model_id, CREATED_TAG: str(exported.creation_time)},
            }
            arguments = {"experiment_id": there.experiment_id, "model": document}
            if exported.digest is None:
                existing = whole.process.ask("logged_model", **arguments, directory=None)
            else:
                with whole.downloaded(self._backend.blobs(exported.location), model.manifest) as directory:
                    existing = whole.process.ask("logged_model", **arguments, directory=directory)
            whole.added["logged models"] += 1
        sizes = {file.path: file.size for file in model.files}
        whole.expect(
            f"The files of the logged model {model_id}", sizes, whole.process.ask("read_model_files", model_id=existing)
        )
        whole.there["logged models"] += 1
        if exported.metrics:
            self._measured.append(exported)
        return str(existing)

    def note_links(self, exported: ExportedRun) -> None:
        """Remember which logged models a run used and made."""
        if exported.inputs or exported.outputs:
            self._links.append(exported)

    def link(self) -> None:
        """Link runs and logged models, which are all there now, and export the metrics of logged models."""
        whole = self._whole
        for exported in self._links:
            inputs = [there for one in exported.inputs if (there := self._ids.get(one))]
            outputs = [[there, step] for one, step in exported.outputs if (there := self._ids.get(one))]
            with whole.reporting(f"The models of the run {exported.run.run_id}"):
                whole.process.ask("link", run_id=whole.run_ids[exported.run.run_id], inputs=inputs, outputs=outputs)
        for model in self._measured:
            model_id = model.model.model_id
            points = [
                {
                    "key": point.key,
                    "value": math.copysign(_GREATEST, point.value) if math.isinf(point.value) else point.value,
                    "timestamp": point.timestamp,
                    "step": point.step,
                    "dataset_name": point.dataset_name,
                    "dataset_digest": point.dataset_digest,
                    "run_id": whole.run_ids[point.run_id],
                }
                for point in model.metrics
                if point.run_id in whole.run_ids
            ]
            if len(points) < len(model.metrics):
                whole.notes.append(
                    f"{len(model.metrics) - len(points)} metrics of the logged model {model_id} were left out: the run "
                    "that measured them is not there, and MLflow keeps none without a run."
                )
            with whole.reporting(f"The metrics of the logged model {model_id}"):
                whole.process.ask("model_points", model_id=self._ids[model_id], points=points)

    def export_registered_models(self) -> None:
        """Export all registered models."""
        names = self._backend.model_export.names()
        for number, name in enumerate(names, 1):
            self._whole.here["registered models"] += 1
            with self._whole.reporting(f"The registered model {name!r}"):
                self._export_registered_model(name)
            self._whole.progress("registered models", number, len(names))

    def _export_registered_model(self, name: str) -> None:
        whole, process = self._whole, self._whole.process
        # Its history and tables are verified by this.
        portable = self._backend.model_export.model(name, None).model
        model = whole.client.get_registered_model(name)
        versions = [whole.client.get_model_version(name, one.version) for one in portable.versions]
        whole.here["versions"] += len(versions)
        whole.here["aliases"] += len(model.aliases)
        origin = f"{portable.own.registry_id}/{portable.own.model_uid}"
        tags = {**model.tags, MODEL_TAG: origin}
        found = process.ask("registered_model", name=name, origin=origin, description=model.description, tags=tags)
        if found is None:
            raise ConflictError("MLflow has a model of this name that was not exported from here. Rename one of them.")
        whole.added["registered models"] += int(found["is_new"])
        documents = {version.version: _document(version, origin) for version in versions}
        for version in versions:
            with whole.reporting(f"Version {version.version} of {name!r}"):
                self._export_version(
                    version, found["versions"].get(str(version.version), ""), documents[version.version], origin
                )
        aliases = {alias: int(number) for alias, number in model.aliases.items()}
        there = process.ask("states", name=name, versions=documents, aliases=aliases)
        whole.there["registered models"] += 1
        whole.there["aliases"] += len(there["aliases"])
        whole.expect(f"The description of {name!r}", model.description or "", there["description"])
        whole.expect(f"The tags of {name!r}", tags, _only(there["tags"], tags))
        whole.expect(f"The aliases of {name!r}", aliases, there["aliases"])
        for version in versions:
            document, actual = documents[version.version], there["versions"].get(str(version.version))
            if actual is None:
                continue
            whole.there["versions"] += 1
            expected = {
                "stage": document["stage"],
                "description": document["description"] or "",
                "run_id": whole.run_ids.get(version.run_id or ""),
                "tags": document["tags"],
            }
            actual["tags"] = _only(actual["tags"], document["tags"])
            for what, value in expected.items():
                whole.expect(f"The {what} of version {version.version} of {name!r}", value, actual[what])

    def _export_version(
        self, version: ModelVersion, existing: str | None, document: dict[str, Any], origin: str
    ) -> None:
        """Create a version unless it is there; `existing` is its origin there, "" if the number is free."""
        if existing == f"{origin}/{version.version}":
            return
        if existing != "":
            raise ConflictError("MLflow has another version of this number, which no export wrote.")
        model_id = self.export_logged_model(version.model_id or "")
        if model_id is None:
            raise InvalidStateError(f"Its logged model {version.model_id} was not exported.")
        run_id = self._whole.run_ids.get(version.run_id or "")
        got = self._whole.process.ask(
            "version",
            name=version.name,
            number=version.version,
            model_id=model_id,
            run_id=run_id,
            version=document,
        )
        if got != version.version:
            raise ConflictError(f"MLflow gave the number away before; its next one is {got}.")
        self._whole.added["versions"] += 1


def _document(version: ModelVersion, origin: str) -> dict[str, Any]:
    tags = {**version.tags, VERSION_TAG: f"{origin}/{version.version}", CREATED_TAG: str(version.creation_timestamp)}
    return {
        "stage": version.current_stage,
        "description": version.description,
        "run_link": version.run_link,
        "tags": {**tags, USER_TAG: version.user_id} if version.user_id else tags,
    }


def _only(tags: dict[str, str], keys: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in tags.items() if key in keys}
