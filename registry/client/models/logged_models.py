"""Logged models: MLflow 3's client methods for them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from registry.blobs import WritableFiles
from registry.client.base import ClientBase
from registry.client.models.model_upload import seal_stored
from registry.entities import LoggedModel, LoggedModelStatus
from registry.entities.logged_model import new_model_id
from registry.exceptions import InvalidNameError, InvalidParameterError, InvalidStateError
from registry.settings import current_settings
from registry.store.models.logged_models import NewModel
from registry.validation.arguments import check_mapping
from registry.validation.names import check_key, check_text
from registry.validation.paths import check_artifact_path, check_local_path
from registry.validation.values import checked_text

_FORBIDDEN_IN_NAMES = set("/:.%\"'")
MAX_NAME = 256


class LoggedModelMethods(ClientBase):
    """What a client does with logged models."""

    def create_logged_model(
        self,
        experiment_id: str,
        name: str | None = None,
        source_run_id: str | None = None,
        tags: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
        model_type: str | None = None,
    ) -> LoggedModel:
        """A PENDING logged model: store files at its `artifact_location`, then call `finalize_logged_model`.

        Raises:
            ExperimentNotFoundError, RunNotFoundError: no such experiment or run.
        """
        model_id = new_model_id()
        new = NewModel(
            model_id=model_id,
            experiment_id=str(experiment_id),
            name=check_logged_model_name(name or f"model-{model_id[2:10]}"),
            run_id=source_run_id,
            model_type=model_type,
            params=text_values(params),
            tags=text_values(tags),
        )
        return self.backend.logged_models.create(new, None)

    def finalize_logged_model(self, model_id: str, status: str) -> LoggedModel:
        """End a PENDING model: READY seals the files that are at its location, FAILED gives it up.

        Raises:
            InvalidStateError: it is not PENDING.
            InvalidParameterError: the status is neither READY nor FAILED.
        """
        wanted = str(status)
        if not LoggedModelStatus.is_finalized(wanted):
            raise InvalidParameterError(f"Invalid final status {wanted!r} of a logged model; use READY or FAILED.")
        if wanted == LoggedModelStatus.FAILED:
            return self.backend.logged_models.finalize(model_id, None)
        location = self.backend.logged_models.get(model_id).artifact_location
        return self.backend.logged_models.finalize(model_id, seal_stored(self.backend, location))

    def get_logged_model(self, model_id: str) -> LoggedModel:
        """A logged model by id.

        Raises:
            LoggedModelNotFoundError: no such model.
        """
        return self.backend.logged_models.get(model_id)

    def delete_logged_model(self, model_id: str) -> None:
        """Mark a logged model as deleted; versions that name it go on loading."""
        self.backend.logged_models.delete(model_id)

    def set_logged_model_tags(self, model_id: str, tags: Mapping[str, Any]) -> None:
        """Set labels."""
        self.backend.logged_models.set_tags(model_id, text_values(tags))

    def delete_logged_model_tag(self, model_id: str, key: str) -> None:
        """Remove a label.

        Raises:
            NotFoundError: the model has no such label.
        """
        self.backend.logged_models.delete_tag(model_id, check_key(key))

    def log_model_params(self, model_id: str, params: Mapping[str, Any]) -> None:
        """Add params to a logged model."""
        self.backend.logged_models.log_params(model_id, text_values(params))

    def log_model_artifacts(self, model_id: str, local_dir: str | Path, artifact_path: str | None = None) -> None:
        """Store the files of a directory with a PENDING model, in the directory `artifact_path` of it.

        Raises:
            ArtifactNotFoundError: there is no such directory.
            InvalidPathError: `artifact_path` leaves the model's directory.
            InvalidStateError: the model is sealed.
        """
        source = check_local_path(local_dir)
        self._upload(model_id, source, check_artifact_path(artifact_path) if artifact_path else "")

    def log_model_artifact(self, model_id: str, local_path: str | Path, artifact_path: str | None = None) -> None:
        """Store one file with a PENDING model, under its own name, in the directory `artifact_path` of it.

        Raises:
            ArtifactNotFoundError: there is no such file.
            InvalidPathError: `artifact_path` leaves the model's directory.
            InvalidStateError: the model is sealed.
        """
        source = check_local_path(local_path)
        path = source.name if artifact_path is None else f"{check_artifact_path(artifact_path)}/{source.name}"
        self._upload(model_id, source, path)

    def _upload(self, model_id: str, source: Path, path: str) -> None:
        self._pending_store(model_id).upload(source, path, follow_symlinks=current_settings().follow_symlinks)

    def _pending_store(self, model_id: str) -> WritableFiles:
        model = self.get_logged_model(model_id)
        if model.status != LoggedModelStatus.PENDING:
            raise InvalidStateError(
                f"The logged model {model_id} is {model.status}; files can be added before it is finalized only."
            )
        return self.backend.ownership.writable(model.artifact_location, model.experiment_id)


def check_logged_model_name(name: object) -> str:
    """A name of a logged model: MLflow's rule, none of ``/ : . % " '``.

    Raises:
        InvalidNameError: the name breaks the rule.
    """
    text = check_text(name, "name", MAX_NAME)
    found = sorted(set(text) & _FORBIDDEN_IN_NAMES)
    if found:
        raise InvalidNameError(
            f"Invalid model name ({text!r}): it has {' '.join(found)}. Names of logged models cannot contain "
            "any of / : . % \" '."
        )
    return text


def text_values(values: Mapping[str, Any] | None) -> dict[str, str]:
    """Params or tags as they are stored."""
    given = check_mapping(values, "params and tags")
    return {check_key(key): checked_text(value, f"{key!r}") for key, value in given.items()}
