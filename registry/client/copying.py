"""Copying a version: within a registry by naming the same sealed files again, to another registry with its bytes.

Invariant: a copy has the digest of what it was copied from, and copying the same version to the same place twice gives
the same copy.
"""

from registry.client.backend import open_backend
from registry.client.base import ClientBase
from registry.client.loading import resolve
from registry.client.sealing import given_up, store_copy
from registry.entities.experiment import DEFAULT_EXPERIMENT_ID
from registry.entities.logged_model import new_model_id
from registry.entities.model_registry import ModelVersion, ResolvedModel
from registry.entities.naming import check_model_name
from registry.exceptions import IntegrityError, InvalidUriError
from registry.settings import current_settings
from registry.store.catalog import NewVersion
from registry.store.logged_models import NewModel
from registry.uris import parse_models


class CopyingMethods(ClientBase):
    """How versions get from model to model and from registry to registry."""

    def copy_model_version(
        self, src_model_uri: str, dst_name: str, *, to: str | None = None, reason: str | None = None
    ) -> ModelVersion:
        """A new version of `dst_name`, which is created if need be, with the model of a ``models:`` URI.

        Tags, description and run id are copied, stages and aliases are not. With `to`, the tracking URI of another
        registry, the bytes are copied there too (by S3 itself where both are on S3) and the version says where it came
        from; copying it again gives the version that is there.

        Raises:
            NotFoundError: nothing is at the URI.
            IntegrityError: the bytes that arrived are not those that were sealed.
        """
        check_model_name(dst_name)
        source = resolve(self.backend, parse_models(src_model_uri))
        if source.name is None or source.version is None:
            raise InvalidUriError(
                f"{src_model_uri!r} names a logged model, not a version; register it with register_model."
            )
        version = self.backend.versions.get(source.name, source.version)
        if to is None or to == self.tracking_uri:
            new = NewVersion(
                source=src_model_uri,
                model_id=source.model_id,
                run_id=version.run_id,
                run_link=version.run_link,
                description=version.description,
                tags=version.tags,
            )
            return self.backend.versions.create(dst_name, new, create_model=True, reason=reason)
        return self._copy_to(to, dst_name, source, version, reason)

    def _copy_to(
        self, to: str, dst_name: str, source: ResolvedModel, version: ModelVersion, reason: str | None
    ) -> ModelVersion:
        target = open_backend(to, current_settings())
        uid = self.backend.models.get(version.name).model_uid
        origin = f"{self.backend.experiments.registry_id()}/{uid}/{version.version}"
        existing = target.versions.find_by_origin(dst_name, origin)
        if existing is not None:
            return existing
        logged = self.backend.logged_models.get(source.model_id)
        new_model = NewModel(new_model_id(), DEFAULT_EXPERIMENT_ID, logged.name, params=logged.params, tags=logged.tags)
        copy = store_copy(target, source.location, "", new_model)
        digest = copy.seal.manifest.digest
        if digest != source.digest:
            raise IntegrityError(
                f"The copy of version {version.version} of {version.name!r} has the digest {digest}, the original "
                f"{source.digest}; no version was made. Run verify on the original."
            )
        new = NewVersion(
            source=f"models:/{version.name}/{version.version}",
            model_id=copy.model_id,
            run_link=version.run_link,
            description=version.description,
            tags=version.tags,
            origin=origin,
            copy=copy,
        )
        with given_up(target, copy.location):
            return target.versions.create(dst_name, new, create_model=True, reason=reason)
