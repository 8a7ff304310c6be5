"""From a model object to a logged model, and from a URI to a registered version.

Owns the order of saving, sealing and registering. Invariant: a step that fails leaves the steps before it without trace
in what can be resolved: no model of half its files, no name without its version.
"""

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from registry.client.base import ClientBase
from registry.client.models.loading import models_of_run, resolve
from registry.client.models.logged_models import check_logged_model_name, text_values
from registry.client.models.model_upload import discard_if_expired, seal_directory, seal_stored, store_copy
from registry.entities import LoggedModelStatus
from registry.entities.experiment import DEFAULT_EXPERIMENT_ID
from registry.entities.logged_model import new_model_id
from registry.entities.model_registry import ModelVersion, ResolvedModel
from registry.exceptions import ArtifactNotFoundError, InvalidStateError, RunNotFoundError
from registry.flavors import ModelInfo, save_model
from registry.store.models.logged_models import NewModel, SealedCopy
from registry.store.registry import NewVersion
from registry.uris import LocalUri, LoggedModelUri, RegisteredUri, RunUri, S3Uri, Uri, parse
from registry.validation.arguments import check_mapping
from registry.validation.names import MAX_MODEL_TAG_VALUE, check_key, check_model_name, check_run_id
from registry.validation.values import checked_text, metric_step

# A place below the artifacts of a run, in the layout that runs have.
_RUN_PATH: Final = re.compile(r"/(?P<run_id>[0-9a-f]{32})/artifacts/")


class LogAndRegisterMethods(ClientBase):
    """How models get into the store and into the registry."""

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
    ) -> ModelInfo:
        """Save a model of a flavor and seal it as a logged model; further options are those of `flavors.save_model`.

        It gets the params of its run, and the points that the run has at `step`.
        With `model_id` it becomes that PENDING logged model, which keeps its own name, run and type.

        Raises:
            InvalidNameError: the name cannot be used.
            InvalidStateError: the logged model of `model_id` is not PENDING.
            MissingDependencyError: the flavor's package is not installed.
            StorageError, UnavailableError: the bytes or the row could not be stored; nothing half-written resolves.
        """
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
        with tempfile.TemporaryDirectory(prefix="registry-") as temporary:
            directory = Path(temporary) / "model"
            described = save_model(
                model, directory, flavor, model_id=new.model_id, run_id=run_id, artifact_path=name, **options
            )
            logged = seal_directory(self.backend, directory, new, described)
        return described.get_model_info(logged)

    def _log_into(
        self,
        model_id: str,
        flavor: str,
        model: Any,
        params: Mapping[str, Any] | None,
        tags: Mapping[str, Any] | None,
        step: int,
        options: Mapping[str, Any],
    ) -> ModelInfo:
        models = self.backend.logged_models
        pending = models.get(model_id)
        if pending.status != LoggedModelStatus.PENDING:
            raise InvalidStateError(
                f"The logged model {model_id} is {pending.status}; log_model can give files to a PENDING one only."
            )
        models.log_params(model_id, text_values(params))
        models.set_tags(model_id, text_values(tags))
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
    ) -> ModelVersion:
        """The next version of an existing registered model.

        `source` is a ``models:`` or ``runs:`` URI, a local path, or a ``file:`` or ``s3:`` URI. A logged model is named
        as it is, without a copy; any other files are sealed as a copy first.

        Raises:
            ModelNotFoundError: no registered model of that name.
            NotFoundError: nothing is at `source`.
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
    ) -> ModelVersion:
        """The next version of a registered model, which is created if there is none of that name.

        Raises:
            NotFoundError: nothing is at `model_uri`; then no model was created either.
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
    ) -> ModelVersion:
        checked = {
            check_key(key): checked_text(value, f"tag {key!r}", MAX_MODEL_TAG_VALUE)
            for key, value in check_mapping(tags, "tags").items()
        }
        link, text = _text(run_link, "run_link"), _text(description, "description")
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
            tags=checked,
            copy=copy,
        )
        with discard_if_expired(self.backend, copy.location if copy else ""):
            return self.backend.versions.create(name, new, create_model=create_model, reason=reason)

    def _sealed(self, uri: Uri, run_id: str | None) -> str | SealedCopy:
        """The id of the logged model behind a URI; other files are stored as one that appears with the version."""
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

    def _seal_of_run(self, uri: RunUri) -> str | SealedCopy:
        path = uri.path or ""
        found = self.backend.logged_models.find_in_run(uri.run_id, path)
        if found is not None:
            return found
        run = self.backend.runs.get(check_run_id(uri.run_id))
        new = _copy_of(path.rpartition("/")[2] or "artifacts", run.info.experiment_id, uri.run_id)
        try:
            return store_copy(self.backend, run.info.artifact_uri, path, new)
        except ArtifactNotFoundError as error:
            raise ArtifactNotFoundError(f"{error}{models_of_run(self.backend, uri.run_id)}") from None

    def _seal_files(self, root: str, name: str, run_id: str | None) -> str | SealedCopy:
        """Files at a place; ``run.info.artifact_uri + "/model"`` without files means the run's logged model."""
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
        """The ``runs:`` URI of a place below a run's artifacts."""
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

    def _seal_outside(self, root: str, name: str, run_id: str | None) -> SealedCopy:
        experiment_id = DEFAULT_EXPERIMENT_ID
        if run_id is not None:
            experiment_id = self.backend.runs.get(check_run_id(run_id)).info.experiment_id
        return store_copy(self.backend, root, "", _copy_of(name, experiment_id, run_id))

    def resolve(self, uri: str) -> ResolvedModel:
        """What a ``models:`` or ``runs:`` URI stands for: name, version, model id, location and digest.

        Raises:
            NotFoundError: nothing is there; the message says what there is.
            InvalidUriError: the text is not such a URI.
        """
        return resolve(self.backend, parse(uri))


def _text(value: object, what: str) -> str | None:
    return None if value is None else checked_text(value, what, MAX_MODEL_TAG_VALUE)


def _copy_of(name: str, experiment_id: str, run_id: str | None) -> NewModel:
    # Names of files may have characters that names of logged models may not.
    safe = "".join("-" if character in "/:.%\"'" else character for character in name) or "model"
    return NewModel(model_id=new_model_id(), experiment_id=experiment_id, name=safe, run_id=run_id)
