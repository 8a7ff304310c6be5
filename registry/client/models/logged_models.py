"""Client methods for logged models, with MLflow 3's names."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from registry.client.base import ClientBase
from registry.client.models.model_upload import seal_stored
from registry.entities import LoggedModelStatus
from registry.entities.logged_model import new_model_id
from registry.exceptions import InvalidNameError, InvalidParameterError, InvalidStateError
from registry.settings import current_settings
from registry.validation.arguments import check_mapping
from registry.validation.names import check_key, check_text
from registry.validation.paths import check_artifact_path, check_local_path
from registry.validation.values import checked_text

if TYPE_CHECKING:
    from registry.blobs import WritableFiles
    from registry.entities import LoggedModel

_FORBIDDEN_IN_NAMES = set("/:.%\"'")
MAX_NAME = 256


class LoggedModelMethods(ClientBase):
    """Client methods for logged models."""

    def create_logged_model(
        self,
        experiment_id: str,
        name: str | None = None,
        source_run_id: str | None = None,
        tags: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
        model_type: str | None = None,
    ) -> "LoggedModel":
        """Create a PENDING logged model to add files to.

        Write files to its `artifact_location`, or call `log_model_artifact`. Then call `finalize_logged_model`.

        Args:
            experiment_id: Experiment that the model belongs to.
            name: Name without ``/ : . % " '``; None makes one.
            source_run_id: Run that made the model.
            tags: Labels, stored as text.
            params: Params, stored as text.
            model_type: Free text, such as ``classifier``.

        Returns:
            The new logged model.

        Raises:
            ExperimentNotFoundError: There is no such experiment.
            InvalidNameError: The name has a character that it cannot have.
            RunNotFoundError: There is no such run.

        Example:
            >>> draft = client.create_logged_model("1", "external", params={"epochs": 3})
            >>> str(draft.status), draft.params
            ('PENDING', {'epochs': '3'})
        """
        from registry.store.logged_models.logged_models import NewModel

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

    def finalize_logged_model(self, model_id: str, status: str) -> "LoggedModel":
        """Finish a PENDING logged model: READY seals the files at its location, FAILED gives it up.

        Args:
            model_id: Logged model.
            status: ``READY`` or ``FAILED``.

        Returns:
            The logged model; if READY, with its digest and size in bytes.

        Raises:
            InvalidParameterError: The status is neither READY nor FAILED.
            InvalidStateError: The logged model is not PENDING.
            LoggedModelNotFoundError: There is no such logged model.

        Example:
            >>> from pathlib import Path
            >>> _ = Path("weights.bin").write_bytes(b"abc")
            >>> draft = client.create_logged_model("1", "external")
            >>> client.log_model_artifact(draft.model_id, "weights.bin")
            >>> sealed = client.finalize_logged_model(draft.model_id, "READY")
            >>> str(sealed.status), sealed.size_bytes
            ('READY', 3)
        """
        final_status = str(status)
        if not LoggedModelStatus.is_finalized(final_status):
            raise InvalidParameterError(
                f"Invalid final status {final_status!r} of a logged model; use READY or FAILED."
            )
        if final_status == LoggedModelStatus.FAILED:
            return self.backend.logged_models.finalize(model_id, None)
        location = self.backend.logged_models.get(model_id).artifact_location
        return self.backend.logged_models.finalize(model_id, seal_stored(self.backend, location))

    def get_logged_model(self, model_id: str) -> "LoggedModel":
        """Return a logged model by id.

        Args:
            model_id: Id of the form ``m-`` and 32 hex digits.

        Returns:
            The logged model with its params, tags, metrics and location.

        Raises:
            LoggedModelNotFoundError: There is no such logged model, or it is deleted.

        Example:
            >>> model_id = client.get_model_version("churn", 2).model_id
            >>> logged = client.get_logged_model(model_id)
            >>> logged.name, logged.params["max_depth"]
            ('model', '3')
        """
        return self.backend.logged_models.get(model_id)

    def delete_logged_model(self, model_id: str) -> None:
        """Delete a logged model. Versions that name it still load.

        Args:
            model_id: Logged model.

        Raises:
            LoggedModelNotFoundError: There is no such logged model.

        Example:
            >>> draft = client.create_logged_model("1", "external")
            >>> client.delete_logged_model(draft.model_id)
            >>> client.get_logged_model(draft.model_id)
            Traceback (most recent call last):
            registry.exceptions.LoggedModelNotFoundError: ...
        """
        self.backend.logged_models.delete(model_id)

    def set_logged_model_tags(self, model_id: str, tags: Mapping[str, Any]) -> None:
        """Set tags of a logged model, replacing the values that they had.

        Args:
            model_id: Logged model.
            tags: Labels by key, stored as text.

        Raises:
            LoggedModelNotFoundError: There is no such logged model.

        Example:
            >>> model_id = client.get_model_version("churn", 3).model_id
            >>> client.set_logged_model_tags(model_id, {"reviewed": True})
            >>> client.get_logged_model(model_id).tags["reviewed"]
            'True'
        """
        self.backend.logged_models.set_tags(model_id, text_values(tags))

    def delete_logged_model_tag(self, model_id: str, key: str) -> None:
        """Remove a tag of a logged model.

        Args:
            model_id: Logged model.
            key: Tag name.

        Raises:
            NotFoundError: There is no such logged model, or it has no such tag.

        Example:
            >>> model_id = client.get_model_version("churn", 3).model_id
            >>> client.set_logged_model_tags(model_id, {"reviewed": True})
            >>> client.delete_logged_model_tag(model_id, "reviewed")
            >>> "reviewed" in client.get_logged_model(model_id).tags
            False
        """
        self.backend.logged_models.delete_tag(model_id, check_key(key))

    def log_model_params(self, model_id: str, params: Mapping[str, Any]) -> None:
        """Add params to a logged model, replacing the values of equal keys.

        Args:
            model_id: Logged model.
            params: Params by key, stored as text.

        Raises:
            LoggedModelNotFoundError: There is no such logged model.

        Example:
            >>> draft = client.create_logged_model("1", "external")
            >>> client.log_model_params(draft.model_id, {"epochs": 3})
            >>> client.get_logged_model(draft.model_id).params
            {'epochs': '3'}
        """
        self.backend.logged_models.log_params(model_id, text_values(params))

    def log_model_artifacts(self, model_id: str, local_dir: str | Path, artifact_path: str | None = None) -> None:
        """Add the files of a directory to a PENDING logged model.

        Args:
            model_id: Logged model.
            local_dir: Local directory.
            artifact_path: Directory inside the model; None for its root.

        Raises:
            ArtifactNotFoundError: There is no such directory.
            InvalidPathError: `artifact_path` leads outside the model.
            InvalidStateError: The logged model is not PENDING.

        Example:
            >>> from pathlib import Path
            >>> Path("weights").mkdir()
            >>> _ = Path("weights", "layer-1.bin").write_bytes(b"abc")
            >>> draft = client.create_logged_model("1", "external")
            >>> client.log_model_artifacts(draft.model_id, "weights", "data")
            >>> client.finalize_logged_model(draft.model_id, "READY").size_bytes
            3
        """
        source = check_local_path(local_dir)
        self._upload(model_id, source, check_artifact_path(artifact_path) if artifact_path else "")

    def log_model_artifact(self, model_id: str, local_path: str | Path, artifact_path: str | None = None) -> None:
        """Add one file, under its own name, to a PENDING logged model.

        Args:
            model_id: Logged model.
            local_path: Local file.
            artifact_path: Directory inside the model; None for its root.

        Raises:
            ArtifactNotFoundError: There is no such file.
            InvalidPathError: `artifact_path` leads outside the model.
            InvalidStateError: The logged model is not PENDING.

        Example:
            >>> from pathlib import Path
            >>> _ = Path("vocabulary.txt").write_text("win lose draw")
            >>> draft = client.create_logged_model("1", "external")
            >>> client.log_model_artifact(draft.model_id, "vocabulary.txt", "data")
            >>> client.finalize_logged_model(draft.model_id, "READY").size_bytes
            13
        """
        source = check_local_path(local_path)
        path = f"{check_artifact_path(artifact_path)}/{source.name}" if artifact_path else source.name
        self._upload(model_id, source, path)

    def _upload(self, model_id: str, source: Path, path: str) -> None:
        self._pending_store(model_id).upload(source, path, follow_symlinks=current_settings().follow_symlinks)

    def _pending_store(self, model_id: str) -> "WritableFiles":
        model = self.get_logged_model(model_id)
        if model.status != LoggedModelStatus.PENDING:
            raise InvalidStateError(
                f"The logged model {model_id} is {model.status}; files can be added only while it is PENDING."
            )
        return self.backend.ownership.writable(model.artifact_location, model.experiment_id)


def check_logged_model_name(name: object) -> str:
    """Return a valid name of a logged model. MLflow's rule: none of ``/ : . % " '``.

    Raises:
        InvalidNameError: The name breaks the rule.
    """
    text = check_text(name, "name", MAX_NAME)
    forbidden = sorted(set(text) & _FORBIDDEN_IN_NAMES)
    if forbidden:
        raise InvalidNameError(
            f"Invalid model name ({text!r}): it has {' '.join(forbidden)}. Names of logged models cannot contain "
            "any of / : . % \" '."
        )
    return text


def text_values(values: Mapping[str, Any] | None) -> dict[str, str]:
    """Convert params or tags to the texts that are stored."""
    pairs = check_mapping(values, "params and tags")
    return {check_key(key): checked_text(value, f"{key!r}") for key, value in pairs.items()}
