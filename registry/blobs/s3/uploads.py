"""Sending a stream to S3: one request for a small one, parallel parts for a large one, in bounded memory.

Owns cutting and hashing; leaves conditions and aborting to its neighbours. The invariant: what was hashed is the very
buffer that was sent, and S3 verified the checksum of each request.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Final, cast

from registry.blobs.digests import CHUNK, Readable
from registry.blobs.parallel import in_order
from registry.blobs.s3.answers import head_object
from registry.blobs.s3.bucket import Bucket
from registry.blobs.s3.conditions import ConflictingWriteError, Write, conditionally
from registry.blobs.s3.multipart import MultipartUpload, Part, composite, described, encoded, multipart_upload
from registry.blobs.s3.reading import PART, WIDTH
from registry.blobs.s3.retries import ATTEMPTS, pause
from registry.exceptions import IntegrityError, UnavailableError

MAX_PARTS: Final = 10_000
PART_SENT: Final = 5 * 1024 * 1024
"""Bytes of a part, the least that S3 takes: all parts that are on their way are in memory."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What was sent: bytes, SHA-256 in hex, and the checksum that S3 should keep (base64, ``-<parts>`` if of parts).

    `sha256` is empty for parts that are not written `once`: nobody asks for it. `etag` is what S3 answered of an object
    that was sent in one request; None if there was no such answer.
    """

    size: int
    sha256: str
    checksum: str
    etag: str | None = None


def put_stream(write: Write, key: str, size: int, rewound: Callable[[], Readable]) -> Sent:
    """Store a stream as one object; S3 compares each request with its checksum.

    `size` is a guess that decides on the length of parts. `rewound` gives the stream from its beginning; it is called
    again when S3 wants all of it again.

    Raises:
        PathExistsError: the write is `once`, and another object is there.
        IntegrityError: S3 got other bytes than were sent.
    """
    for attempt in range(ATTEMPTS):
        with write.bucket.errors(key):
            try:
                return _put(write, key, rewound(), _part_length(size))
            except ConflictingWriteError:
                pause(attempt)
    raise UnavailableError(
        f"S3 reported conflicting writes to s3://{write.bucket.name}/{key} {ATTEMPTS} times. Someone else writes there."
    )


def check_all_stored(bucket: Bucket, prefix: str, sent: Mapping[str, Sent]) -> None:
    """Compare objects below a prefix with what was sent, by key: those that a listing does not vouch for one by one.

    Raises:
        IntegrityError: the size of one differs, or its checksum.
    """
    with bucket.errors(prefix):
        pages = bucket.client.get_paginator("list_objects_v2").paginate(Bucket=bucket.name, Prefix=prefix)
        listed = {found["Key"]: (found["Size"], found["ETag"]) for page in pages for found in page.get("Contents", ())}
    for key, one in sent.items():
        if one.etag is None or listed.get(key) != (one.size, one.etag):
            check_stored(bucket, key, one)


def check_stored(bucket: Bucket, key: str, sent: Sent) -> None:
    """Compare an object with what was sent, as far as HEAD tells.

    Raises:
        IntegrityError: the size differs, or the checksum that S3 keeps.
    """
    with bucket.errors(key):
        head = head_object(bucket, key, ChecksumMode="ENABLED")
    kept = head.get("ChecksumSHA256", sent.checksum)
    # Some servers leave out how many parts a composite checksum has.
    if head["ContentLength"] != sent.size or kept not in (sent.checksum, sent.checksum.partition("-")[0]):
        raise IntegrityError(
            f"s3://{bucket.name}/{key} is not what was sent: expected {sent.size} bytes with checksum {sent.checksum}, "
            f"found {head['ContentLength']} bytes with checksum {kept}."
        )


def _part_length(size: int) -> int:
    return PART if size <= PART else max(PART_SENT, -(-size // MAX_PARTS))


def _put(write: Write, key: str, stream: Readable, length: int) -> Sent:
    parts = _parts(stream, length)
    held = list(islice(parts, 2))
    if len(held) < 2:
        return _put_whole(write, key, held[0] if held else bytearray())
    with multipart_upload(write, key) as upload:
        return _send_parts(upload, _drained(held, parts), max(1, WIDTH * PART_SENT // length), hashed=write.once)


def _put_whole(write: Write, key: str, body: bytearray) -> Sent:
    digest = hashlib.sha256(body)
    checksum = encoded(digest.digest())
    bucket, etags = write.bucket, list[str | None]()

    def put() -> None:
        answer = bucket.client.put_object(
            Bucket=bucket.name,
            Key=key,
            Body=cast(bytes, body),  # boto3 takes a bytearray, its stubs do not know
            ChecksumAlgorithm="SHA256",
            ChecksumSHA256=checksum,
            **described(key),
            **write.metadata,
            **write.condition,
        )
        etags.append(answer.get("ETag"))

    conditionally(write, key, put)
    write.advance(len(body))
    return Sent(len(body), digest.hexdigest(), checksum, etags[0] if etags else None)


def _send_parts(upload: MultipartUpload, bodies: Iterator[bytearray], width: int, *, hashed: bool) -> Sent:
    digest, size = hashlib.sha256(), 0

    def tasks() -> Iterator[Callable[[], Part]]:
        nonlocal size
        for number, body in enumerate(bodies, 1):
            if hashed:
                digest.update(body)
            size += len(body)
            yield partial(upload.send, number, body)

    parts = list(in_order(tasks(), width=width))
    upload.complete(parts)
    return Sent(size, digest.hexdigest() if hashed else "", composite(parts))


def _parts(stream: Readable, length: int) -> Iterator[bytearray]:
    while part := _read_part(stream, length):
        yield part


def _read_part(stream: Readable, length: int) -> bytearray:
    # A bytearray, because botocore joins bytes with the head of the request: a second copy of every part.
    part = bytearray()
    while len(part) < length and (chunk := stream.read(min(CHUNK, length - len(part)))):
        part += chunk
    return part


def _drained(held: list[bytearray], rest: Iterator[bytearray]) -> Iterator[bytearray]:
    while held:
        yield held.pop(0)  # what was sent is not kept in memory
    yield from rest
