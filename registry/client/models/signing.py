"""Signing sealed models, and demanding a signature before one is used.

Invariant: what is handed out after a check is the very model whose manifest was signed: the URI that comes back names
it by its id, so that a stage that moves in between changes nothing.
"""

import os
from pathlib import Path

from registry.client.backend import Backend
from registry.client.base import ClientBase
from registry.client.models.loading import resolve
from registry.client.models.sigstore_bundle import check_bundle, key_id_of, sign_manifest
from registry.entities.model_registry import ResolvedModel
from registry.exceptions import (
    ArtifactNotFoundError,
    IntegrityError,
    InvalidParameterError,
    InvalidTypeError,
    UntrustedModelError,
    disk_error,
)
from registry.uris import LocalUri, LoggedModelUri, RunUri, S3Uri, Uri, parse
from registry.validation.paths import check_local_path


class SigningMethods(ClientBase):
    """Who vouches for a model."""

    def sign_model(self, model_uri: str, *, private_key: str | Path, password: str | None = None) -> str:
        """Sign the manifest of a sealed model with an elliptic curve key (a PEM file); the id of the key.

        The signature stays with the model, one per key, and goes along with copies and exports. It is a bundle that
        OpenSSF's ``model_signing verify key`` takes (`get_model_signatures`). No file of the model is read: its bytes
        are held to the manifest whenever they are.

        Raises:
            NotFoundError: nothing is at the URI, or there is no key file.
            InvalidUriError: the URI is not of a sealed model.
            InvalidParameterError: the key cannot be used.
        """
        if password is not None and not isinstance(password, str):
            raise InvalidTypeError(f"The password of a key is a string, not {type(password).__name__}.")
        resolved = resolve(self.backend, parse(model_uri, subpath=False))
        manifest = self.backend.logged_models.manifest(resolved.model_id)
        key_id, bundle = sign_manifest(manifest, resolved.model_id, _key(private_key), password)
        self.backend.signing.sign(resolved.model_id, key_id, bundle)
        return key_id

    def get_model_signatures(self, model_uri: str) -> dict[str, str]:
        """The bundles (JSON) that were signed of a model, by the id of the key; whether they are true is not looked at.

        Raises:
            NotFoundError: nothing is at the URI.
        """
        resolved = resolve(self.backend, parse(model_uri))
        return self.backend.signatures.all(resolved.model_id)


def signed_uri(backend: Backend, uri: Uri, public_key: str | Path) -> Uri:
    """The same model, or file of it, by its id, after its signature by this key (a PEM file) was checked.

    Raises:
        UntrustedModelError: the key did not sign it, or signed other files.
        InvalidParameterError: the URI names a place or plain files of a run, which bear no signatures.
    """
    if isinstance(uri, LocalUri | S3Uri):
        raise InvalidParameterError(f"{str(uri)!r} is a place, and only models of a registry bear signatures.")
    key = _key(public_key)
    resolved = resolve(backend, uri)
    _check(backend, resolved, key, str(uri))
    inner = (uri.path or "").partition("/")[2] if isinstance(uri, RunUri) else uri.path
    return LoggedModelUri(resolved.model_id, inner or None)


def _check(backend: Backend, resolved: ResolvedModel, key: bytes, shown: str) -> None:
    key_id = key_id_of(key)
    bundle = backend.signatures.find(resolved.model_id, key_id)
    if bundle is None:
        raise UntrustedModelError(
            f"{shown} ({resolved.model_id}) has no signature by the key {key_id[:16]}…; whoever holds that key "
            "signs it with 'registry sign'."
        )
    manifest = backend.logged_models.manifest(resolved.model_id)
    if manifest.digest != resolved.digest:
        raise IntegrityError(
            f"The manifest of {resolved.model_id} hashes to {manifest.digest}, but its digest is {resolved.digest}: a "
            "line of its list of files was edited."
        )
    try:
        check_bundle(bundle, manifest, key)
    except UntrustedModelError as error:
        raise UntrustedModelError(f"{shown} ({resolved.model_id}) is refused: {error}") from None


def _key(path: str | Path) -> bytes:
    try:
        return check_local_path(path).read_bytes()
    except FileNotFoundError:
        raise ArtifactNotFoundError(f"There is no key file {str(path)!r}.") from None
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise disk_error(f"The key file {str(path)!r} cannot be read: {reason}.", error) from error
