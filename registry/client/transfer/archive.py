"""Writes and reads exported files: uncompressed ZIP archives, written atomically and validated before use.

Layout: ``registry-export.json`` (see `export_manifest`), then ``files/<sha256>``, each distinct file once, named by the
SHA-256 of its bytes.

Guarantees:
- no name in an archive is ever used as a path;
- nothing that is read is longer than the archive itself;
- a file is handed out only under the digest of its bytes.
"""

import contextlib
import hashlib
import os
import re
import secrets
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from registry.entities import Manifest
from registry.exceptions import ArtifactNotFoundError, IntegrityError, PathExistsError, RegistryError, disk_error

MANIFEST: Final = "registry-export.json"
MAX_MANIFEST: Final = 512 * 1024 * 1024
_FILE: Final = re.compile(r"files/([0-9a-f]{64})")
_CHUNK: Final = 1024 * 1024
_DATE: Final = (1980, 1, 1, 0, 0, 0)
_ENCRYPTED: Final = 0x1
_BROKEN: Final = (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError)


class Blob(Protocol):
    """A file's size in bytes and the SHA-256 of its bytes."""

    @property
    def size(self) -> int:
        """Return the number of bytes."""

    @property
    def sha256(self) -> str:
        """Return the digest in lower-case hex."""


class ArchiveWriter:
    """An archive being written; use `create_archive`."""

    def __init__(self, file: zipfile.ZipFile, manifest: bytes) -> None:
        self._file = file
        self._digests: set[str] = set()
        file.writestr(_entry(MANIFEST, len(manifest)), manifest)

    def add(self, blob: Blob, stream: BinaryIO, shown: str) -> None:
        """Add a file, unless its bytes are in the archive; `shown` names it in errors.

        Raises:
            IntegrityError: Size or digest differ from the recorded ones.
        """
        if blob.sha256 in self._digests:
            return
        self._digests.add(blob.sha256)
        digest, size = hashlib.sha256(), 0
        with self._file.open(_entry(f"files/{blob.sha256}", blob.size), "w", force_zip64=True) as target:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
                target.write(chunk)
        _compare(blob, digest.hexdigest(), size, shown)

    def has(self, blob: Blob) -> bool:
        """Tell whether these bytes are in the archive."""
        return blob.sha256 in self._digests


@contextlib.contextmanager
def create_archive(path: Path, manifest: bytes) -> Iterator[ArchiveWriter]:
    """Create an archive that appears at `path` when the block ends, or not at all if the block raises.

    Raises:
        PathExistsError: The path exists.
        StorageError: The file cannot be written.
    """
    if os.path.lexists(path):
        raise PathExistsError(f"{str(path)!r} exists already; give another file name, or remove it.")
    with disk_errors(path, "written"):
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        # The umask decides who may read it, as for every file that is asked for by name.
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            with os.fdopen(handle, "wb") as file:
                with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
                    yield ArchiveWriter(archive, manifest)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


class ArchiveReader:
    """An archive whose table of contents was validated; use `open_archive`."""

    def __init__(self, path: Path, file: zipfile.ZipFile, size: int) -> None:
        self._path = path
        self._file = file
        self._entries = _validate_entries(path, file, size)

    def manifest(self) -> bytes:
        """Return the content of ``registry-export.json``.

        Raises:
            IntegrityError: It is damaged, or longer than MAX_MANIFEST.
        """
        entry = self._entries[MANIFEST]
        if entry.file_size > MAX_MANIFEST:
            raise self._fault(f"{MANIFEST} has {entry.file_size} bytes; at most {MAX_MANIFEST} are read")
        with self._open(entry) as stream:
            return stream.read()

    def check_contents(self, blobs: Iterable[Blob]) -> None:
        """Check that the archive holds exactly these files, with these sizes.

        Raises:
            IntegrityError: A file is missing, has another size, or is not named.
        """
        required = {f"files/{blob.sha256}": blob.size for blob in blobs}
        for name, size in required.items():
            entry = self._entries.get(name)
            if entry is None:
                raise self._fault(f"{name} is missing")
            if entry.file_size != size:
                raise self._fault(f"{name} has {entry.file_size} bytes instead of {size}")
        extra = sorted(self._entries.keys() - required.keys() - {MANIFEST})
        if extra:
            raise self._fault(f"nothing in its manifest names {extra[0]}")

    def read(self, blob: Blob) -> Iterator[bytes]:
        """Yield the bytes of a file in chunks, the last one only after size and digest were checked.

        Raises:
            IntegrityError: They differ.
        """
        digest, size, last_chunk = hashlib.sha256(), 0, b""
        with self._open(self._entries[f"files/{blob.sha256}"]) as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
                if last_chunk:
                    yield last_chunk
                last_chunk = chunk
        _compare(blob, digest.hexdigest(), size, f"files/{blob.sha256} of {str(self._path)!r}")
        if last_chunk:
            yield last_chunk

    @contextlib.contextmanager
    def extract(self, manifest: Manifest) -> Iterator[Path]:
        """Extract the files of a validated manifest to a new local directory, which is removed when the block ends.

        Raises:
            IntegrityError: A file differs from the manifest, or two files have one path.
        """
        with tempfile.TemporaryDirectory(prefix="registry-") as temporary:
            directory = Path(temporary, "model")
            with disk_errors(directory, "written"):
                directory.mkdir()
                for entry in manifest.entries:
                    self._extract(directory, entry.path, entry)
            yield directory

    def _extract(self, directory: Path, path: str, blob: Blob) -> None:
        target = directory.joinpath(*path.split("/"))
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as file:
                for chunk in self.read(blob):
                    file.write(chunk)
        except (FileExistsError, NotADirectoryError) as error:
            raise self._fault(f"its manifest has two files at {path!r}") from error

    @contextlib.contextmanager
    def _open(self, entry: zipfile.ZipInfo) -> Iterator[BinaryIO]:
        try:
            with self._file.open(entry) as stream:
                yield stream  # type: ignore[misc]  # typeshed has IO[bytes]
        except _BROKEN as error:
            raise self._fault(f"{entry.filename} cannot be read: {error}") from error

    def _fault(self, reason: str) -> IntegrityError:
        return _fault(self._path, reason)


@contextlib.contextmanager
def open_archive(path: Path) -> Iterator[ArchiveReader]:
    """Open an archive for reading and validate its table of contents.

    Raises:
        ArtifactNotFoundError: There is no such file.
        IntegrityError: It is not an exported file.
        StorageError: It cannot be read.
    """
    with disk_errors(path, "read"):
        try:
            file = path.open("rb")
        except FileNotFoundError as error:
            raise ArtifactNotFoundError(f"There is no file {str(path)!r}.") from error
        with file:
            try:
                archive = zipfile.ZipFile(file)
            except _BROKEN as error:
                raise _fault(path, f"it is not a ZIP archive: {error}") from error
            with archive:
                yield ArchiveReader(path, archive, os.fstat(file.fileno()).st_size)


def _validate_entries(path: Path, file: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    entries: dict[str, zipfile.ZipInfo] = {}
    for entry in file.infolist():
        name = entry.filename
        if name != entry.orig_filename or (name != MANIFEST and not _FILE.fullmatch(name)):
            raise _fault(path, f"it has {entry.orig_filename!r:.200}; only {MANIFEST} and files/<sha256> are allowed")
        if name in entries:
            raise _fault(path, f"it has {name} twice")
        if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
            raise _fault(path, f"{name} is compressed; exports are not")
        if entry.flag_bits & _ENCRYPTED:
            raise _fault(path, f"{name} is encrypted; exports are not")
        entries[name] = entry
    if MANIFEST not in entries:
        raise _fault(path, f"it has no {MANIFEST}")
    # Entries are uncompressed, so only overlapping ones could be longer together than the archive.
    if sum(entry.file_size for entry in entries.values()) > size:
        raise _fault(path, "its files are longer than the archive itself")
    return entries


def _entry(name: str, size: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _DATE)
    entry.external_attr = 0o600 << 16
    entry.file_size = size
    return entry


def _compare(blob: Blob, sha256: str, size: int, shown: str) -> None:
    if (sha256, size) != (blob.sha256, blob.size):
        raise IntegrityError(
            f"{shown} is not what was recorded: expected {blob.size} bytes with SHA-256 {blob.sha256}, found {size} "
            f"bytes with SHA-256 {sha256}."
        )


def _fault(path: Path, reason: str) -> IntegrityError:
    return IntegrityError(f"{str(path)!r} is not a complete export of a registered model: {reason}.")


@contextlib.contextmanager
def disk_errors(path: Path, what: str) -> Iterator[None]:
    """Map errors of the operating system to ours; `what` (``written``, ``read``) could not be done with the path."""
    try:
        yield
    except RegistryError:
        raise
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise disk_error(f"{str(path)!r} cannot be {what}: {reason}.", error) from error
