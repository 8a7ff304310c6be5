"""Copies a large object inside S3, while its bytes are read once to hash them.

Guarantees: S3 copies the version that was hashed, because every request requires its ETag.
"""

import hashlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

from registry.blobs.digests import CHUNK
from registry.blobs.parallel import in_order
from registry.blobs.protocol import Range
from registry.blobs.s3.bucket import Bucket
from registry.blobs.s3.conditional_writes import ConflictingWriteError, Write
from registry.blobs.s3.errors import ATTEMPTS, pause
from registry.blobs.s3.multipart import MultipartUpload, Part, composite, encoded, multipart_upload
from registry.blobs.s3.read import ObjectStream
from registry.blobs.s3.upload import Sent
from registry.exceptions import IntegrityError, UnavailableError

COPY_FROM: Final = 8 * 1024 * 1024
"""Smaller objects are sent from memory: their bytes are there, since they were read to be hashed."""
COPY_PART: Final = 128 * 1024 * 1024
"""Bytes of one part; S3 takes up to 5 GiB, but parts are copied side by side."""
WIDTH: Final = 8
MAX_PARTS: Final = 10_000


def copy_object(write: Write, key: str, source: Bucket, source_key: str) -> Sent:
    """Let S3 copy an object in parts.

    Raises:
        PathExistsError: The write is `once`, and the key exists.
        IntegrityError: S3 copied other bytes than were read.
    """
    for attempt in range(ATTEMPTS):
        with write.bucket.errors(key), ObjectStream(source, source_key) as stream:
            try:
                with multipart_upload(write, key) as upload:
                    return _copy_parts(upload, write, source, source_key, stream)
            except ConflictingWriteError:
                pause(attempt)
    raise UnavailableError(f"S3 reported conflicting writes to s3://{write.bucket.name}/{key} {ATTEMPTS} times.")


def _copy_parts(upload: MultipartUpload, write: Write, source: Bucket, source_key: str, stream: ObjectStream) -> Sent:
    size, etag, whole = stream.size, stream.etag, hashlib.sha256()
    length = max(COPY_PART, -(-size // MAX_PARTS))

    def tasks() -> Iterator[Callable[[], tuple[Part, str | None]]]:
        for number, start in enumerate(range(0, size, length), 1):
            part = Range(start, min(start + length, size))
            digest = _hash_part(stream, part, whole, write)
            yield partial(upload.copy, number, _copy_source(source, source_key, etag, part), digest)

    copied = list(in_order(tasks(), width=WIDTH))
    for part, found in copied:
        if found is not None and found != encoded(part.digest):
            raise IntegrityError(
                f"S3 copied other bytes of s3://{source.name}/{source_key} than were read: part {part.number} should "
                f"have the checksum {encoded(part.digest)} and has {found}."
            )
    parts = [part for part, _ in copied]
    upload.complete(parts, checksums=all(found is not None for _, found in copied))
    return Sent(size, whole.hexdigest(), composite(parts))


def _hash_part(stream: ObjectStream, part: Range, whole: "hashlib._Hash", write: Write) -> bytes:
    digest, left = hashlib.sha256(), part.stop - part.start
    while left:
        chunk = stream.read(min(CHUNK, left))
        if not chunk:
            raise UnavailableError("S3 ended an object before its announced length.")
        digest.update(chunk)
        whole.update(chunk)
        left -= len(chunk)
        write.advance(len(chunk))
    return digest.digest()


def _copy_source(source: Bucket, key: str, etag: str, part: Range) -> dict[str, Any]:
    return {
        "CopySource": {"Bucket": source.name, "Key": key},
        "CopySourceIfMatch": etag,
        "CopySourceRange": f"bytes={part.start}-{part.stop - 1}",
    }
