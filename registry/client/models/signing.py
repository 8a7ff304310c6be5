"""Client methods that sign models, and the check that a loader makes if a signature is required.

Guarantees: after a check, the returned URI names the very model whose manifest was signed, by its id, so a stage that
moves in between changes nothing.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from registry.client.base import ClientBase
from registry.client.models.loading import resolve
from registry.client.models.sigstore_bundle import check_bundle, key_id_of, sign_manifest
from registry.exceptions import (
    ArtifactNotFoundError,
    IntegrityError,
    InvalidParameterError,
    InvalidTypeError,
    UntrustedModelError,
    disk_error,
)
from registry.uris import LocalUri, LoggedModelUri, RunUri, S3Uri, parse
from registry.validation.paths import check_local_path

if TYPE_CHECKING:
    from registry.client.backend import Backend
    from registry.entities.model_registry import ResolvedModel
    from registry.uris import Uri


class SigningMethods(ClientBase):
    """Client methods that sign models."""

    def sign_model(self, model_uri: str, *, private_key: str | Path, password: str | None = None) -> str:
        """Sign the manifest of a model with an elliptic curve key.

        The signature stays with the model, one per key, and follows copies and exports. OpenSSF's
        ``model_signing verify key`` accepts it. The files of the model are not read: loading compares them with the
        manifest.

        Args:
            model_uri: ``models:`` or ``runs:`` URI.
            private_key: PEM file with a key on P-256, P-384 or P-521.
            password: Password of the key file.

        Returns:
            The id of the key: the SHA-256 (hex) of its public PEM form.

        Raises:
            InvalidParameterError: The key cannot be used.
            InvalidUriError: The URI does not name a model of this registry.
            MissingDependencyError: cryptography is not installed.
            NotFoundError: There is no such model, or no key file.

        Example:
            >>> from pathlib import Path
            >>> from cryptography.hazmat.primitives import serialization
            >>> from cryptography.hazmat.primitives.asymmetric import ec
            >>> key = ec.generate_private_key(ec.SECP256R1())
            >>> pem = key.private_bytes(
            ...     serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ... )
            >>> _ = Path("key.pem").write_bytes(pem)
            >>> key_id = client.sign_model("models:/churn/2", private_key="key.pem")
            >>> key_id in client.get_model_signatures("models:/churn/2")
            True
        """
        if password is not None and not isinstance(password, str):
            raise InvalidTypeError(f"The password of a key is a string, not {type(password).__name__}.")
        resolved = resolve(self.backend, parse(model_uri, subpath=False))
        manifest = self.backend.logged_models.manifest(resolved.model_id)
        key_id, bundle = sign_manifest(manifest, resolved.model_id, _key(private_key), password)
        self.backend.signing.sign(resolved.model_id, key_id, bundle)
        return key_id

    def get_model_signatures(self, model_uri: str) -> dict[str, str]:
        """Return the signatures of a model, without checking them.

        Args:
            model_uri: ``models:`` or ``runs:`` URI.

        Returns:
            Sigstore bundles (JSON text) by the id of the key.

        Raises:
            NotFoundError: There is no such model.

        Example:
            >>> client.get_model_signatures("models:/churn/2")  # not signed yet
            {}
        """
        resolved = resolve(self.backend, parse(model_uri))
        return self.backend.signatures.all(resolved.model_id)


def signed_uri(backend: "Backend", uri: "Uri", public_key: str | Path) -> "Uri":
    """Check the signature of a model by a key (a PEM file); return the same model, or file of it, by its id.

    Raises:
        UntrustedModelError: The key did not sign the model, or signed other files.
        InvalidParameterError: The URI is a path, an S3 location or a plain file of a run, which have no signatures.
    """
    if isinstance(uri, LocalUri | S3Uri):
        raise InvalidParameterError(
            f"{str(uri)!r} is a path or S3 location, and only models of a registry have signatures. "
            "Give a models:/ URI."
        )
    key = _key(public_key)
    resolved = resolve(backend, uri)
    _check(backend, resolved, key, str(uri))
    inner = (uri.path or "").partition("/")[2] if isinstance(uri, RunUri) else uri.path
    return LoggedModelUri(resolved.model_id, inner or None)


def _check(backend: "Backend", resolved: "ResolvedModel", key: bytes, shown: str) -> None:
    key_id = key_id_of(key)
    bundle = backend.signatures.find(resolved.model_id, key_id)
    if bundle is None:
        raise UntrustedModelError(
            f"{shown} ({resolved.model_id}) has no signature by the key {key_id[:16]}…. The owner of that key can sign "
            "it with 'registry versions sign'."
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
