"""Stores, seals, fetches and caches bytes in a local directory or on S3. Knows no SQL and no model format.

boto3 is imported when the first S3 root is opened.
"""

import sys
from pathlib import Path

from registry.blobs.adopted import AdoptedBlobStore, explain_adopted
from registry.blobs.append_only import AppendOnlyFiles, WritableFiles
from registry.blobs.cache import ModelCache
from registry.blobs.local import LocalBlobStore
from registry.blobs.options import S3Options
from registry.blobs.protocol import BlobStore, Range, Stamp
from registry.exceptions import InvalidUriError
from registry.uris import S3Uri, parse_location

__all__ = [
    "AdoptedBlobStore",
    "AppendOnlyFiles",
    "BlobStore",
    "ModelCache",
    "Range",
    "S3Options",
    "Stamp",
    "WritableFiles",
    "close_connections",
    "explain_adopted",
    "open_blob_store",
]


def open_blob_store(root: str, *, s3: S3Options | None = None) -> BlobStore:
    """Return the store for a root: an absolute local path, a ``file:`` URI, or ``s3://bucket/prefix``.

    `s3` says how to reach S3; by default boto3's settings apply (``AWS_ENDPOINT_URL``, then Amazon). Nothing is
    contacted yet.

    Raises:
        InvalidUriError: `root` has none of these forms.
    """
    location = parse_location(root)
    if isinstance(location, S3Uri):
        from registry.blobs.s3 import S3BlobStore

        return S3BlobStore(location, s3)
    path = Path(location.path)
    if not path.is_absolute():
        raise InvalidUriError(
            f"Invalid artifact location: {root!r} is not absolute. Use {str(path.absolute())!r}, or s3://bucket/prefix."
        )
    return LocalBlobStore(path)


def close_connections() -> None:
    """Close the connections to object stores; the next request opens new ones."""
    if clients := sys.modules.get("registry.blobs.s3.clients"):  # without it nothing was ever connected
        clients.close_connections()
