"""Signs manifests and checks signatures in the form of OpenSSF model signing (``model_signing verify key``).

A bundle (Sigstore v0.3, JSON) holds a DSSE envelope. Its payload is an in-toto statement with the SHA-256 of every
file, and one digest over all. The private key is an elliptic curve key in PEM (P-256, P-384 or P-521). No server is
contacted. Sources: github.com/sigstore/model-transparency (README, "Model Signing Format"),
github.com/secure-systems-lab/dsse.

Guarantees: a bundle passes only if the given key signed exactly the files of the manifest, with their digests.
"""

import base64
import binascii
import hashlib
import importlib.util
import json
from typing import TYPE_CHECKING, Any, Final

from registry.entities import Manifest
from registry.exceptions import InvalidParameterError, MissingDependencyError, UntrustedModelError
from registry.package_name import install_command

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.hashes import HashAlgorithm

_MEDIA_TYPE: Final = "application/vnd.dev.sigstore.bundle.v0.3+json"
_PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
_STATEMENT: Final = "https://in-toto.io/Statement/v1"
_PREDICATE: Final = "https://model_signing/signature/v1.0"
_CURVES: Final = {"secp256r1": "SHA256", "secp384r1": "SHA384", "secp521r1": "SHA512"}
# Ignore no path: by default the package skips `.git` and the like, so unsigned files could hide there.
_SERIALIZATION: Final = {"method": "files", "hash_type": "sha256", "allow_symlinks": False, "ignore_paths": []}


def sign_manifest(manifest: Manifest, name: str, private_key: bytes, password: str | None = None) -> tuple[str, str]:
    """Sign a manifest. Return the id of the key and the bundle; `name` is the statement's name of the model.

    Raises:
        InvalidParameterError: The key cannot be used.
        MissingDependencyError: cryptography is not installed.
    """
    key = _load_private_key(private_key, password)
    payload = json.dumps(_statement(manifest, name)).encode()
    key_id = _key_id(key.public_key())
    signature = key.sign(_pre_authentication_encoding(payload), _algorithm(key.public_key()))
    bundle = {
        "mediaType": _MEDIA_TYPE,
        "verificationMaterial": {"publicKey": {"hint": key_id}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": _PAYLOAD_TYPE,
            "signatures": [{"sig": base64.b64encode(signature).decode(), "keyid": ""}],
        },
    }
    return key_id, json.dumps(bundle)


def key_id_of(public_key: bytes) -> str:
    """Return the SHA-256 (hex) of a public key in PEM form, which is its id in bundles.

    Raises:
        InvalidParameterError: The key cannot be used.
    """
    return _key_id(_load_public_key(public_key))


def check_bundle(bundle: str, manifest: Manifest, public_key: bytes) -> None:
    """Check that a key signed exactly this manifest.

    Raises:
        UntrustedModelError: It did not; the message says what differs.
        InvalidParameterError: The key cannot be used.
    """
    key = _load_public_key(public_key)
    payload, signature = _envelope(bundle)
    from cryptography.exceptions import InvalidSignature

    try:
        key.verify(signature, _pre_authentication_encoding(payload), _algorithm(key))
    except InvalidSignature:
        raise UntrustedModelError("The signature was not made by this key, or was changed afterwards.") from None
    _check_statement(payload, manifest)


def _statement(manifest: Manifest, name: str) -> dict[str, Any]:
    resources = [
        {"name": entry.path, "algorithm": "sha256", "digest": entry.sha256}
        for entry in sorted(manifest.entries, key=lambda entry: entry.path)
    ]
    return {
        "_type": _STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": _root(resources)}}],
        "predicateType": _PREDICATE,
        "predicate": {"serialization": _SERIALIZATION, "resources": resources},
    }


def _root(resources: list[dict[str, str]]) -> str:
    return hashlib.sha256(b"".join(bytes.fromhex(resource["digest"]) for resource in resources)).hexdigest()


def _check_statement(payload: bytes, manifest: Manifest) -> None:
    try:
        statement = json.loads(payload)
        kinds = (statement["_type"], statement["predicateType"], statement["predicate"]["serialization"]["method"])
        resources = statement["predicate"]["resources"]
        algorithms = {resource["algorithm"] for resource in resources}
        signed = {str(resource["name"]): str(resource["digest"]) for resource in resources}
    except (KeyError, RecursionError, TypeError, ValueError) as error:
        raise UntrustedModelError("The signature is not of a model: its statement cannot be read.") from error
    if kinds != (_STATEMENT, _PREDICATE, "files") or algorithms != {"sha256"} or len(signed) != len(resources):
        raise UntrustedModelError(f"The signature is not of a model's files by SHA-256: {kinds}.")
    files = {entry.path: entry.sha256 for entry in manifest.entries}
    for path in sorted(files.keys() | signed.keys()):
        if files.get(path) != signed.get(path):
            raise UntrustedModelError(
                f"The signature is of other files: {path!r} has the SHA-256 {files.get(path)}, but the signed one is "
                f"{signed.get(path)}."
            )


def _envelope(bundle: str) -> tuple[bytes, bytes]:
    """Return payload and signature."""
    try:
        envelope = json.loads(bundle)["dsseEnvelope"]
        (signature,) = envelope["signatures"]
        if envelope["payloadType"] != _PAYLOAD_TYPE:
            raise ValueError(envelope["payloadType"])
        return base64.b64decode(envelope["payload"], validate=True), base64.b64decode(signature["sig"], validate=True)
    except (KeyError, RecursionError, TypeError, ValueError, binascii.Error) as error:
        raise UntrustedModelError("The signature cannot be read: it is not a bundle with one signature.") from error


def _pre_authentication_encoding(payload: bytes) -> bytes:
    """Return DSSE's pre-authentication encoding: type and payload, each with its length."""
    return f"DSSEv1 {len(_PAYLOAD_TYPE)} {_PAYLOAD_TYPE} {len(payload)} ".encode() + payload


def _load_private_key(pem: bytes, password: str | None) -> "EllipticCurvePrivateKey":
    _require_cryptography()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem, None if password is None else password.encode())
    except (TypeError, ValueError, UnsupportedAlgorithm) as error:
        raise InvalidParameterError(f"The private key cannot be used: {error}") from None
    if not isinstance(key, EllipticCurvePrivateKey) or key.curve.name not in _CURVES:
        raise _not_elliptic()
    return key


def _load_public_key(pem: bytes) -> "EllipticCurvePublicKey":
    _require_cryptography()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InvalidParameterError(f"The public key cannot be used: {error}") from None
    if not isinstance(key, EllipticCurvePublicKey) or key.curve.name not in _CURVES:
        raise _not_elliptic()
    return key


def _key_id(key: "EllipticCurvePublicKey") -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return hashlib.sha256(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _algorithm(key: "EllipticCurvePublicKey") -> Any:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA

    digest: HashAlgorithm = getattr(hashes, _CURVES[key.curve.name])()
    return ECDSA(digest)


def _require_cryptography() -> None:
    if importlib.util.find_spec("cryptography") is None:
        raise MissingDependencyError(f"Signatures need the package cryptography: {install_command('signing')}.")


def _not_elliptic() -> InvalidParameterError:
    return InvalidParameterError(
        "The key is not an elliptic curve key on P-256, P-384 or P-521; make one with "
        "'openssl ecparam -name prime256v1 -genkey -noout -out key.pem'."
    )
