"""`ServeOptions`: what a server serves, where, and within which limits; as JSON it reaches the workers."""

import dataclasses
import hmac
import ipaddress
import json
import os
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from registry.exceptions import InvalidParameterError, PermissionDeniedError, StorageError
from registry.uris import LocalUri, LoggedModelUri, RunUri, S3Uri, parse

TOKEN_VARIABLE: Final = "REGISTRY_SERVE_TOKEN"  # noqa: S105 - the name of a variable
_SHORTEST_TOKEN: Final = 16


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """How models are served.

    Attributes:
        models: Pairs of a name, by which requests choose a model, and its URI.
        every: Seconds between two looks at the registry.
        nthread: Threads of one prediction.
        concurrency: How many requests are predicted at once in threads, per worker; its event loop answers a small one
            of a quick model beside them.
        queue: How many more may wait for that; the next one is answered with 429.
        max_body: The largest body of a request, in bytes.
        max_rows: The most rows of a request.
        timeout: The most seconds from a request's head to its answer.
        workers: The number of processes.
        token_file: A file with the token that clients must send, or None.
        allow_code: Whether code of the models' files may run; None leaves it to ``REGISTRY_ALLOW_CODE``.
        allow_incompatible: Whether a model may take over that does not take what callers of the old one send.
        require_signature: A public key; only models that it signed are served.
        access_log: Whether each request is logged, as a line of JSON.
        shared: A directory that workers share for what they have counted, or None for one worker.
        shadow: The URI of a shadow of the first model, or None.
        share: The share of its requests that the shadow answers too, after their answers were sent.
        canary: The share of the keys whose requests the shadow answers instead.
        canary_key: The header with the key of a request; without it the client's address is the key.
    """

    models: Sequence[tuple[str, str]]
    every: float = 5.0
    nthread: int = 1
    concurrency: int = 4
    queue: int = 64
    max_body: int = 16 * 2**20
    max_rows: int = 100_000
    timeout: float = 60.0
    workers: int = 1
    token_file: str | None = None
    allow_code: bool | None = None
    allow_incompatible: bool = False
    require_signature: str | None = None
    access_log: bool = True
    shared: str | None = None
    shadow: str | None = None
    share: float = 0.1
    canary: float = 0.0
    canary_key: str = "x-canary-key"

    def to_json(self) -> str:
        """Return the options as text."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "ServeOptions":
        """Return the options of a text that `to_json` made."""
        fields: dict[str, Any] = json.loads(text)
        models = [(str(name), str(uri)) for name, uri in fields.pop("models")]
        return cls(models, **fields)

    def read_token(self) -> bytes | None:
        """Return the token that clients must send: from the file, else from ``REGISTRY_SERVE_TOKEN``; None if none.

        Raises:
            StorageError: The file cannot be read.
            InvalidParameterError: The token is shorter than 16 characters.
        """
        if self.token_file is None:
            text = os.environ.get(TOKEN_VARIABLE, "")
        else:
            try:
                text = Path(self.token_file).read_text(encoding="utf-8")
            except (OSError, UnicodeError) as error:
                raise StorageError(f"The token file {self.token_file!r} cannot be read: {error}.") from error
        token = text.strip().encode()
        if not token and self.token_file is None:
            return None
        if len(token) < _SHORTEST_TOKEN:
            raise InvalidParameterError(
                f"The token has {len(token)} characters; at least {_SHORTEST_TOKEN} are required. Make one: "
                "python -c 'import secrets; print(secrets.token_urlsafe())'"
            )
        return token


def named_models(texts: Sequence[str]) -> list[tuple[str, str]]:
    """Return the name and the URI of each model, given as ``URI`` or ``NAME=URI``.

    Raises:
        InvalidParameterError: Two models have the same name, or a name is not one.
        InvalidUriError: A URI cannot be parsed.
    """
    found: dict[str, str] = {}
    for text in texts:
        head, equals, tail = text.partition("=")
        is_named = bool(equals) and head.replace("-", "").replace("_", "").isalnum()
        name, uri = (head, tail) if is_named else (None, text)
        parsed = parse(uri)
        if isinstance(parsed, LocalUri | S3Uri | RunUri | LoggedModelUri):
            name = name or "model"
        else:
            name = name or parsed.name
        if name in found:
            raise InvalidParameterError(
                f"Two models would be named {name!r}. Name them: {name}-a={found[name]} {name}-b={uri}."
            )
        found[name] = uri
    return list(found.items())


def check_exposure(host: str, token: bytes | None, *, trusted_proxy: bool) -> None:
    """Refuse to listen beyond this machine without a token or a proxy that checks who calls.

    Raises:
        PermissionDeniedError: Neither is there.
    """
    try:
        is_local = ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        is_local = host == "localhost"
    if not is_local and token is None and not trusted_proxy:
        raise PermissionDeniedError(
            f"On {host} everybody who reaches this machine could call the model. Give a token (--token-file FILE, or "
            f"{TOKEN_VARIABLE}), or --trusted-proxy if what stands before it checks who calls."
        )


def check_certificate(certificate: Path, key: Path) -> None:
    """Refuse files that are no certificate with its private key, before a server begins with them.

    Raises:
        StorageError: A file cannot be read.
        InvalidParameterError: A file is not PEM, the key is encrypted, or belongs to another certificate.
    """
    for option, file, words in (
        ("--ssl-certfile", certificate, "CERTIFICATE-----"),
        ("--ssl-keyfile", key, "PRIVATE KEY-----"),
    ):
        try:
            content = file.read_bytes()
        except OSError as error:
            raise StorageError(f"{option} {str(file)!r} cannot be read: {error.strerror}.") from error
        if words.encode() not in content:
            kind = "certificate" if option == "--ssl-certfile" else "private key"
            raise InvalidParameterError(f"{option} {str(file)!r} has no {kind} in PEM.")
    asked_for_password = False

    def no_password() -> str:
        nonlocal asked_for_password
        asked_for_password = True
        return ""

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, no_password)
    except (ssl.SSLError, ValueError) as error:
        reason = getattr(error, "reason", None) or str(error)
        if asked_for_password:
            problem = f"{str(key)!r} is encrypted. Decrypt it: openssl pkey -in {key} -out FILE"
        elif reason == "KEY_VALUES_MISMATCH":
            problem = f"{str(key)!r} is not the key of the certificate {str(certificate)!r}."
        else:
            problem = f"{str(key)!r} and the certificate {str(certificate)!r} cannot be used: {reason}."
        raise InvalidParameterError(f"--ssl-keyfile {problem}") from None


def is_token(authorization: bytes, token: bytes) -> bool:
    """Tell whether the header of a request has the token, in a time that does not depend on where they differ."""
    scheme, _, given = authorization.partition(b" ")
    return scheme.lower() == b"bearer" and hmac.compare_digest(given.strip(), token)
