"""Hashes streams, and compares files with their manifest entries.

Guarantees: a digest is computed from the bytes that were read or written, in the same pass.
"""

import hashlib
from collections.abc import Callable, Iterator
from typing import Final, Protocol

from registry.entities.manifest import ManifestEntry
from registry.exceptions import IntegrityError

CHUNK: Final = 1024 * 1024

Advance = Callable[[int], None]
"""Told of bytes that have moved; a progress bar listens."""


class Readable(Protocol):
    """A source of bytes: a file, or the body of a response."""

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes; ``b""`` at the end."""


class Writable(Protocol):
    """A sink of bytes."""

    def write(self, data: bytes, /) -> object:
        """Write all of `data`."""


def chunks(stream: Readable) -> Iterator[bytes]:
    """Yield the rest of a stream in chunks of at most 1 MiB."""
    while chunk := stream.read(CHUNK):
        yield chunk


def hash_stream(path: str, stream: Readable) -> ManifestEntry:
    """Return the manifest entry of the rest of a stream."""
    digest, size = hashlib.sha256(), 0
    for chunk in chunks(stream):
        digest.update(chunk)
        size += len(chunk)
    return ManifestEntry(path, size, digest.hexdigest())


def copy_stream(path: str, source: Readable, target: Writable, advance: Advance) -> ManifestEntry:
    """Copy the rest of `source` to `target`; return the manifest entry of the copied bytes."""
    digest, size = hashlib.sha256(), 0
    for chunk in chunks(source):
        target.write(chunk)
        digest.update(chunk)
        size += len(chunk)
        advance(len(chunk))
    return ManifestEntry(path, size, digest.hexdigest())


def check_entry(expected: ManifestEntry, actual: ManifestEntry, root: str) -> None:
    """Compare a file with its manifest entry.

    Raises:
        IntegrityError: Size or digest differ.
    """
    if actual != expected:
        raise IntegrityError(
            f"{root}/{expected.path} is not what was recorded: expected {expected.size} bytes with SHA-256 "
            f"{expected.sha256}, found {actual.size} bytes with SHA-256 {actual.sha256}."
        )


def missing(expected: ManifestEntry, root: str) -> IntegrityError:
    """Return the error for a missing file of a manifest."""
    return IntegrityError(
        f"{root}/{expected.path} is missing: expected {expected.size} bytes with SHA-256 {expected.sha256}."
    )
