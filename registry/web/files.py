"""Send stored files whole or in ranges, as types that a browser runs nothing of.

Guarantees: no more than a chunk of a file is in memory, and no copy of it on disk; of a range only its own bytes are
read. A whole file whose digest is known arrives complete only if it has that digest.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import PurePosixPath
from typing import BinaryIO, Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from registry.blobs import BlobStore, Range, explain_adopted
from registry.exceptions import ArtifactNotFoundError, IntegrityError

_CHUNK: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file at a path of a byte store.

    Attributes:
        name: Its path as pages show it.
        store: Where its bytes are.
        path: Its path there.
        size: Its bytes.
        sha256: The digest that it must have, or None if it may change.
        is_adopted: Whether another program keeps it.
    """

    name: str
    store: BlobStore
    path: str
    size: int
    sha256: str | None = None
    is_adopted: bool = False

    def read(self, limit: int) -> bytes:
        """Return at most the first `limit` bytes; a file that is read whole is compared with its digest.

        Raises:
            IntegrityError: It has another digest.
        """
        return b"".join(self.chunks(None if self.size <= limit else Range(0, limit)))[:limit]

    def chunks(self, part: Range | None = None) -> Iterator[bytes]:
        """Yield the bytes of the file or of a part. The last chunk of a whole file waits for the digest of all.

        Raises:
            ArtifactNotFoundError: The file is gone.
            IntegrityError: It has another digest; not all of it was yielded.
        """
        with explain_adopted(self.store.root, is_adopted=self.is_adopted):
            try:
                with self.store.open(self.path, part) as stream:
                    yield from _chunks(stream) if part or self.sha256 is None else self._checked(stream)
            except ArtifactNotFoundError as error:
                if self.sha256 is None:
                    raise
                raise IntegrityError(f"{self._place} is missing: expected SHA-256 {self.sha256}.") from error

    def _checked(self, stream: BinaryIO) -> Iterator[bytes]:
        digest, held = hashlib.sha256(), b""
        for chunk in _chunks(stream):
            digest.update(chunk)
            if held:
                yield held
            held = chunk
        if digest.hexdigest() != self.sha256:
            raise IntegrityError(
                f"{self._place} is not what was recorded: expected SHA-256 {self.sha256}, found {digest.hexdigest()}."
            )
        yield held

    @property
    def _place(self) -> str:
        return f"{self.store.root}/{self.path}"


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    while chunk := stream.read(_CHUNK):
        yield chunk


def send_file(
    request: Request, file: StoredFile, *, policy: str, media_type: str = "application/octet-stream", inline: bool
) -> Response:
    """Return the answer with a file, or with the range of it that is asked for.

    `policy` is the answer's own Content-Security-Policy. A file that is not `inline` is an attachment, which no browser
    opens. The answer is an error page if the first chunk cannot be read, and breaks off if a later one cannot.
    """
    name = quote(PurePosixPath(file.name).name, safe="")
    headers = {
        "content-security-policy": policy,
        "content-disposition": f"{'inline' if inline else 'attachment'}; filename*=UTF-8''{name}",
        "accept-ranges": "bytes",
        "content-length": str(file.size),
    }
    etag = f'"{file.sha256}"' if file.sha256 else None
    if etag:
        headers["etag"] = etag
    part = parse_range(request.headers.get("range", ""), file.size)
    if request.headers.get("if-range", etag) != etag:  # the client has a part of other bytes
        part = None
    if part is not None and part.start >= part.stop:
        return Response(status_code=416, headers={"content-range": f"bytes */{file.size}"})
    if part is not None:
        headers["content-range"] = f"bytes {part.start}-{part.stop - 1}/{file.size}"
        headers["content-length"] = str(part.stop - part.start)
    status = 200 if part is None else 206
    if request.method == "HEAD":
        return Response(None, status, headers, media_type)
    chunks = file.chunks(part)
    return StreamingResponse(chain([next(chunks, b"")], chunks), status, headers, media_type)


def parse_range(header: str, size: int) -> Range | None:
    """Return the bytes that a Range header asks for, or None if it is ignored: for several ranges, and other units.

    A range outside of the file is empty.
    """
    unit, _, spec = header.partition("=")
    first, dash, last = (text.strip() for text in spec.partition("-"))
    digits = first + last
    if unit.strip().lower() != "bytes" or not dash or not (digits.isascii() and digits.isdigit()) or len(digits) > 40:
        return None
    if not size:  # an empty file has no range, and is sent as it is
        return None
    if not first:
        return Range(max(0, size - int(last)), size)
    if last and int(last) < int(first):
        return None
    return Range(int(first), min(int(last) + 1, size) if last else size)
