"""Reads objects: as a stream that survives broken connections, or into a file by parallel ranges.

Guarantees: all bytes of one read come from one version of the object, because later requests require the first ETag.
"""

import hashlib
import io
import os
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from registry.blobs.digests import CHUNK, Advance
from registry.blobs.parallel import in_order
from registry.blobs.protocol import Range
from registry.blobs.s3.bucket import Bucket
from registry.blobs.s3.errors import ATTEMPTS, malformed, pause
from registry.blobs.s3.truncated_responses import head_object, is_whole
from registry.exceptions import IntegrityError, StorageError, UnavailableError

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef

PART: Final = 8 * 1024 * 1024
WIDTH: Final = 8
_PIECE: Final = 256 * 1024
"""Bytes that each range has in memory at once: more would only be copied out of the processor's own."""


class ObjectStream(io.RawIOBase):
    """An object, or a range of it, read once from beginning to end; resumes where a connection broke.

    With `verified`, botocore compares the whole object with the checksum that S3 keeps; for bytes that no caller
    hashes.
    """

    def __init__(
        self, bucket: Bucket, key: str, *, part: Range | None = None, etag: str | None = None, verified: bool = False
    ) -> None:
        super().__init__()
        self._bucket = bucket
        self._key = key
        self._verified = verified
        self._position = part.start if part else 0
        self._stop = part.stop if part else -1
        self._etag = etag or ""
        self._attempt = 0
        self._body = self._request()

    @property
    def size(self) -> int:
        """Return the number of bytes left to read."""
        return self._stop - self._position

    @property
    def etag(self) -> str:
        """Return the ETag of the version being read."""
        return self._etag

    def readable(self) -> bool:
        """Return True."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return at most `size` bytes, or all that are left; ``b""`` at the end."""
        # Without this, every chunk would be copied three times on its way through `readinto`.
        return self._take(size) if size >= 0 else b"".join(iter(lambda: self._take(CHUNK), b""))

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # typeshed wants any buffer; io passes this
        """Fill the buffer from the next piece of the body; return 0 at the end."""
        data = self._take(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Return the connection to the pool."""
        # There is no body if the first request failed: Python closes every file object that it forgets.
        if not self.closed and hasattr(self, "_body"):
            self._body.close()
        super().close()

    def _take(self, size: int) -> bytes:
        with self._bucket.errors(self._key):
            data = self._piece(size)
        self._position += len(data)
        return data

    def _piece(self, size: int) -> bytes:
        from botocore.exceptions import IncompleteReadError, ReadTimeoutError, ResponseStreamingError

        while True:
            left = self._stop - self._position
            try:
                # At the end one byte more is asked for: botocore compares checksums when the body ends.
                data = self._body.read(min(size, left) or 1) if size else b""
                if data and not left:
                    raise malformed(self._bucket.uri(self._key), "more bytes than it had announced")
                if data or not left or not size:
                    return data
                raise ConnectionError("the body of an answer without a length ended early")
            except (IncompleteReadError, ReadTimeoutError, ResponseStreamingError, ConnectionError) as error:
                self._body.close()
                self._retry(error)
                self._body = self._request()

    def _retry(self, error: Exception) -> None:
        """Wait before another request, or raise if there were too many."""
        self._attempt += 1
        if self._attempt >= ATTEMPTS:
            raise UnavailableError(
                f"S3 broke off s3://{self._bucket.name}/{self._key} {ATTEMPTS} times "
                f"({type(error).__name__}); the network or the server is unstable. Try later."
            ) from error
        pause(self._attempt)

    def _request(self) -> "StreamingBody":
        conditions = self._conditions()
        while not (is_whole(answer := self._ask(conditions)) and self._is_asked_for(answer)):
            answer["Body"].close()
            self._check_size(answer)
            self._retry(ConnectionError("the head of an answer was cut off, or for another range"))
        if self._etag and self._etag != answer["ETag"]:
            answer["Body"].close()
            raise self._changed()
        self._etag = answer["ETag"]
        if self._stop < 0:
            self._stop = answer["ContentLength"]
        return answer["Body"]

    def _is_asked_for(self, answer: "GetObjectOutputTypeDef") -> bool:
        """Whether a response has the range that was asked for: a server may not know ranges, and send all."""
        if self._stop < 0:
            return True
        expected = f"bytes {self._position}-{self._stop - 1}/"
        return self._position == self._stop or answer.get("ContentRange", "").startswith(expected)

    def _check_size(self, answer: "GetObjectOutputTypeDef") -> None:
        """Refuse a range that goes beyond the end of the object, which S3 answers with what there is."""
        size = answer.get("ContentRange", "").rpartition("/")[2]
        if size.isascii() and size.isdigit() and int(size) < self._stop:
            uri = self._bucket.uri(self._key)
            raise StorageError(f"{uri} has {size} bytes, so byte {self._stop - 1} cannot be read.")

    def _ask(self, conditions: dict[str, Any]) -> "GetObjectOutputTypeDef":
        from botocore.exceptions import ClientError

        bucket = self._bucket
        with bucket.errors(self._key):
            try:
                return bucket.client.get_object(Bucket=bucket.name, Key=self._key, **conditions)
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] == 412:
                    raise self._changed() from error
                raise

    def _changed(self) -> StorageError:
        return StorageError(f"{self._bucket.uri(self._key)} was changed while it was read. Read it again.")

    def _conditions(self) -> dict[str, Any]:
        asked: dict[str, Any] = {}
        if self._etag:
            asked["IfMatch"] = self._etag
        if self._stop >= 0:
            asked["Range"] = f"bytes={self._position}-{self._stop - 1}"
        elif self._verified:
            asked["ChecksumMode"] = "ENABLED"
        return asked


def read_object(bucket: Bucket, key: str) -> bytes:
    """Return the bytes of an object, verified by the checksum that S3 keeps."""
    with ObjectStream(bucket, key, verified=True) as stream:
        return stream.read()


def copy_ranges(
    bucket: Bucket, key: str, descriptor: int, advance: Advance, *, hashed: bool, size: int | None = None
) -> tuple[int, str]:
    """Write a large object into an empty open file by many ranges at once; return its size and, if wanted, SHA-256.

    Raises:
        IntegrityError: it is larger than the given `size`.
    """
    with bucket.errors(key):
        head = head_object(bucket, key)
    etag = head["ETag"]
    size = check_size(bucket, key, head["ContentLength"], size)
    tasks = (
        partial(_copy_range, bucket, key, descriptor, Range(start, min(start + PART, size)), etag, advance)
        for start in range(0, size, PART)
    )
    digest, block = hashlib.sha256(), memoryview(bytearray(_PIECE))
    for part in in_order(tasks, width=WIDTH):
        position = part.start
        while hashed and (read := os.preadv(descriptor, [block[: part.stop - position]], position)):
            digest.update(block[:read])
            position += read
    return size, digest.hexdigest() if hashed else ""


def check_size(bucket: Bucket, key: str, found: int, expected: int | None) -> int:
    """Return the size of an object, if it is worth reading to say how it differs: a wrong one may be endless.

    Raises:
        IntegrityError: it is much larger than the expected one.
    """
    if expected is not None and found > max(expected, PART):
        raise IntegrityError(
            f"{bucket.uri(key)} is not what was recorded: expected {expected} bytes, found {found} bytes."
        )
    return found


def _copy_range(bucket: Bucket, key: str, descriptor: int, part: Range, etag: str, advance: Advance) -> Range:
    position = part.start
    with ObjectStream(bucket, key, part=part, etag=etag) as stream:
        while chunk := stream.read(_PIECE):
            _write_at(descriptor, chunk, position)
            position += len(chunk)
            advance(len(chunk))
    return part


def _write_at(descriptor: int, data: bytes, position: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, position)
        view, position = view[written:], position + written
