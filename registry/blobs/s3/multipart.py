"""One multipart upload, from creation to completion or abort.

Guarantees: an upload that does not complete is aborted, so its parts cost nothing.
"""

import base64
import hashlib
import logging
import mimetypes
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from registry.blobs.s3.conditional_writes import Write, conditionally
from registry.blobs.s3.errors import error_code
from registry.blobs.s3.truncated_responses import require_field

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

_COMPRESSED: Final = {"gzip": "application/gzip", "bzip2": "application/x-bzip2", "xz": "application/x-xz"}
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Part:
    """A part that S3 has: its number from 1, its ETag, and the SHA-256 of its bytes."""

    number: int
    etag: str
    digest: bytes

    def as_completed(self) -> "CompletedPartTypeDef":
        """Return the part in the form of CompleteMultipartUpload."""
        return {"PartNumber": self.number, "ETag": self.etag, "ChecksumSHA256": encoded(self.digest)}


def encoded(digest: bytes) -> str:
    """Encode a checksum as S3 writes it."""
    return base64.b64encode(digest).decode()


def composite(parts: list[Part]) -> str:
    """Return the checksum that S3 keeps of an object made of parts: the digest of their digests, and their number."""
    return f"{encoded(hashlib.sha256(b''.join(part.digest for part in parts)).digest())}-{len(parts)}"


def described(key: str) -> dict[str, Any]:
    """Return the request parameters for the content type of a key."""
    kind, encoding = mimetypes.guess_type(key)
    # With Content-Encoding readers would unpack the bytes on their way, and their digest would not be that of the file.
    return {"ContentType": (_COMPRESSED.get(encoding) if encoding else kind) or "application/octet-stream"}


@contextmanager
def multipart_upload(write: Write, key: str) -> Iterator["MultipartUpload"]:
    """Begin an upload; abort it if the block raises."""
    bucket = write.bucket
    answer = bucket.client.create_multipart_upload(
        Bucket=bucket.name, Key=key, ChecksumAlgorithm="SHA256", **described(key), **write.metadata
    )
    upload = MultipartUpload(write, key, require_field(answer, "UploadId", bucket, key))
    try:
        yield upload
    except BaseException:
        upload.abort()
        raise


class MultipartUpload:
    """The parts of one object. `send` and `copy` are thread-safe."""

    def __init__(self, write: Write, key: str, upload_id: str) -> None:
        self._write = write
        self._client = write.bucket.client
        self._key = key
        self._named: dict[str, Any] = {"Bucket": write.bucket.name, "Key": key, "UploadId": upload_id}

    def send(self, number: int, body: bytearray) -> Part:
        """Send one part. S3 refuses it if the checksum differs."""
        digest = hashlib.sha256(body).digest()
        answer = self._client.upload_part(
            **self._named,
            PartNumber=number,
            Body=cast(bytes, body),  # boto3 takes a bytearray, its stubs do not know
            ChecksumAlgorithm="SHA256",
            ChecksumSHA256=encoded(digest),
        )
        self._write.advance(len(body))
        return Part(number, require_field(answer, "ETag", self._write.bucket, self._key), digest)

    def copy(self, number: int, source: dict[str, Any], digest: bytes) -> tuple[Part, str | None]:
        """Let S3 copy a range of another object; return the part, and S3's checksum of it if S3 gives one."""
        answer = self._client.upload_part_copy(**self._named, PartNumber=number, **source)
        copied = require_field(answer, "CopyPartResult", self._write.bucket, self._key)
        etag = require_field(copied, "ETag", self._write.bucket, self._key)
        return Part(number, etag, digest), copied.get("ChecksumSHA256")

    def complete(self, parts: list[Part], *, checksums: bool = True) -> None:
        """Make the object appear. With `checksums`, S3 compares the digest of every part."""
        listed = [part.as_completed() for part in parts]
        if not checksums:
            listed = [{"PartNumber": part.number, "ETag": part.etag} for part in parts]
        conditionally(
            self._write,
            self._key,
            lambda: self._client.complete_multipart_upload(
                **self._named, MultipartUpload={"Parts": listed}, **self._write.condition
            ),
        )

    def abort(self) -> None:
        """Discard the parts. A failure is only logged, because the error that led here matters more."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            self._client.abort_multipart_upload(**self._named)
        except (BotoCoreError, ClientError) as error:
            if isinstance(error, ClientError) and error_code(error) == "NoSuchUpload":
                return
            _logger.warning(
                "The unfinished upload %s of s3://%s/%s could not be aborted (%s); a lifecycle rule of the bucket "
                "(AbortIncompleteMultipartUpload) removes its parts.",
                self._named["UploadId"],
                self._write.bucket.name,
                self._key,
                type(error).__name__,
            )
