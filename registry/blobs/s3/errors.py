"""Map what botocore raises to the errors of this package.

Guarantee: a message names the bucket, the key and the setting to look at, and has neither a secret nor a control
character in it.
"""

import random
import time
from typing import TYPE_CHECKING, Final

from registry.exceptions import (
    AccessDeniedError,
    ArtifactNotFoundError,
    IntegrityError,
    RegistryError,
    StorageError,
    UnavailableError,
)

if TYPE_CHECKING:
    from botocore.exceptions import BotoCoreError, ClientError


ATTEMPTS: Final = 5
BASE_SECONDS: Final = 0.1
MAX_SECONDS: Final = 5.0


def pause(attempt: int) -> None:
    """Sleep before the next attempt: exponential backoff with jitter."""
    # Spreading load needs no secret randomness.
    time.sleep(random.uniform(0, min(MAX_SECONDS, BASE_SECONDS * 2**attempt)))  # noqa: S311 - not a secret


_CREDENTIALS: Final = (
    "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN for temporary keys), or AWS_PROFILE"
)
_ENDPOINT: Final = "Check AWS_ENDPOINT_URL or MLFLOW_S3_ENDPOINT_URL (unset both for Amazon's own S3) and the network"

_LOCATION: Final = "REGISTRY_ARTIFACT_LOCATION for new experiments, 'registry db relocate OLD NEW' for those that are"

_SHOWN: Final = 500
_MISSING_KEY: Final = frozenset({"NoSuchKey", "404", "NotFound"})
_WRONG_CHECKSUM: Final = frozenset({"BadDigest", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch"})
_WRONG_KEYS: Final = frozenset(
    {"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken", "TokenRefreshRequired"}
)
_DENIED: Final = frozenset({"AccessDenied", "403", "Forbidden", "AllAccessDisabled"})
_WRONG_REGION: Final = frozenset(
    {"PermanentRedirect", "301", "AuthorizationHeaderMalformed", "IllegalLocationConstraint"}
)
_SKEWED: Final = "RequestTimeTooSkewed"
_REDIRECTS: Final = frozenset({300, 302, 303, 307, 308})
# MinIO and others answer so; to ask again would not help.
_FULL: Final = frozenset({"InsufficientStorage", "XMinioStorageFull", "XMinioDiskFull", "QuotaExceeded"})
_INSUFFICIENT_STORAGE: Final = 507
_BUSY: Final = frozenset({"SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "Throttling"})


def error_code(error: "ClientError") -> str:
    """S3's name for what went wrong, or the HTTP status as text where an answer has no body."""
    return printable(error.response.get("Error", {}).get("Code", ""))


def status_code(error: "ClientError") -> int:
    """Return the HTTP status of a response."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def is_missing(error: "ClientError") -> bool:
    """Tell whether the key does not exist. A HEAD response cannot distinguish a missing bucket."""
    return error_code(error) in _MISSING_KEY


def translate(error: "BotoCoreError | ClientError", bucket: str, key: str, endpoint_url: str | None) -> RegistryError:
    """Map an exception of botocore to ours."""
    from botocore.exceptions import ClientError

    where = f"s3://{bucket}/{key}" if key else f"s3://{bucket}"
    at = f" at {endpoint_url}" if endpoint_url else ""
    if isinstance(error, ClientError):
        return _refusal(error, bucket, where, at)
    return _failure(error, where, at)


def malformed(where: str, what: str) -> StorageError:
    """Return the error for a response that S3 would not give; `what` says what is wrong with it."""
    return StorageError(f"The server gave {what} for {where}, which S3 never does. {_ENDPOINT}.")


def check_endpoint(endpoint_url: str) -> None:
    """Refuse an endpoint URL with user and password: they would not be sent, but shown in messages.

    Raises:
        StorageError: It has them.
    """
    scheme, _, rest = endpoint_url.partition("://")
    authority = rest.partition("/")[0]
    if "@" in authority:
        shown = f"{scheme}://{authority.rpartition('@')[2]}"
        raise StorageError(
            f"The S3 endpoint at {shown} has a user or password in its URL. Leave it out. {_CREDENTIALS}."
        )


def invalid_endpoint() -> RegistryError:
    """Return the error for an endpoint that is not a URL."""
    return StorageError(f"The S3 endpoint is not a URL such as http://127.0.0.1:9000. {_ENDPOINT}.")


def _refusal(error: "ClientError", bucket: str, where: str, at: str) -> RegistryError:
    code, status = error_code(error), status_code(error)
    if code == "NoSuchBucket":
        return StorageError(f"The bucket {bucket!r} does not exist{at}. Create it, or name another: {_LOCATION}.")
    if code in _MISSING_KEY:
        return ArtifactNotFoundError(f"There is no object {where}{at}.")
    if code in _WRONG_CHECKSUM:
        return IntegrityError(
            f"S3 refused {where}: the bytes that arrived do not have the checksum they were sent with."
        )
    if code in _WRONG_KEYS:
        return AccessDeniedError(f"The credentials for {where}{at} were refused ({code}). {_CREDENTIALS}.")
    if code in _DENIED:
        return AccessDeniedError(
            f"Access to {where}{at} was denied. These credentials need the rights to get, put, list and delete objects "
            f"there; or use others: {_CREDENTIALS}."
        )
    if code in _WRONG_REGION:
        return StorageError(f"The bucket {bucket!r} is in another region ({code}). Set AWS_DEFAULT_REGION to it.")
    if code == _SKEWED:
        return AccessDeniedError(f"The clock of this machine is not that of S3{at} ({code}). Let it keep time by NTP.")
    if code in _FULL or status == _INSUFFICIENT_STORAGE:
        return StorageError(f"S3{at} is full and did not store {where} ({code}). Free space there and try again.")
    if code in _BUSY or status >= 500:
        return UnavailableError(f"S3{at} could not serve {where} ({code or status}), also when asked again. Try later.")
    if status in _REDIRECTS:
        return StorageError(
            f"S3{at} answered with a redirect ({code}) for {where}. It is not followed, since the credentials are for "
            f"this server only. {_ENDPOINT}, and AWS_DEFAULT_REGION."
        )
    reason = error.response.get("Error", {}).get("Message") or f"HTTP status {status}"
    return StorageError(f"S3{at} refused {where}: {code}: {printable(reason)}")


def printable(text: object) -> str:
    """Return what a server said as messages may show it."""
    return "".join(one if one.isprintable() else "?" for one in str(text)[:_SHOWN])


def _failure(error: "BotoCoreError", where: str, at: str) -> RegistryError:
    import botocore.exceptions as botocore_errors

    if isinstance(error, botocore_errors.FlexibleChecksumError | botocore_errors.ChecksumError):
        return IntegrityError(f"The bytes of {where} do not have the checksum that S3 keeps of them.")
    if isinstance(error, botocore_errors.NoCredentialsError | botocore_errors.PartialCredentialsError):
        return AccessDeniedError(f"There are no credentials for {where}. {_CREDENTIALS}.")
    if isinstance(error, botocore_errors.ProfileNotFound | botocore_errors.ConfigParseError):
        return StorageError(f"The AWS configuration for {where} cannot be used ({error}). Check AWS_PROFILE.")
    if isinstance(error, botocore_errors.CredentialRetrievalError | botocore_errors.TokenRetrievalError):
        return AccessDeniedError(
            f"The credentials for {where} could not be fetched ({type(error).__name__}). {_CREDENTIALS}."
        )
    unreachable = botocore_errors.ConnectionError, botocore_errors.HTTPClientError, botocore_errors.IncompleteReadError
    if isinstance(error, unreachable):
        return UnavailableError(f"S3{at} cannot be reached for {where} ({type(error).__name__}). {_ENDPOINT}.")
    return StorageError(f"S3{at} failed for {where} ({type(error).__name__}): {error}")
