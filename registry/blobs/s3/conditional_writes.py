"""Writes an object once: sends ``If-None-Match`` and interprets a refusal.

Guarantees: a write that is `once` never replaces an object. If the response was lost, we recognise our own object by
its marker.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from registry.blobs.digests import Advance
from registry.blobs.s3.bucket import Bucket
from registry.blobs.s3.errors import error_code, is_missing, status_code
from registry.blobs.s3.truncated_responses import head_object
from registry.exceptions import PathExistsError

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

_MARK: Final = "registry-write"


class ConflictingWriteError(Exception):
    """S3 answered ConditionalRequestConflict: the whole object must be sent again. Never leaves `blobs.s3`."""


@dataclass(frozen=True)
class Write:
    """The way to write objects: `once` refuses to replace one, and marks ours so that we recognise it."""

    bucket: Bucket
    once: bool
    advance: Advance
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def condition(self) -> dict[str, Any]:
        """Return the request parameters that refuse to replace an object."""
        return {"IfNoneMatch": "*"} if self.once and self.bucket.is_conditional else {}

    @property
    def is_guarded(self) -> bool:
        """Tell whether a request alone replaces nothing that it must not replace."""
        return not self.once or bool(self.condition)

    @property
    def metadata(self) -> dict[str, Any]:
        """Return the request parameters that set the marker."""
        return {"Metadata": {_MARK: self.mark}} if self.once else {}


def conditionally(write: Write, key: str, request: Callable[[], object]) -> None:
    """Send the request that makes an object appear, and interpret a refusal.

    Raises:
        PathExistsError: Another object is there, not one that this write stored before its response was lost.
        ConflictingWriteError: S3 asks to repeat the upload.
    """
    from botocore.exceptions import ClientError

    if not write.is_guarded and _mark_at(write, key) not in (None, write.mark):
        raise _taken(write, key)
    try:
        request()
    except ClientError as error:
        if status_code(error) == 501 and write.condition:
            write.bucket.give_up_conditions()
            conditionally(write, key, request)
        elif error_code(error) == "ConditionalRequestConflict":
            raise ConflictingWriteError(key) from error
        elif not _done_before(write, key, error):
            raise


def _done_before(write: Write, key: str, error: "ClientError") -> bool:
    """Tell whether the refused request had succeeded in an attempt whose response was lost."""
    occupied = status_code(error) == 412
    if not write.once or not (occupied or error_code(error) == "NoSuchUpload"):
        return False
    if _mark_at(write, key) == write.mark:
        return True
    if occupied:
        raise _taken(write, key) from error
    return False


def _mark_at(write: Write, key: str) -> str | None:
    """Return the marker of the object, ``""`` if it has none, or None if there is no object."""
    from botocore.exceptions import ClientError

    try:
        head = head_object(write.bucket, key, hoped={_MARK: write.mark})
    except ClientError as error:
        if is_missing(error):
            return None
        raise
    return head["Metadata"].get(_MARK, "")


def _taken(write: Write, key: str) -> PathExistsError:
    return PathExistsError(f"s3://{write.bucket.name}/{key} exists already. What is sealed is never replaced.")
