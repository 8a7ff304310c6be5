"""Uploads a stream to S3: one request if small, parallel parts if large, in bounded memory.

Guarantees: the hashed buffer is the one that was sent, and S3 verified the checksum of each request.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from io import RawIOBase
from itertools import chain
from queue import Empty, SimpleQueue
from typing import BinaryIO, Final, cast

from registry.blobs.digests import CHUNK
from registry.blobs.parallel import in_order
from registry.blobs.s3.bucket import Bucket
from registry.blobs.s3.conditional_writes import ConflictingWriteError, Write, conditionally
from registry.blobs.s3.errors import ATTEMPTS, pause
from registry.blobs.s3.listing_pages import all_objects
from registry.blobs.s3.multipart import MultipartUpload, Part, composite, described, encoded, multipart_upload
from registry.blobs.s3.read import PART
from registry.blobs.s3.truncated_responses import head_object
from registry.exceptions import AccessDeniedError, IntegrityError, UnavailableError

MAX_PARTS: Final = 10_000
UNDER_WAY: Final = 6 * PART
"""Bytes of one file that are sent at the same time: they are in memory."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A sent object: bytes, SHA-256 in hex, and the checksum that S3 should keep (base64, with ``-<parts>`` for parts).

    `sha256` is empty for parts that are not written `once`, because no caller needs it. `etag` is the one in S3's
    response to an object that was sent in one request, else None.
    """

    size: int
    sha256: str
    checksum: str
    etag: str | None = None


def put_stream(write: Write, key: str, size: int, rewound: Callable[[], BinaryIO]) -> Sent:
    """Upload a stream as one object; S3 verifies the checksum of each request.

    `size` is an estimate that decides the length of parts. `rewound` returns the stream from its beginning, and is
    called again if S3 asks for a repetition.

    Raises:
        PathExistsError: The write is `once`, and the key exists.
        IntegrityError: S3 received other bytes than were sent.
    """
    for attempt in range(ATTEMPTS):
        with write.bucket.errors(key):
            try:
                return _put(write, key, rewound(), size)
            except ConflictingWriteError:
                pause(attempt)
    raise UnavailableError(
        f"S3 reported conflicting writes to s3://{write.bucket.name}/{key} {ATTEMPTS} times. Someone else writes there."
    )


def check_all_stored(bucket: Bucket, prefix: str, sent: Mapping[str, Sent]) -> None:
    """Compare objects below a prefix with what was sent, by key: those that no listing vouches for one by one.

    Raises:
        IntegrityError: the size of one differs, or its checksum.
    """
    try:
        listed = {found.key: (found.size, found.etag) for found in all_objects(bucket, prefix)}
    except AccessDeniedError:
        listed = {}
    for key, one in sent.items():
        if one.etag is None or listed.get(key) != (one.size, one.etag):
            check_stored(bucket, key, one)


def check_stored(bucket: Bucket, key: str, sent: Sent) -> None:
    """Compare an object with what was sent, using HEAD.

    Raises:
        IntegrityError: The size or the checksum that S3 keeps differs.
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


class _Parts:
    """The parts of a stream, in buffers that are reused once sent: fresh memory costs time."""

    def __init__(self, stream: BinaryIO, length: int) -> None:
        self._stream = stream
        self._length = length
        self._free: SimpleQueue[bytearray] = SimpleQueue()
        self._ended = False

    def read(self) -> bytearray:
        """Return the next part, empty at the end. A short part is the last one, even if the file has grown since."""
        if self._ended:
            return bytearray()
        try:
            part = self._free.get_nowait()
        except Empty:
            part = bytearray(self._length)
        filled = _filled(part, self._stream)
        self._ended = len(filled) < self._length
        return filled

    def free(self, part: bytearray) -> None:
        """Give back the buffer of a part that is no longer used."""
        if len(part) == self._length:
            self._free.put(part)


def _put(write: Write, key: str, stream: BinaryIO, size: int) -> Sent:
    length = max(PART, -(-size // MAX_PARTS))
    first, parts = _first(stream, size, length), _Parts(stream, length)
    second = parts.read() if len(first) == length else None
    if not second:
        return _put_whole(write, key, first)
    bodies = chain([first, second], iter(parts.read, b""))
    with multipart_upload(write, key) as upload:
        return _send_parts(upload, bodies, parts.free, width=max(1, UNDER_WAY // length), hashed=write.once)


def _first(stream: BinaryIO, size: int, length: int) -> bytearray:
    part = _filled(bytearray(min(size, length)), stream)
    while len(part) < length and (more := stream.read(length - len(part))):
        part += more  # the file has grown
    return part


def _filled(part: bytearray, stream: BinaryIO) -> bytearray:
    """Fill `part` from the stream; shorten it at the end."""
    readinto = cast(RawIOBase, stream).readinto  # typeshed knows no BinaryIO that has it
    filled = 0
    with memoryview(part) as view:
        while filled < len(part):
            with view[filled : filled + CHUNK] as piece:
                read = readinto(piece)
            if not read:
                break
            filled += read
    del part[filled:]
    return part


def _put_whole(write: Write, key: str, body: bytearray) -> Sent:
    digest = hashlib.sha256(body)
    checksum = encoded(digest.digest())
    bucket, etag = write.bucket, None

    def put() -> None:
        nonlocal etag
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
        etag = answer.get("ETag")

    conditionally(write, key, put)
    write.advance(len(body))
    return Sent(len(body), digest.hexdigest(), checksum, etag)


def _send_parts(
    upload: MultipartUpload,
    bodies: Iterable[bytearray],
    free: Callable[[bytearray], None],
    *,
    width: int,
    hashed: bool,
) -> Sent:
    digest, size = hashlib.sha256(), 0

    def send(number: int, body: bytearray) -> Part:
        part = upload.send(number, body)
        free(body)
        return part

    def tasks() -> Iterator[Callable[[], Part]]:
        nonlocal size
        for number, body in enumerate(bodies, 1):
            if hashed:
                digest.update(body)
            size += len(body)
            yield partial(send, number, body)

    parts = list(in_order(tasks(), width=width))
    upload.complete(parts)
    return Sent(size, digest.hexdigest() if hashed else "", composite(parts))
