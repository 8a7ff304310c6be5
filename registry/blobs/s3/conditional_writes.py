"""Writing an object once: the condition that refuses to replace one, and what a refusal means.

Owns `If-None-Match` and its answers; leaves sending bytes to `uploads` and `copies`. The invariant: an object that was
there before is never replaced by a write that is `once`, and our own object is known again when its answer was lost.
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
    """S3 answered ConditionalRequestConflict: all of the object must be sent again. Never leaves `blobs.s3`."""


@dataclass(frozen=True)
class Write:
    """How objects are written: `once` refuses to replace one, and leaves a mark by which our own is known again."""

    bucket: Bucket
    once: bool
    advance: Advance
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def condition(self) -> dict[str, Any]:
        """The request parameters that refuse to replace an object."""
        return {"IfNoneMatch": "*"} if self.once and self.bucket.is_conditional else {}

    @property
    def is_guarded(self) -> bool:
        """Whether a request by itself replaces nothing that may not be replaced."""
        return not self.once or bool(self.condition)

    @property
    def metadata(self) -> dict[str, Any]:
        """The request parameters that leave the mark."""
        return {"Metadata": {_MARK: self.mark}} if self.once else {}


def conditionally(write: Write, key: str, request: Callable[[], object]) -> None:
    """Make the request that lets an object appear, and judge a refusal.

    Raises:
        PathExistsError: another object is there. One that this very write stored before its answer was lost is not.
        ConflictingWriteError: S3 asks for the upload to be repeated.
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
    """Whether the refused request had been carried out in an attempt whose answer was lost."""
    occupied = status_code(error) == 412
    if not write.once or not (occupied or error_code(error) == "NoSuchUpload"):
        return False
    if _mark_at(write, key) == write.mark:
        return True
    if occupied:
        raise _taken(write, key) from error
    return False


def _mark_at(write: Write, key: str) -> str | None:
    """The mark of the object that is there, ``""`` if it has none; None if there is no object."""
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
