"""Client methods that save a model as a logged model, and register it as a version.

Guarantees: a step that fails leaves nothing that resolves: no model with half its files, no name without a version.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from registry.client.base import ClientBase
from registry.client.models.loading import models_of_run, resolve
from registry.client.models.logged_models import check_logged_model_name, text_values
from registry.client.models.model_upload import (
    discard_if_expired,
    seal_directory,
    seal_stored,
    store_copy,
    store_files,
)
from registry.entities import LoggedModelStatus
from registry.entities.experiment import DEFAULT_EXPERIMENT_ID
from registry.entities.logged_model import new_model_id
from registry.exceptions import ArtifactNotFoundError, InvalidStateError, RunNotFoundError
from registry.uris import LocalUri, LoggedModelUri, RegisteredUri, RunUri, S3Uri, parse
from registry.validation.arguments import check_mapping
from registry.validation.names import MAX_MODEL_TAG_VALUE, check_key, check_model_name, check_run_id
from registry.validation.values import checked_text, metric_step

if TYPE_CHECKING:
    from registry.client.backend import Backend
    from registry.entities import LoggedModel
    from registry.entities.model_registry import ModelVersion, ResolvedModel
    from registry.flavors import Model, ModelInfo
    from registry.store.logged_models.logged_models import NewModel, SealedCopy
    from registry.uris import Uri


# A place below the artifacts of a run, in the layout that runs have.
_RUN_PATH: Final = re.compile(r"/(?P<run_id>[0-9a-f]{32})/artifacts/")


@dataclass(frozen=True, slots=True)
class SavedModel:
    """A model in a temporary directory of this process, and the logged model that its upload makes of it."""

    directory: Path
    new: "NewModel"
    described: "Model"
    process: int

    @classmethod
    def save(cls, flavor: str, model: Any, new: "NewModel", **options: Any) -> "SavedModel":
        """Save a model in the format of a flavor; afterwards the model may be changed."""
        from registry.flavors import save_model

        directory = Path(tempfile.mkdtemp(prefix="registry-"))
        try:
            described = save_model(
                model,
                directory / "model",
                flavor,
                model_id=new.model_id,
                run_id=new.run_id,
                artifact_path=new.name,
                **options,
            )
        except BaseException:
            shutil.rmtree(directory, ignore_errors=True)
            raise
        return cls(directory, new, described, os.getpid())

    def upload(self, backend: "Backend") -> "LoggedModel":
        """Store the files and insert the logged model."""
        return seal_directory(backend, self.directory / "model", self.new, self.described)

    def discard(self) -> None:
        """Remove the directory. A forked child leaves it to its parent."""
        if os.getpid() == self.process:
            shutil.rmtree(self.directory, ignore_errors=True)


class LogAndRegisterMethods(ClientBase):
    """Client methods that save and register models."""

    def log_model(
        self,
        flavor: str,
        model: Any,
        name: str,
        *,
        experiment_id: str,
        run_id: str | None = None,
        params: Mapping[str, Any] | None = None,
        tags: Mapping[str, Any] | None = None,
        model_type: str | None = None,
        step: int = 0,
        model_id: str | None = None,
        **options: Any,
    ) -> "ModelInfo":
        """Save a model in the format of a flavor and upload it as a logged model.

        The logged model gets the params of its run, and the run's metric points at `step`.

        Args:
            flavor: ``xgboost``, ``sklearn``, ``python_function``, or a flavor that a package adds.
            model: Model object of that flavor.
            name: Name of the logged model, without ``/ : . % " '``.
            experiment_id: Experiment that the logged model belongs to.
            run_id: Run that made the model; None for no run.
            params: Further params, stored as text.
            tags: Labels, stored as text.
            model_type: Free text, such as ``classifier``.
            step: Training step of the metric points that the logged model gets.
            model_id: PENDING logged model to fill instead; it keeps its own name, run and type.
            options: Options of every flavor, such as ``signature``, ``input_example`` and ``pip_requirements``, and
                those of this flavor.

        Returns:
            The model's URI, flavors and signature.

        Raises:
            InvalidNameError: The name has a character that it cannot have.
            InvalidStateError: The logged model `model_id` is not PENDING.
            MissingDependencyError: The flavor's package is not installed.
            NotFoundError: No such flavor is installed.
            StorageError: The files cannot be stored. No logged model appears.
            UnavailableError: The database or the byte store does not answer. No logged model appears.

        Example:
            >>> info = client.log_model("xgboost", model, "tuned", experiment_id="1", params={"seed": 7})
            >>> info.model_uri
            'models:/m-...'
            >>> sorted(info.flavors)
            ['python_function', 'xgboost']
        """
        from registry.store.logged_models.logged_models import NewModel

        if model_id is not None:
            return self._log_into(model_id, flavor, model, params, tags, metric_step(step), options)
        new = NewModel(
            model_id=new_model_id(),
            experiment_id=str(experiment_id),
            name=check_logged_model_name(name),
            run_id=run_id,
            model_type=model_type,
            params=text_values(params),
            tags=text_values(tags),
            step=metric_step(step),
        )
        saved = SavedModel.save(flavor, model, new, **options)
        try:
            logged = saved.upload(self.backend)
        finally:
            saved.discard()
        return saved.described.get_model_info(logged)

    def _log_into(
        self,
        model_id: str,
        flavor: str,
        model: Any,
        params: Mapping[str, Any] | None,
        tags: Mapping[str, Any] | None,
        step: int,
        options: Mapping[str, Any],
    ) -> "ModelInfo":
        models = self.backend.logged_models
        pending = models.get(model_id)
        if pending.status != LoggedModelStatus.PENDING:
            raise InvalidStateError(
                f"The logged model {model_id} is {pending.status}; log_model can fill only a PENDING one."
            )
        models.log_params(model_id, text_values(params))
        models.set_tags(model_id, text_values(tags))
        from registry.flavors import save_model

        with tempfile.TemporaryDirectory(prefix="registry-") as temporary:
            directory = Path(temporary) / "model"
            described = save_model(
                model,
                directory,
                flavor,
                model_id=model_id,
                run_id=pending.source_run_id,
                artifact_path=pending.name,
                **options,
            )
            self.backend.ownership.writable(pending.artifact_location, pending.experiment_id).upload(directory)
        seal = seal_stored(self.backend, pending.artifact_location)
        return described.get_model_info(models.finalize(model_id, seal, step=step))

    def create_model_version(
        self,
        name: str,
        source: str,
        run_id: str | None = None,
        tags: Mapping[str, Any] | None = None,
        run_link: str | None = None,
        description: str | None = None,
        await_creation_for: int | None = None,
        model_id: str | None = None,
        *,
        reason: str | None = None,
    ) -> "ModelVersion":
        """Create the next version of an existing registered model.

        A logged model is referenced, without a copy. Files from anywhere else are copied first.

        Args:
            name: Registered model, which must exist; `register_model` creates it.
            source: ``runs:`` or ``models:`` URI, local path, or ``file:`` or ``s3:`` URI.
            run_id: Run that made the model. Default: the run of the logged model.
            tags: Labels by key; values are stored as text of at most 100,000 characters.
            run_link: Address of the run elsewhere, as free text.
            description: Free text of at most 100,000 characters.
            await_creation_for: Ignored: a version is READY from the moment it exists.
            model_id: Logged model to register instead of the one at `source`.
            reason: Why, for the history.

        Returns:
            The new version, in stage None.

        Raises:
            ModelNotFoundError: There is no registered model `name`.
            NotFoundError: There is nothing at `source`.

        Example:
            >>> version = client.create_model_version("churn", f"runs:/{run_id}/model", tags={"retrained": "weekly"})
            >>> version.version, version.status, version.current_stage
            (4, 'READY', 'None')
        """
        del await_creation_for  # a version is READY from the moment it exists
        return self._create_version(
            check_model_name(name),
            source,
            run_id,
            tags,
            run_link,
            description,
            model_id,
            create_model=False,
            reason=reason,
        )

    def register_model(
        self,
        model_uri: str,
        name: str,
        *,
        tags: Mapping[str, Any] | None = None,
        reason: str | None = None,
    ) -> "ModelVersion":
        """Create the next version of a registered model, and the model itself if it is missing.

        Args:
            model_uri: ``runs:`` or ``models:`` URI, local path, or ``file:`` or ``s3:`` URI.
            name: Registered model.
            tags: Labels of the version by key; values are stored as text of at most 100,000 characters.
            reason: Why, for the history.

        Returns:
            The new version, in stage None.

        Raises:
            InvalidNameError: The name has a character that names cannot have.
            NotFoundError: There is nothing at `model_uri`. No model was created.

        Example:
            >>> client.register_model(f"runs:/{run_id}/model", "churn").version
            4
            >>> client.register_model("models:/churn@champion", "churn-live").version
            1
        """
        return self._create_version(
            check_model_name(name), model_uri, None, tags, None, None, None, create_model=True, reason=reason
        )

    def _create_version(
        self,
        name: str,
        source: str,
        run_id: str | None,
        tags: Mapping[str, Any] | None,
        run_link: str | None,
        description: str | None,
        model_id: str | None,
        *,
        create_model: bool,
        reason: str | None,
    ) -> "ModelVersion":
        from registry.store.logged_models.logged_models import SealedCopy
        from registry.store.registry import NewVersion

        checked_tags = {
            check_key(key): checked_text(value, f"tag {key!r}", MAX_MODEL_TAG_VALUE)
            for key, value in check_mapping(tags, "tags").items()
        }
        self.backend.versions.check_writable()  # before anything is copied for it
        link, text = _optional_text(run_link, "run_link"), _optional_text(description, "description")
        if run_id is not None:
            check_run_id(run_id)
        uri = parse(source, subpath=False) if model_id is None else LoggedModelUri(model_id)
        by_id = isinstance(uri, LoggedModelUri)
        if not by_id and not create_model:
            self.backend.models.require(name)  # before anything is copied for it
        given = str(source)
        sealed: str | SealedCopy
        if isinstance(uri, RegisteredUri):
            # A stage, an alias or "latest" stands for another version later.
            resolved = resolve(self.backend, uri)
            given, sealed = f"models:/{resolved.name}/{resolved.version}", resolved.model_id
        else:
            sealed = self._sealed(uri, run_id)
        copy = sealed if isinstance(sealed, SealedCopy) else None
        new = NewVersion(
            source=given,
            model_id=sealed.model_id if isinstance(sealed, SealedCopy) else sealed,
            by_id=by_id,
            run_id=run_id,
            run_link=link,
            description=text,
            tags=checked_tags,
            copy=copy,
        )
        with discard_if_expired(self.backend, copy.location if copy else ""):
            return self.backend.versions.create(name, new, create_model=create_model, reason=reason)

    def _sealed(self, uri: "Uri", run_id: str | None) -> "str | SealedCopy":
        """Return the id of the logged model at a URI; copy other files, which appear together with the version."""
        if isinstance(uri, LoggedModelUri):
            return uri.model_id
        if isinstance(uri, LocalUri):
            root = str(Path(uri.path).absolute())
            return self._seal_files(root, Path(uri.path).name, run_id)
        if isinstance(uri, S3Uri):
            return self._seal_files(str(uri), uri.key.rpartition("/")[2] or uri.bucket, run_id)
        if isinstance(uri, RunUri):
            return self._seal_of_run(uri)
        return resolve(self.backend, uri).model_id

    def _seal_of_run(self, uri: RunUri) -> "str | SealedCopy":
        path = uri.path or ""
        found = self.backend.logged_models.find_in_run(uri.run_id, path)
        if found is not None:
            return found
        place = self.backend.runs.files(check_run_id(uri.run_id))
        new = _copy_of(path.rpartition("/")[2] or "artifacts", place.experiment_id, uri.run_id)
        try:
            return store_files(self.backend, self.backend.files_at(place), path, new)
        except ArtifactNotFoundError as error:
            raise ArtifactNotFoundError(f"{error}{models_of_run(self.backend, uri.run_id)}") from None

    def _seal_files(self, root: str, name: str, run_id: str | None) -> "str | SealedCopy":
        """Copy the files at a location; below a run's artifacts, an empty one may name the run's logged model."""
        try:
            return self._seal_outside(root, name, run_id)
        except ArtifactNotFoundError as error:
            uri = self._as_run_uri(root, run_id)
            if uri is None or uri.path is None:
                raise
            found = self.backend.logged_models.find_in_run(uri.run_id, uri.path)
            if found is None:
                raise ArtifactNotFoundError(
                    f"{error} A logged model of the run is named by its name: '{uri}'."
                ) from None
            return found

    def _as_run_uri(self, root: str, run_id: str | None) -> RunUri | None:
        """Return the ``runs:`` URI of a location below a run's artifacts, or None."""
        in_path = _RUN_PATH.search(root)
        for candidate in (run_id, in_path["run_id"] if in_path else None):
            if candidate is None:
                continue
            try:
                artifacts = self.backend.runs.get(check_run_id(candidate)).info.artifact_uri
            except RunNotFoundError:
                continue
            if root.startswith(f"{artifacts}/"):
                return RunUri(candidate, root.removeprefix(f"{artifacts}/"))
        return None

    def _seal_outside(self, root: str, name: str, run_id: str | None) -> "SealedCopy":
        experiment_id = DEFAULT_EXPERIMENT_ID
        if run_id is not None:
            experiment_id = self.backend.runs.get(check_run_id(run_id)).info.experiment_id
        return store_copy(self.backend, root, "", _copy_of(name, experiment_id, run_id))

    def resolve(self, uri: str) -> "ResolvedModel":
        """Resolve a model URI to one logged model and its location.

        Args:
            uri: ``models:`` or ``runs:`` URI; a path inside the model is ignored.

        Returns:
            Model id, location and digest; name and version if the URI names a version.

        Raises:
            InvalidUriError: The text is not such a URI.
            NotFoundError: There is no such model; the message lists what exists.

        Example:
            >>> resolved = client.resolve("models:/churn/Production")
            >>> resolved.name, resolved.version, len(resolved.digest)
            ('churn', 2, 64)
        """
        return resolve(self.backend, parse(uri))


def _optional_text(value: object, what: str) -> str | None:
    return None if value is None else checked_text(value, what, MAX_MODEL_TAG_VALUE)


def _copy_of(name: str, experiment_id: str, run_id: str | None) -> "NewModel":
    from registry.store.logged_models.logged_models import NewModel

    # File names may have characters that names of logged models must not have.
    safe = "".join("-" if character in "/:.%\"'" else character for character in name) or "model"
    return NewModel(model_id=new_model_id(), experiment_id=experiment_id, name=safe, run_id=run_id)
