"""Lists the objects below a prefix of a bucket as paths.

Guarantees: every returned path is valid; a key that is not a valid path is an error, never skipped. Only an empty
object whose key ends in ``/`` (a console's marker) stands for a directory.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from registry.blobs.paths import check_blob_path, join
from registry.blobs.protocol import Stamp
from registry.blobs.s3.bucket import Bucket
from registry.blobs.s3.errors import is_missing
from registry.blobs.s3.listing_pages import checked_key, objects, pages
from registry.blobs.s3.truncated_responses import head_object
from registry.entities.paging import FileInfo
from registry.exceptions import AccessDeniedError


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
                key = checked_key(self.bucket, self._base(path), below.get("Prefix")).removesuffix("/")
                info = FileInfo(self._path(path, key), is_dir=True, file_size=None)
                found[info.path, True] = info
            for info in self._files(path, page):
                found[info.path, False] = info
        return [found[key] for key in sorted(found)]

    def files(self, path: str) -> list[FileInfo]:
        """Return every file at or below `path`, sorted by path.

        A file at `path` is enough where listing is not allowed: the right to get objects has no other way to find it.
        """
        at = self.file(path) if path else None
        try:
            below = [info for page in self._pages(path, "") for info in self._files(path, page)]
        except AccessDeniedError:
            if at is None:
                raise
            below = []
        return sorted([at, *below] if at else below, key=lambda info: info.path)

    def file(self, path: str) -> FileInfo | None:
        """Return the file at `path`, or None."""
        stamp = self.stamp(path)
        return None if stamp is None else FileInfo(path, is_dir=False, file_size=stamp.size)

    def stamps(self) -> dict[str, Stamp]:
        """Return size and ETag of every file below the prefix, by path."""
        return {
            self._path("", found.key): Stamp(found.size, found.etag)
            for page in self._pages("", "")
            for found in objects(self.bucket, self._base(""), page)
            if not (found.key.endswith("/") and found.size == 0)
        }

    def stamp(self, path: str) -> Stamp | None:
        """Return size and ETag of the file at `path`, or None."""
        from botocore.exceptions import ClientError

        key = join(self.prefix, path)
        with self.bucket.errors(key):
            try:
                head = head_object(self.bucket, key)
            except ClientError as error:
                if is_missing(error):
                    return None
                raise
        return Stamp(head["ContentLength"], head.get("ETag", ""))

    def has_below(self, path: str) -> bool:
        """Tell whether there is an object below `path`."""
        with self.bucket.errors(join(self.prefix, path)):
            page = self.bucket.client.list_objects_v2(Bucket=self.bucket.name, Prefix=self._base(path), MaxKeys=1)
        return bool(page.get("Contents"))

    def _pages(self, path: str, delimiter: str) -> Iterator[Mapping[str, Any]]:
        return pages(self.bucket, "list_objects_v2", Prefix=self._base(path), Delimiter=delimiter)

    def _files(self, path: str, page: Mapping[str, Any]) -> Iterator[FileInfo]:
        for found in objects(self.bucket, self._base(path), page):
            if found.key.endswith("/") and found.size == 0:
                continue
            yield FileInfo(self._path(path, found.key), is_dir=False, file_size=found.size)

    def _path(self, path: str, key: str) -> str:
        below = key.removeprefix(self._base(path))
        what = f"key below s3://{self.bucket.name}/{self.prefix}"
        return check_blob_path(f"{path}/{below}" if path else below, what)

    def _base(self, path: str) -> str:
        base = join(self.prefix, path)
        return f"{base}/" if base else ""
