"""Compares a stream with an object that is on S3, by the digests that S3 keeps of it."""

import hashlib
from typing import BinaryIO, Final

from registry.blobs.protocol import Stamp
from registry.blobs.s3.bucket import Bucket
from registry.blobs.s3.multipart import encoded
from registry.blobs.s3.read import PART
from registry.blobs.s3.truncated_responses import head_object

_MAX_PARTS: Final = 10_000


def has_digests(bucket: Bucket, key: str, stamp: Stamp, stream: BinaryIO) -> bool:
    """Tell whether the stream has the bytes of the object with this stamp; False where S3 keeps no digest of it.

    The ETag of an object that was sent in one request is its MD5, unless it is encrypted by a key; our own uploads have
    a SHA-256 of the whole or, for large ones, of the parts.
    """
    length = max(PART, -(-stamp.size // _MAX_PARTS))
    whole, md5, parts = hashlib.sha256(), hashlib.md5(usedforsecurity=False), []
    while part := stream.read(length):
        while len(part) < length and (more := stream.read(length - len(part))):
            part += more
        whole.update(part)
        md5.update(part)
        parts.append(hashlib.sha256(part).digest())
    if stamp.mark.strip('"') == md5.hexdigest():
        return True
    with bucket.errors(key):
        kept = head_object(bucket, key, ChecksumMode="ENABLED").get("ChecksumSHA256")
    composite = encoded(hashlib.sha256(b"".join(parts)).digest())
    return kept is not None and kept.partition("-")[0] in (encoded(whole.digest()), composite)
