"""The byte store below a prefix of an S3 bucket: maps paths to keys, and transfers files in parallel.

Guarantees: those of `BlobStore`. Listings are validated like any other input.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar, cast

from registry.blobs.digests import Advance, check_entry, copy_stream, hash_stream, missing
from registry.blobs.directory import Directory
from registry.blobs.local import LocalBlobStore
from registry.blobs.options import S3Options
from registry.blobs.parallel import in_order
from registry.blobs.paths import check_blob_path, check_subtree, join
from registry.blobs.progress import TransferProgress, unwatched
from registry.blobs.protocol import BlobStore, Range, Stamp
from registry.blobs.s3.bucket import Bucket
from registry.blobs.s3.conditional_writes import Write
from registry.blobs.s3.delete import delete_keys, remove_keys, total_key_size
from registry.blobs.s3.errors import is_missing
from registry.blobs.s3.listing import Listing
from registry.blobs.s3.read import PART, WIDTH, ObjectStream, check_size, copy_ranges, read_object
from registry.blobs.s3.server_side_copy import COPY_FROM, copy_object
from registry.blobs.s3.stored_digests import has_digests
from registry.blobs.s3.truncated_responses import head_object
from registry.blobs.s3.upload import Sent, check_all_stored, check_stored, put_stream
from registry.blobs.upload_plan import SourceFile, check_free, filled_whole, local_source, planned, sealed_path
from registry.entities.manifest import Manifest, ManifestEntry
from registry.entities.paging import FileInfo
from registry.exceptions import ArtifactNotFoundError, StorageError
from registry.uris import S3Uri

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import HeadObjectOutputTypeDef

_logger = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")


class S3BlobStore:
    """Bytes below one prefix of a bucket. It keeps nothing open; all stores of a process share clients."""

    def __init__(self, location: S3Uri, options: S3Options | None = None) -> None:
        self._location = location
        self._bucket = Bucket(location.bucket, options)
        self._listing = Listing(self._bucket, location.key)

    @property
    def root(self) -> str:
        """Return ``s3://bucket/prefix``."""
        return str(self._location)

    @property
    def local_directory(self) -> Path | None:
        """Return None: the files are not on this machine."""
        return None

    def list(self, path: str = "") -> list[FileInfo]:
        """List one level below `path`."""
        return self._listing.level(check_subtree(path))

    def walk(self, path: str = "") -> Iterator[FileInfo]:
        """Yield every file at or below `path`."""
        yield from self._listing.files(check_subtree(path))

    def find(self, path: str) -> FileInfo | None:
        """Return the file or directory at `path`, or None."""
        found = self._listing.file(check_blob_path(path))
        if found is None and self._listing.has_below(path):
            return FileInfo(path, is_dir=True, file_size=None)
        return found

    @contextmanager
    def open(self, path: str, part: Range | None = None) -> Iterator[BinaryIO]:
        """Open one file, or a part of it, for reading."""
        with ObjectStream(self._bucket, self._key(path), part=part) as stream:
            # A raw stream reads into what it is given; typeshed knows only the named subclasses as BinaryIO.
            yield cast(BinaryIO, stream)

    def read(self, path: str) -> bytes:
        """Return the bytes of one file."""
        return read_object(self._bucket, self._key(path))

    def read_end(self, path: str, size: int) -> bytes:
        """Return the last bytes of one file, at most `size`."""
        key = self._key(path)
        total = self._head(path)["ContentLength"]
        if total == 0:
            return b""
        with ObjectStream(self._bucket, key, part=Range(max(0, total - size), total)) as stream:
            return stream.read()

    def etag(self, path: str) -> str:
        """Return S3's ETag of one file: it changes when the file is replaced."""
        return str(self._head(path)["ETag"])

    def _head(self, path: str) -> "HeadObjectOutputTypeDef":
        from botocore.exceptions import ClientError

        key = self._key(path)
        with self._bucket.errors(key):
            try:
                return head_object(self._bucket, key)
            except ClientError as error:
                if is_missing(error):
                    raise ArtifactNotFoundError(f"There is no file {self._bucket.uri(key)}.") from error
                raise

    def write(self, path: str, data: bytes) -> None:
        """Write one file atomically."""
        self._put(path, data, once=False)

    def write_once(self, path: str, data: bytes) -> None:
        """Write one file atomically, unless the path exists."""
        self._put(path, data, once=True)

    def upload(self, source: Path, path: str = "", *, follow_symlinks: bool = False) -> None:
        """Store a local file as `path`, or the contents of a local directory below it."""
        files = local_source(source, path, follow_symlinks=follow_symlinks)
        keys = {file.path: self._key(file.path) for file in files}
        with TransferProgress("Uploading", sum(file.size for file in files)) as progress:
            write = Write(self._bucket, once=False, advance=progress.advance)
            _spread(files, lambda file: file.size, lambda file: _put_file(write, keys[file.path], file))

    def download(self, path: str, destination: Path) -> Path:
        """Copy the file or directory at `path` into `destination`."""
        found = list(self.walk(path))
        is_empty = not found and path != "" and self.find(path) is not None
        files = planned(found, path, self.root, may_be_empty=is_empty)
        target = Directory(destination)
        if is_empty:
            target.make(path)
        with TransferProgress("Downloading", sum(_size(file) for file in files)) as progress:
            _spread(files, _size, lambda file: self._download_file(file, target, progress.advance))
        return destination / path if path else destination

    def seal(self, source: Path) -> Manifest:
        """Store the contents of a local directory below the root, once."""
        return self.seal_from(LocalBlobStore(source))

    def seal_from(self, source: BlobStore, path: str = "") -> Manifest:
        """Copy the files at or below `path` of another store, once."""
        files = planned(source.walk(path), path, source.root)
        keys = {file.path: self._key(sealed_path(path, file.path)) for file in files}
        check_free(self)
        with TransferProgress("Uploading", sum(_size(file) for file in files)) as progress:
            write = Write(self._bucket, once=True, advance=progress.advance)

            def seal_one(file: FileInfo) -> tuple[str, Sent]:
                return file.path, self._copy_in(write, keys[file.path], source, file)

            sealed = _spread(files, _size, seal_one)
        check_all_stored(self._bucket, self._location.key, {keys[found]: sent for found, sent in sealed})
        return Manifest.of(ManifestEntry(sealed_path(path, found), sent.size, sent.sha256) for found, sent in sealed)

    def manifest(self) -> Manifest:
        """Read and hash every file below the root."""
        tasks = (partial(self._hash, file.path) for file in self.walk())
        return Manifest.of(in_order(tasks, width=WIDTH))

    def fetch(self, manifest: Manifest, destination: Path) -> None:
        """Download exactly the files of a manifest into an empty directory, each checked by its digest."""
        with filled_whole(destination) as target, TransferProgress("Downloading", manifest.size) as progress:
            _spread(
                manifest.entries,
                lambda entry: entry.size,
                lambda entry: self._fetch_file(entry, target, progress.advance),
            )

    def stamps(self) -> dict[str, Stamp]:
        """Return a stamp of every file; its mark is its ETag."""
        return self._listing.stamps()

    def has_same(self, path: str, stamp: Stamp, source: BlobStore) -> bool:
        """Compare what S3 says of its object with the ETag of another, or with the digests of a file."""
        if isinstance(source, S3BlobStore):
            return stamp.mark != "" and source._listing.stamp(path) == stamp
        with source.open(path) as stream:
            return has_digests(self._bucket, self._key(path), stamp, stream)

    def copy_from(self, source: BlobStore, files: Mapping[str, Stamp]) -> int:
        """Copy files of another store, replacing what is there."""
        infos = [FileInfo(path, is_dir=False, file_size=stamp.size) for path, stamp in files.items()]
        write = Write(self._bucket, once=False, advance=unwatched)

        def copy_one(file: FileInfo) -> int:
            with suppress(ArtifactNotFoundError):
                return self._copy_in(write, self._key(file.path), source, file).size
            return 0

        return sum(_spread(infos, _size, copy_one))

    def delete(self, paths: Iterable[str]) -> None:
        """Remove files."""
        delete_keys(self._bucket, (self._key(path) for path in paths))

    def total_size(self, path: str) -> int:
        """Return the bytes of all files at or below `path`, with the parts of unfinished uploads."""
        return total_key_size(self._bucket, self._key(path))

    def purge(self, path: str) -> None:
        """Remove everything at or below `path`, with unfinished uploads."""
        remove_keys(self._bucket, self._key(path))

    def _put(self, path: str, data: bytes, *, once: bool) -> None:
        write = Write(self._bucket, once=once, advance=unwatched)
        sent = put_stream(write, self._key(path), len(data), lambda: BytesIO(data))
        if once:
            check_stored(self._bucket, self._key(path), sent)

    def _key(self, path: str) -> str:
        key = join(self._location.key, check_blob_path(path))
        return key if not self._location.key else check_blob_path(key, "key")

    def _download_file(self, file: FileInfo, target: Directory, advance: Advance) -> None:
        with target.create(file.path, sync=False) as copy:
            self._copy_out(file.path, _size(file), copy, advance)

    def _fetch_file(self, entry: ManifestEntry, target: Directory, advance: Advance) -> None:
        with target.create(entry.path, exclusive=True, sync=False) as copy:
            try:
                actual = self._copy_out(entry.path, entry.size, copy, advance, sealed=True)
            except ArtifactNotFoundError as error:
                raise missing(entry, self.root) from error
            check_entry(entry, actual, self.root)

    def _copy_out(
        self, path: str, size: int, copy: BinaryIO, advance: Advance, *, sealed: bool = False
    ) -> ManifestEntry:
        """Write an object to a local file, by many ranges if it should be large; return what was written.

        A `sealed` file must have that very size, and the caller compares its digest. Of others nobody asks for the
        digest: S3's own checksum is compared where there is one.
        """
        bucket, key, expected = self._bucket, self._key(path), size if sealed else None
        if size > PART:
            found = copy_ranges(bucket, key, copy.fileno(), advance, hashed=sealed, size=expected)
            return ManifestEntry(path, *found)
        with ObjectStream(bucket, key, verified=not sealed) as stream:
            check_size(bucket, key, stream.size, expected)
            return copy_stream(path, stream, copy, advance)

    def _copy_in(self, write: Write, key: str, source: BlobStore, file: FileInfo) -> Sent:
        if isinstance(source, S3BlobStore) and _size(file) > COPY_FROM and self._shares_server_with(source):
            try:
                return copy_object(write, key, source._bucket, source._key(file.path))
            except StorageError:
                # The server will not copy (two accounts, say), but it may well give the bytes and take them again.
                _logger.info("S3 did not copy %s to %s by itself; its bytes are sent.", file.path, key, exc_info=True)
        with ExitStack() as opened:
            return put_stream(write, key, _size(file), lambda: opened.enter_context(source.open(file.path)))

    def _shares_server_with(self, other: "S3BlobStore") -> bool:
        return self._bucket.endpoint == other._bucket.endpoint

    def _hash(self, path: str) -> ManifestEntry:
        with self.open(path) as stream:
            return hash_stream(path, stream)


def _put_file(write: Write, key: str, file: SourceFile) -> Sent:
    with file.open() as stream:

        def rewound() -> BinaryIO:
            stream.seek(0)
            return stream

        return put_stream(write, key, file.size, rewound)


def _size(file: FileInfo) -> int:
    return file.file_size or 0


def _spread(items: Iterable[T], size: Callable[[T], int], work: Callable[[T], R]) -> list[R]:
    """Transfer small files in parallel, then large ones one by one, because their parts are parallel."""
    held = tuple(items)
    small = (partial(work, item) for item in held if size(item) <= PART)
    done = [*in_order(small, width=WIDTH, ahead=4 * WIDTH)]
    return done + [work(item) for item in held if size(item) > PART]
