"""Client method that copies a version: within a registry by reference, to another registry with its bytes.

Guarantees: a copy has the digest of its source. Copying a version to the same place again returns the existing copy.
"""

from typing import TYPE_CHECKING

from registry.client.backend import open_backend
from registry.client.base import ClientBase
from registry.client.models.loading import compare_manifests, find_version
from registry.client.models.model_upload import discard_if_expired, store_copy
from registry.entities import Metric
from registry.exceptions import IntegrityError, InvalidUriError, RunNotFoundError
from registry.settings import current_base, current_settings
from registry.uris import ModelVersionUri, parse_models
from registry.validation.names import check_model_name

if TYPE_CHECKING:
    from registry.client.backend import Backend
    from registry.entities.model_registry import ModelVersion, ResolvedModel


class CopyingMethods(ClientBase):
    """Client method that copies versions."""

    def copy_model_version(
        self, src_model_uri: str, dst_name: str, *, to: str | None = None, reason: str | None = None
    ) -> "ModelVersion":
        """Copy a version to another registered model, or to another registry.

        Tags, description and run id are copied; stages and aliases are not. Within one registry the files are not
        copied.

        With `to`, the files are copied (by S3 itself where both sides are on S3), and so is the run under its id, with
        its params, tags, data sets and the latest value of each metric, but without metric curves and plain artifacts.
        The copy's `source` names the original. Copying a version again returns the existing copy.

        Args:
            src_model_uri: ``models:`` URI of a version.
            dst_name: Registered model of the copy; created if missing.
            to: Tracking URI of another registry; None for this one.
            reason: Why, for the history.

        Returns:
            The new version, in stage None.

        Raises:
            ConflictError: The other registry has a different run of the same id.
            IntegrityError: A file differs from what was sealed.
            InvalidUriError: The URI names a logged model, not a version.
            NotFoundError: There is no such version.
            SchemaOutdatedError: The other registry must be upgraded first.

        Example:
            >>> client.copy_model_version("models:/churn@champion", "churn-live").version
            1
            >>> copy = client.copy_model_version("models:/churn/2", "churn", to="sqlite:///production.db")
            >>> copy.version, copy.source
            (1, 'models:/churn/2')
        """
        from registry.store.registry import NewVersion

        check_model_name(dst_name)
        version = find_version(self.backend, parse_models(src_model_uri))
        if version is None:
            raise InvalidUriError(
                f"{src_model_uri!r} names a logged model, not a version; register it with register_model."
            )
        target = self.backend if to is None else open_backend(to, current_settings(), base=current_base(to))
        if target.database.url == self.backend.database.url:
            new = NewVersion(
                # Never the URI as given: a stage, an alias or "latest" stands for another version later.
                source=f"models:/{version.name}/{version.version}",
                model_id=str(version.model_id),
                run_id=version.run_id,
                run_link=version.run_link,
                description=version.description,
                tags=version.tags,
            )
            return self.backend.versions.create(dst_name, new, create_model=True, reason=reason)
        source = self.backend.resolver.resolve(ModelVersionUri(version.name, version.version))
        return _copy_to(self.backend, target, dst_name, source, version, reason)


def _copy_to(
    backend: "Backend",
    target: "Backend",
    name: str,
    source: "ResolvedModel",
    version: "ModelVersion",
    reason: str | None,
) -> "ModelVersion":
    from registry.client.transfer.importing import map_imported_model
    from registry.store.registry import NewVersion

    registry_id = backend.experiments.registry_id()
    origin = f"{registry_id}/{backend.models.get(version.name).model_uid}/{version.version}"
    existing = target.versions.find_by_origin(name, origin)
    if existing is not None:
        return existing
    logged = backend.model_export.logged_model(source.model_id)
    for run_id in {version.run_id, logged.run_id} - {None}:
        copy_run_record(backend, target, str(run_id), registry_id)
    new = map_imported_model(target, logged)
    copy = store_copy(target, source.location, "", new)
    compare_manifests(copy.seal.manifest, logged.manifest, source.location)
    if logged.manifest.digest != source.digest:
        raise IntegrityError(
            f"The manifest of {source.model_id} hashes to {logged.manifest.digest}, but its digest is {source.digest}: "
            "a line of its list of files was edited. No version was made."
        )
    new_version = NewVersion(
        source=f"models:/{version.name}/{version.version}",
        model_id=new.model_id,
        run_id=version.run_id,
        run_link=version.run_link,
        description=version.description,
        tags=version.tags,
        origin=origin,
        copy=copy,
    )
    with discard_if_expired(target, copy.location):
        return target.versions.create(name, new_version, create_model=True, reason=reason)


def copy_run_record(backend: "Backend", target: "Backend", run_id: str, registry_id: str) -> None:
    """Copy a run to another registry. If it does not exist any more, the version keeps its id only."""
    from registry.client.transfer.importing import find_or_create_experiment
    from registry.store.transfer.run_import import ImportedRun

    try:
        run = backend.model_export.run(run_id)
    except RunNotFoundError:
        return
    points = [
        Metric(key=key, step=step, timestamp=timestamp, value=value)
        for key, step, timestamp, value in backend.model_export.latest_points(run_id)
    ]
    experiment_id = find_or_create_experiment(target, run.experiment)
    target.run_import.insert(ImportedRun(run, experiment_id, registry_id, lambda: [points] if points else []))
