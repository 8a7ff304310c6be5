"""Responses whose headers were truncated between two lines: HTTP alone cannot tell them from whole ones.

Python takes a connection that ends inside the headers for their end, so a reset there looks like an object without a
length. Guarantee: nothing is concluded from what a response lacks before S3 was asked again.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from registry.blobs.s3.bucket import Bucket
from registry.blobs.s3.errors import ATTEMPTS, pause
from registry.exceptions import UnavailableError

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import HeadObjectOutputTypeDef


def head_object(
    bucket: Bucket, key: str, *, hoped: Mapping[str, str] | None = None, **options: Any
) -> "HeadObjectOutputTypeDef":
    """Return the size, ETag and so on of an object.

    Metadata other than those `hoped` for are believed from the third response on: a value may be truncated too.
    botocore's errors pass; a missing object is one of them.

    Raises:
        UnavailableError: every response was truncated.
    """
    for attempt in range(ATTEMPTS):
        head = bucket.client.head_object(Bucket=bucket.name, Key=key, **options)
        if is_whole(head) and ((hoped or {}).items() <= head["Metadata"].items() or attempt >= 2):
            return head
        pause(attempt)
    raise _incomplete(bucket, key)


def is_whole(answer: Mapping[str, Any]) -> bool:
    """Tell whether a response about an object has its length and version."""
    return "ETag" in answer and answer.get("ContentLength", -1) >= 0


def require_field(answer: Mapping[str, Any], name: str, bucket: Bucket, key: str) -> Any:
    """Return a member of a response.

    Raises:
        UnavailableError: the response was truncated before it.
    """
    if name not in answer:
        raise _incomplete(bucket, key)
    return answer[name]


def _incomplete(bucket: Bucket, key: str) -> UnavailableError:
    return UnavailableError(
        f"S3's responses about s3://{bucket.name}/{key} were cut off. The network or the server is unstable; try later."
    )
