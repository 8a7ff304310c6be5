"""Locks between processes on one machine, by ``flock``.

The invariant: a lock belongs to an open file, so it ends with the process that holds it, however that process ends.
"""

import errno
import fcntl
import os
import stat
from pathlib import Path
from types import TracebackType
from typing import Final, Self

_NO_FILE: Final = (errno.EISDIR, errno.ELOOP, errno.ENOTDIR)


class FileLock:
    """A lock on a file. Threads of one process exclude each other as processes do."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def acquire(cls, path: Path, *, shared: bool = False, create: bool = False) -> Self:
        """Wait for the lock on a file.

        Raises:
            FileNotFoundError: The file is missing and `create` is False, or the path is not a file.
        """
        lock = cls._open(path, create=create)
        try:
            fcntl.flock(lock._descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        except BaseException:
            lock.release()
            raise
        return lock

    @classmethod
    def attempt(cls, path: Path, *, create: bool = False) -> Self | None:
        """Return the exclusive lock on a file, or None if any lock is held on it.

        Raises:
            FileNotFoundError: As from `acquire`.
        """
        lock = cls._open(path, create=create)
        try:
            fcntl.flock(lock._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.release()
            return None
        return lock

    @classmethod
    def _open(cls, path: Path, *, create: bool) -> Self:
        # For writing, because NFS grants exclusive locks on nothing else.
        flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | (os.O_CREAT if create else 0)
        try:
            lock = cls(os.open(path, flags, 0o600))
        except OSError as error:
            raise _no_file(path) if error.errno in _NO_FILE else error from None
        if not stat.S_ISREG(os.fstat(lock._descriptor).st_mode):
            lock.release()
            raise _no_file(path)
        return lock

    def guards(self, path: Path) -> bool:
        """Tell whether the locked file is still the one at `path`."""
        try:
            return os.path.samestat(os.fstat(self._descriptor), path.stat())
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Let go; a second time does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()


def _no_file(path: Path) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
