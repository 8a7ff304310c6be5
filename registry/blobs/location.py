"""The text that names a root of bytes: a plain local path, a ``file:`` URI or ``s3://bucket/prefix``.

Owns the grammar; leaves opening to `open_blob_store`. The invariant: nothing is percent-decoded or normalised first, so
the root that was read is the root that is used.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from registry.blobs.paths import check_blob_path
from registry.exceptions import InvalidPathError, InvalidUriError

_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):.*", re.DOTALL)
_FILE: Final = re.compile(r"file:(?://(?:localhost)?)?(/[^/].*|/)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class S3Location:
    """A prefix of a bucket; the prefix is ``""`` or a path without slashes around it."""

    bucket: str
    prefix: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}" if self.prefix else f"s3://{self.bucket}"


def parse_location(root: str) -> Path | S3Location:
    """The root that a text names.

    Raises:
        InvalidUriError: the text is none of the known forms.
    """
    if "\0" in root:
        raise InvalidUriError(f"Invalid artifact location: {root!r} has a NUL character.")
    if root.startswith("/"):
        return Path(root)
    scheme = _SCHEME.fullmatch(root)
    if scheme is None:
        raise InvalidUriError(
            f"Invalid artifact location: {root!r} is not absolute. "
            f"Use an absolute path, such as {Path(root).absolute()}, or s3://bucket/prefix."
        )
    if scheme[1] == "file":
        return _parse_file(root)
    if scheme[1] == "s3":
        return _parse_s3(root)
    raise InvalidUriError(
        f"Invalid artifact location: {root!r}. Artifacts are kept in a local directory (an absolute path) or in "
        f"s3://bucket/prefix, not in {scheme[1]!r}."
    )


def _parse_file(uri: str) -> Path:
    if found := sorted(set(uri) & set("%?#")):
        raise InvalidUriError(
            f"Invalid artifact location: {uri!r} has {' '.join(found)}, which readers of file: URIs take differently. "
            "Give the plain path, such as '/data/my artifacts'."
        )
    match = _FILE.fullmatch(uri)
    if match is None:
        raise InvalidUriError(f"Invalid artifact location: {uri!r}. A file: URI has the form file:///absolute/path.")
    return Path(match[1])


def _parse_s3(uri: str) -> S3Location:
    bucket, _, prefix = uri.removeprefix("s3:").removeprefix("//").partition("/")
    if not uri.startswith("s3://") or not _BUCKET.fullmatch(bucket):
        raise InvalidUriError(f"Invalid artifact location: {uri!r} has no valid bucket. Use s3://bucket/prefix.")
    prefix = prefix.removesuffix("/")
    if prefix:
        try:
            check_blob_path(prefix, "prefix")
        except InvalidPathError as error:
            raise InvalidUriError(f"Invalid artifact location: {uri!r}. {error}") from error
    return S3Location(bucket, prefix)
