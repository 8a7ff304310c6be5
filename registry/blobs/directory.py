"""Opens, lists and atomically writes files of a local directory by relative path.

Stores, uploads and downloads use it; digests are up to them. Guarantees: no symlink below the root is followed, because
every directory on the way is opened by descriptor with ``O_NOFOLLOW``.
"""

import errno
import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final, cast

from registry.blobs.paths import check_blob_path, check_subtree, is_temporary, join, temporary_name
from registry.blobs.protocol import Range, Stamp
from registry.entities.paging import FileInfo
from registry.exceptions import (
    ArtifactNotFoundError,
    InvalidPathError,
    PathExistsError,
    RegistryError,
    StorageError,
    disk_error,
)

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_ATTEMPTS: Final = 10
_NOT_A_DIRECTORY: Final = (errno.ENOTDIR, errno.ELOOP)  # how O_NOFOLLOW refuses a symlink depends on the system
_NO_HARD_LINKS: Final = (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK)


class Directory:
    """The files below a local directory. The root itself may be reached through symlinks; nothing below it may."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def entries(self, path: str = "") -> list[FileInfo]:
        """List one level below `path`, sorted by path; empty if there is no such directory.

        Raises:
            InvalidPathError: An entry is a symlink, neither file nor directory, or has a name that cannot be stored.
        """
        with self.os_errors(path):
            try:
                descriptor = self._open_directory(check_subtree(path))
            except (ArtifactNotFoundError, FileNotFoundError, NotADirectoryError):
                return []
            infos = []
            try:
                with os.scandir(descriptor) as found:
                    for entry in found:
                        if not is_temporary(entry.name):
                            with suppress(FileNotFoundError):  # it has just been removed
                                infos.append(self._info(path, entry))
            finally:
                os.close(descriptor)
        return sorted(infos, key=lambda info: info.path)

    def files(self, path: str = "") -> Iterator[FileInfo]:
        """Yield every file at or below `path`, sorted by path."""
        found = self.find(path) if path else FileInfo("", is_dir=True, file_size=None)
        if found is None:
            return
        if not found.is_dir:
            yield found
            return
        for entry in sorted(self.entries(path), key=_position):
            if entry.is_dir:
                yield from self.files(entry.path)
            else:
                yield entry

    def empty_directories(self, path: str = "") -> Iterator[str]:
        """Yield every directory at or below `path` that holds nothing, except the root itself."""
        entries = self.entries(path)
        if not entries and path and (found := self.find(path)) is not None and found.is_dir:
            yield path
        for entry in entries:
            if entry.is_dir:
                yield from self.empty_directories(entry.path)

    def make(self, path: str) -> None:
        """Make a directory and those above it, as far as they are missing."""
        with self.os_errors(path):
            os.close(self._open_directory(check_subtree(path), create=True))

    def find(self, path: str) -> FileInfo | None:
        """Return the file or directory at `path`, or None."""
        with self.os_errors(path):
            try:
                with self.parent(path) as (parent, name):
                    status = os.stat(name, dir_fd=parent, follow_symlinks=False)
            except (ArtifactNotFoundError, FileNotFoundError, NotADirectoryError):
                return None
        if stat.S_ISDIR(status.st_mode):
            return FileInfo(path, is_dir=True, file_size=None)
        if stat.S_ISREG(status.st_mode):
            return FileInfo(path, is_dir=False, file_size=status.st_size)
        raise self._refused(path, status.st_mode)

    def stamp(self, path: str) -> Stamp:
        """Return what changes whenever the bytes of a file may have changed."""
        with self.os_errors(path), self.parent(path) as (parent, name):
            status = os.stat(name, dir_fd=parent, follow_symlinks=False)
        return Stamp(status.st_size, f"{status.st_mtime_ns}-{status.st_ino}")

    @contextmanager
    def open(self, path: str, part: Range | None = None) -> Iterator[BinaryIO]:
        """Open a file, or a part of it, for reading.

        Raises:
            ArtifactNotFoundError: There is no file at `path`.
            StorageError: The file ends before the part does.
        """
        with self.os_errors(path), os.fdopen(self._open_file(path), "rb") as file:
            if part is None:
                yield file
                return
            size = os.fstat(file.fileno()).st_size
            if size < part.stop:
                raise StorageError(f"{self.root / path} has {size} bytes, so byte {part.stop - 1} cannot be read.")
            file.seek(part.start)
            # A raw stream reads into what it is given; typeshed knows only the named subclasses as BinaryIO.
            yield cast(BinaryIO, _FilePart(file, part.stop - part.start))

    @contextmanager
    def create(self, path: str, *, exclusive: bool = False, sync: bool = True) -> Iterator[BinaryIO]:
        """Open a file for writing that appears at `path` when the block ends, or not at all if the block raises.

        `sync` forces its bytes to disk first. `exclusive` refuses to replace a file.

        Raises:
            PathExistsError: `exclusive`, and `path` exists.
            InvalidPathError: `path` is a directory, or a file or symlink is in the place of a parent directory.
        """
        with self.os_errors(path), self._begin(path) as (parent, name, temporary, file):
            yield file
            file.flush()
            if sync:
                os.fsync(file.fileno())
            _publish(parent, temporary, name, exclusive=exclusive)

    def sync(self, paths: set[str]) -> None:
        """Force the directories of these files to disk, so that the files survive a power cut."""
        for directory in sorted({_split(path)[0] for path in paths}):
            with self.os_errors(directory):
                descriptor = self._open_directory(directory)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)

    def remove(self, path: str) -> None:
        """Remove a file and the directories that this leaves empty. A missing file is ignored."""
        with self.os_errors(path):
            try:
                with self.parent(path) as (parent, name):
                    os.unlink(name, dir_fd=parent)
            except (ArtifactNotFoundError, FileNotFoundError, NotADirectoryError):
                return
            self.remove_empty(_split(path)[0])

    def remove_empty(self, path: str) -> None:
        """Remove a directory below the root and its parents, as far as they are empty."""
        with suppress(OSError, ArtifactNotFoundError):  # not empty, or gone: the walk upwards ends
            while path:
                with self.parent(path) as (parent, name):
                    os.rmdir(name, dir_fd=parent)
                path = _split(path)[0]

    @contextmanager
    def _begin(self, path: str) -> Iterator[tuple[int, str, str, BinaryIO]]:
        parent, name, temporary, descriptor = self._open_temporary(path)
        try:
            with os.fdopen(descriptor, "w+b") as file:
                yield parent, name, temporary, file
        finally:
            with suppress(FileNotFoundError):  # it was published
                os.unlink(temporary, dir_fd=parent)
            os.close(parent)

    def _open_temporary(self, path: str) -> tuple[int, str, str, int]:
        above, name = _split(check_blob_path(path))
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        for attempt in range(_ATTEMPTS):
            parent = -1
            try:
                parent = self._open_directory(above, create=True)
                temporary = temporary_name()
                return parent, name, temporary, os.open(temporary, flags, 0o666, dir_fd=parent)
            except FileNotFoundError:
                # `remove` of another process took away the empty directory between our two steps.
                if attempt == _ATTEMPTS - 1:
                    raise
            except BaseException:
                if parent >= 0:
                    os.close(parent)
                raise
            if parent >= 0:
                os.close(parent)
        raise AssertionError

    @contextmanager
    def parent(self, path: str) -> Iterator[tuple[int, str]]:
        """Open the directory that holds `path`; yield its descriptor and the name of `path` in it."""
        above, name = _split(check_blob_path(path))
        descriptor = self._open_directory(above)
        try:
            yield descriptor, name
        finally:
            os.close(descriptor)

    def _open_directory(self, path: str, *, create: bool = False) -> int:
        if create:
            _make_directories(self.root)
        descriptor = os.open(self.root, _DIRECTORY)
        for segment in path.split("/") if path else ():
            try:
                below = _step(descriptor, segment, create=create)
            except OSError as error:
                refusal = self._not_a_directory(path, create=create) if error.errno in _NOT_A_DIRECTORY else None
                raise refusal or error from None
            finally:
                os.close(descriptor)
            descriptor = below
        return descriptor

    def _open_file(self, path: str) -> int:
        with self.parent(path) as (parent, name):
            mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
            if stat.S_ISDIR(mode):
                raise ArtifactNotFoundError(f"{self.root / path} is a directory, not a file.")
            if not stat.S_ISREG(mode):
                raise self._refused(path, mode)
            return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)

    def _info(self, path: str, entry: "os.DirEntry[str]") -> FileInfo:
        below = check_blob_path(join(path, entry.name), f"file name in {self.root}")
        if entry.is_dir(follow_symlinks=False):
            return FileInfo(below, is_dir=True, file_size=None)
        status = entry.stat(follow_symlinks=False)
        if not stat.S_ISREG(status.st_mode):
            raise self._refused(below, status.st_mode)
        return FileInfo(below, is_dir=False, file_size=status.st_size)

    def _not_a_directory(self, path: str, *, create: bool) -> RegistryError | None:
        for depth in range(1, path.count("/") + 2):
            above = self.root / "/".join(path.split("/")[:depth])
            if above.is_symlink():
                return self._refused(str(above.relative_to(self.root)), stat.S_IFLNK)
        if create:
            return InvalidPathError(f"{self.root / path} cannot hold files: a file is where a directory must be.")
        return None

    def _refused(self, path: str, mode: int) -> InvalidPathError:
        if stat.S_ISLNK(mode):
            kind = (
                "a symbolic link, which is not followed; put a copy of the file in its place, or log the directory "
                "with follow_symlinks=True (REGISTRY_FOLLOW_SYMLINKS=true)"
            )
        else:
            kind = "neither a file nor a directory; remove it"
        return InvalidPathError(f"{self.root / path} is {kind}.")

    @contextmanager
    def os_errors(self, path: str) -> Iterator[None]:
        """Map errors of the operating system to ours, naming `path`."""
        try:
            yield
        except RegistryError:
            raise
        except (FileNotFoundError, NotADirectoryError) as error:
            raise ArtifactNotFoundError(f"{self.root / path} does not exist.") from error
        except FileExistsError as error:
            raise PathExistsError(f"{self.root / path} exists already and is not replaced.") from error
        except IsADirectoryError as error:
            raise InvalidPathError(f"{self.root / path} is a directory; a file cannot take its place.") from error
        except UnicodeEncodeError as error:
            raise InvalidPathError(
                f"{path!a} cannot be a name on this system, whose encoding for file names is {error.encoding}. "
                "Set PYTHONUTF8=1, or a locale such as C.UTF-8."
            ) from error
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise disk_error(
                f"{self.root / path}: {reason}. Check the rights and the free space of the directory {self.root}.",
                error,
            ) from error


class _FilePart(io.RawIOBase):
    """The next `size` bytes of an open file."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        super().__init__()
        self._file = file
        self._left = size

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # typeshed wants any buffer; io passes this
        """Fill the buffer with the next bytes; return 0 at the end of the part."""
        data = self._file.read(min(len(buffer), self._left))
        self._left -= len(data)
        buffer[: len(data)] = data
        return len(data)


def _split(path: str) -> tuple[str, str]:
    above, _, name = path.rpartition("/")
    return above, name


def _position(info: FileInfo) -> str:
    # "a.txt" sorts before "a/b", as the keys of S3 do, so a directory counts with its slash.
    return info.path + "/" if info.is_dir else info.path


def _step(descriptor: int, segment: str, *, create: bool) -> int:
    flags = _DIRECTORY | os.O_NOFOLLOW
    try:
        return os.open(segment, flags, dir_fd=descriptor)
    except FileNotFoundError:
        if not create:
            raise
    with suppress(FileExistsError):
        os.mkdir(segment, dir_fd=descriptor)
        os.fsync(descriptor)
    return os.open(segment, flags, dir_fd=descriptor)


def _make_directories(root: Path) -> None:
    if root.is_dir():
        return
    _make_directories(root.parent)
    try:
        root.mkdir()
    except FileExistsError:
        if root.is_dir():  # another thread or process was quicker
            return
        raise InvalidPathError(f"{root} is a file; a directory is needed in its place.") from None
    descriptor = os.open(root.parent, _DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _publish(parent: int, temporary: str, name: str, *, exclusive: bool) -> None:
    if not exclusive:
        os.replace(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)
        return
    try:
        os.link(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        # Without hard links the name is reserved by an empty file, which only its creator may replace.
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666, dir_fd=parent))
        os.replace(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)
    else:
        os.unlink(temporary, dir_fd=parent)
