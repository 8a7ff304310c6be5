"""Answers that were cut off between two lines of their head, which HTTP cannot tell from whole ones.

Owns what an answer must have to be believed; leaves broken bodies to `reading`. The invariant: nothing is concluded
from what an answer lacks before S3 was asked again.
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
    """What S3 says of an object: its size, ETag and so on.

    That its metadata are not those that are `hoped` for is believed at the third answer: a value may be cut off too.
    botocore's errors pass; a missing object is one of them.

    Raises:
        UnavailableError: no answer was whole.
    """
    for attempt in range(ATTEMPTS):
        head = bucket.client.head_object(Bucket=bucket.name, Key=key, **options)
        if is_whole(head) and ((hoped or {}).items() <= head["Metadata"].items() or attempt >= 2):
            return head
        pause(attempt)
    raise _incomplete(bucket, key)


def is_whole(answer: Mapping[str, Any]) -> bool:
    """Whether an answer about an object says how long it is, and which version."""
    return {"ContentLength", "ETag"} <= answer.keys()


def require_field(answer: Mapping[str, Any], name: str, bucket: Bucket, key: str) -> Any:
    """A member of an answer.

    Raises:
        UnavailableError: it is missing.
    """
    if name not in answer:
        raise _incomplete(bucket, key)
    return answer[name]


def _incomplete(bucket: Bucket, key: str) -> UnavailableError:
    return UnavailableError(
        f"S3's answers about s3://{bucket.name}/{key} were cut off; the network or the server is unstable. Try later."
    )
