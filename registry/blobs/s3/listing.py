"""Lists the objects below a prefix of a bucket as paths.

Guarantees: every returned path is valid; a key that is not a valid path is an error, never skipped. Only an empty
object whose key ends in ``/`` (a console's marker) stands for a directory.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from registry.blobs.paths import check_blob_path, join
from registry.blobs.s3.bucket import Bucket
from registry.blobs.s3.errors import is_missing
from registry.blobs.s3.truncated_responses import head_object
from registry.entities.paging import FileInfo

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import ListObjectsV2OutputTypeDef


@dataclass(frozen=True, slots=True)
class Listing:
    """The objects below `prefix` of a bucket."""

    bucket: Bucket
    prefix: str

    def level(self, path: str) -> list[FileInfo]:
        """List the files and directories directly below `path`, sorted by path."""
        found: dict[tuple[str, bool], FileInfo] = {}
        for page in self._pages(path, "/"):
            for below in page.get("CommonPrefixes", ()):
                info = FileInfo(self._path(path, below["Prefix"].removesuffix("/")), is_dir=True, file_size=None)
                found[info.path, True] = info
            for info in self._files(path, page):
                found[info.path, False] = info
        return [found[key] for key in sorted(found)]

    def files(self, path: str) -> list[FileInfo]:
        """Every file at or below `path`, sorted by path."""
        at = self.file(path) if path else None
        below = [info for page in self._pages(path, "") for info in self._files(path, page)]
        return sorted([at, *below] if at else below, key=lambda info: info.path)

    def file(self, path: str) -> FileInfo | None:
        """Return the file at `path`, or None."""
        from botocore.exceptions import ClientError

        key = join(self.prefix, path)
        with self.bucket.errors(key):
            try:
                head = head_object(self.bucket, key)
            except ClientError as error:
                if is_missing(error):
                    return None
                raise
        return FileInfo(path, is_dir=False, file_size=head["ContentLength"])

    def has_below(self, path: str) -> bool:
        """Tell whether there is an object below `path`."""
        with self.bucket.errors(join(self.prefix, path)):
            page = self.bucket.client.list_objects_v2(Bucket=self.bucket.name, Prefix=self._base(path), MaxKeys=1)
        return bool(page.get("Contents"))

    def _pages(self, path: str, delimiter: str) -> "Iterator[ListObjectsV2OutputTypeDef]":
        with self.bucket.errors(join(self.prefix, path)):
            pages = self.bucket.client.get_paginator("list_objects_v2")
            yield from pages.paginate(Bucket=self.bucket.name, Prefix=self._base(path), Delimiter=delimiter)

    def _files(self, path: str, page: "ListObjectsV2OutputTypeDef") -> Iterator[FileInfo]:
        for found in page.get("Contents", ()):
            if found["Key"].endswith("/") and found["Size"] == 0:
                continue
            yield FileInfo(self._path(path, found["Key"]), is_dir=False, file_size=found["Size"])

    def _path(self, path: str, key: str) -> str:
        below = key.removeprefix(self._base(path))
        what = f"key below s3://{self.bucket.name}/{self.prefix}"
        return check_blob_path(f"{path}/{below}" if path else below, what)

    def _base(self, path: str) -> str:
        base = join(self.prefix, path)
        return f"{base}/" if base else ""
