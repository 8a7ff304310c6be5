"""Locks files between processes on one machine, with ``flock``.

Guarantees: the operating system releases the lock when its process ends, however that happens. A forked child shares no
lock with its parent: it takes shared locks again, and closes the others.
"""

import errno
import fcntl
import os
import stat
import weakref
from pathlib import Path
from types import TracebackType
from typing import Final, Self

_NO_FILE: Final = (errno.EISDIR, errno.ELOOP, errno.ENOTDIR)


_held: "weakref.WeakSet[FileLock]" = weakref.WeakSet()


def _renew_in_child() -> None:
    for lock in list(_held):
        lock._renew_in_child()


os.register_at_fork(after_in_child=_renew_in_child)


class FileLock:
    """A lock on a file. Threads of one process exclude each other as processes do."""

    def __init__(self, descriptor: int, path: Path) -> None:
        self._descriptor = descriptor
        self._path = path
        self._owner = os.getpid()
        self._is_shared = False
        _held.add(self)

    @classmethod
    def acquire(cls, path: Path, *, shared: bool = False, create: bool = False) -> Self:
        """Wait for the lock on a file.

        Raises:
            FileNotFoundError: The file is missing and `create` is False, or the path is not a file.
        """
        lock = cls._open(path, create=create)
        try:
            fcntl.flock(lock._descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
            lock._is_shared = shared
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
            lock = cls(os.open(path, flags, 0o600), path)
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
        """Release the lock. Idempotent."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor < 0:
            return
        try:
            # Closing alone would leave the lock to every child that was forked meanwhile. A child that inherited it
            # must not unlock: that would take it from the parent.
            if self._owner == os.getpid():
                fcntl.flock(descriptor, fcntl.LOCK_UN)
        finally:
            os.close(descriptor)

    def _renew_in_child(self) -> None:
        """Replace the lock that a child inherited by one of its own, if it is shared and the file is still there."""
        inherited, self._descriptor = self._descriptor, -1
        if inherited < 0:
            return
        try:
            if self._is_shared:
                own = os.open(self._path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
                try:
                    fcntl.flock(own, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except OSError:
                    os.close(own)
                    raise
                self._descriptor, self._owner = own, os.getpid()
        except OSError:
            pass  # it is being taken away at this moment
        finally:
            os.close(inherited)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()


def _no_file(path: Path) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
