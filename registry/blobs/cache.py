"""Caches models on the local disk by digest, so a second load contacts no store.

`cache_entry` knows the layout of an entry, and the caller fetches the files. Processes share the cache through file
locks: one on ``locks/<digest>`` while an entry is created or removed, and a shared one on the entry while it is used.

Guarantees: a leased directory held exactly the files of its manifest, and is not evicted before the lease ends.
"""

import os
import re
import stat
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final

from registry.blobs.cache_entry import (
    ALWAYS_HASHED,
    MODEL,
    CacheEntry,
    Stamp,
    is_sound,
    make_read_only,
    remove,
    write_manifest,
)
from registry.blobs.locks import FileLock
from registry.entities.manifest import Manifest
from registry.exceptions import AccessDeniedError, InvalidParameterError, RegistryError, disk_error

Fetch = Callable[[Path], None]
"""Fills an empty directory with the files of a model, each compared with its digest on its way."""

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_ENTRIES: Final = "entries"
_INCOMING: Final = "incoming"
_LOCKS: Final = "locks"


class Lease:
    """The use of a cached model: its files stay until the lease is released or the process ends."""

    def __init__(self, path: Path, lock: FileLock) -> None:
        self.path = path
        self._lock = lock

    def release(self) -> None:
        """Allow the files to be evicted."""
        self._lock.release()

    def __enter__(self) -> Path:
        return self.path

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()


@dataclass(frozen=True, slots=True)
class CacheCheck:
    """The result of `ModelCache.verify`: the number of entries read, and the digests of those dropped."""

    checked: int
    dropped: tuple[str, ...]


class ModelCache:
    """A directory of models that processes share. It grows to `limit_bytes`, plus the models in use."""

    def __init__(self, directory: Path, limit_bytes: int) -> None:
        self._directory = directory
        self._limit = limit_bytes
        self._kept: dict[str, Lease] = {}
        self._trusted: dict[str, dict[str, Stamp]] = {}

    def directory(self, manifest: Manifest, fetch: Fetch) -> Path:
        """Return a read-only directory with exactly the files of a manifest, kept until this process ends.

        If they are not cached, `fetch` is called to fill an empty directory. Of several processes that need the same
        model, only one calls it.

        Raises:
            IntegrityError: The fetched files differ from the manifest.
            StorageError: The cache directory cannot be used.
        """
        return self._keep(self.lease(manifest, fetch))

    def find(self, digest: str) -> Path | None:
        """Return the directory of a cached model, kept until this process ends, or None."""
        lease = self.find_lease(digest)
        return self._keep(lease) if lease else None

    def lease(self, manifest: Manifest, fetch: Fetch) -> Lease:
        """Do as `directory`, but keep the files only until the lease is released."""
        with self._disk_errors():
            while True:
                if lease := self.find_lease(manifest.digest):
                    return lease
                self._fill(manifest, fetch)

    def find_lease(self, digest: str) -> Lease | None:
        """Do as `find`, but keep the files only until the lease is released. A damaged entry counts as missing."""
        with self._disk_errors():
            entry = self._entry(digest)
            lock = self._use(entry)
            if lock is None:
                return None
            try:
                if self._is_intact(entry):
                    entry.touch()
                    return Lease(entry.model, lock)
            except BaseException:
                lock.release()
                raise
            lock.release()
            return None

    def entries(self) -> list[CacheEntry]:
        """Return the entries, the least recently used first; make no directory."""
        if not self._directory.is_dir():
            return []
        with self._disk_errors():
            found = [CacheEntry(place, place.name) for place in self._room(_ENTRIES).iterdir()]
            return sorted(found, key=lambda entry: entry.last_used_ns)

    def clear(self) -> int:
        """Remove all models that are not in use; return how many were removed."""
        with self._disk_errors():
            self._sweep()
            return sum(self._evict(entry) for entry in self.entries())

    def verify(self) -> CacheCheck:
        """Read and hash every entry, and drop damaged ones; they are fetched again when needed."""
        with self._disk_errors():
            entries = self.entries()
            dropped = [entry.digest for entry in entries if not is_sound(entry) and self._drop_damaged(entry)]
            return CacheCheck(len(entries), tuple(sorted(dropped)))

    def _keep(self, lease: Lease) -> Path:
        # The newer lease is the one to keep: the entry may have been damaged and made anew since the older.
        digest = lease.path.parent.name
        older, self._kept[digest] = self._kept.get(digest), lease
        if older is not None:
            older.release()
        return lease.path

    def _use(self, entry: CacheEntry) -> FileLock | None:
        """Take a shared lock on an entry; return None if the entry is gone once the lock is granted."""
        while True:
            try:
                lock = FileLock.acquire(entry.lock_file, shared=True)
            except FileNotFoundError:
                return None
            if lock.guards(entry.lock_file):
                return lock
            lock.release()

    def _is_intact(self, entry: CacheEntry) -> bool:
        """Tell whether the files match the manifest: by their bytes, or by their stamps if large and read before."""
        try:
            if entry.manifest.size > ALWAYS_HASHED and entry.stamps() == self._trusted.get(entry.digest):
                entry.check_names()
                return True
        except (RegistryError, OSError):
            return False
        if not is_sound(entry):
            return False
        self._trusted[entry.digest] = entry.stamps()
        return True

    def _fill(self, manifest: Manifest, fetch: Fetch) -> None:
        entry = self._entry(manifest.digest)
        with self._making(entry.digest):
            if is_sound(entry):  # another process was quicker
                return
            self._sweep(entry.digest)
            self._shrink(self._limit - manifest.size)
            made = self._room(_INCOMING) / f"{entry.digest}.{uuid.uuid4().hex}"
            try:
                _make(made, manifest, fetch)
                self._take_away(entry)
                made.rename(entry.place)
                self._trusted[entry.digest] = entry.stamps()
            finally:
                remove(made)

    def _shrink(self, target: int) -> None:
        """Evict the least recently used models until at most `target` bytes are left, or only models in use."""
        entries = [(entry, entry.size()) for entry in self.entries()]
        total = sum(size for _, size in entries)
        for entry, size in entries:
            if total <= target:
                return
            if self._evict(entry):
                total -= size

    def _evict(self, entry: CacheEntry) -> bool:
        making = FileLock.attempt(self._lock_file(entry.digest), create=True)
        if making is None:
            return False
        with making, ExitStack() as held:
            with suppress(FileNotFoundError):  # nobody can use an entry without it
                using = FileLock.attempt(entry.lock_file)
                if using is None:
                    return False
                held.enter_context(using)
            self._take_away(entry)
            return True

    def _drop_damaged(self, entry: CacheEntry) -> bool:
        with self._making(entry.digest):
            if is_sound(entry):  # it was fetched again in the meantime
                return False
            self._take_away(entry)
            return True

    def _take_away(self, entry: CacheEntry) -> None:
        """Remove an entry atomically for others; processes that have its files open can still read them."""
        gone = self._room(_INCOMING) / f"{entry.digest}.{uuid.uuid4().hex}"
        try:
            entry.place.rename(gone)
        except FileNotFoundError:
            return
        remove(gone)

    def _sweep(self, held: str = "") -> None:
        """Remove partial entries of killed processes; `held` is the digest that this call is creating."""
        for left in self._room(_INCOMING).iterdir():
            digest = left.name.partition(".")[0]
            if digest == held:
                remove(left)
            elif making := FileLock.attempt(self._lock_file(digest), create=True):
                with making:
                    remove(left)

    @contextmanager
    def _making(self, digest: str) -> Iterator[None]:
        with FileLock.acquire(self._lock_file(digest), create=True):
            yield

    def _entry(self, digest: str) -> CacheEntry:
        if not _DIGEST.fullmatch(digest):
            raise InvalidParameterError(f"Invalid digest: {digest!r} is not a SHA-256 in lower-case hex.")
        return CacheEntry(self._room(_ENTRIES) / digest, digest)

    def _lock_file(self, digest: str) -> Path:
        return self._room(_LOCKS) / digest

    def _room(self, name: str) -> Path:
        """Return a directory of the cache, created if missing, that no other user can write to."""
        room = self._directory / name
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        status = self._directory.stat()
        if status.st_uid != os.geteuid():
            raise AccessDeniedError(
                f"The cache directory {self._directory} belongs to another user. Set REGISTRY_CACHE_DIR."
            )
        if stat.S_IMODE(status.st_mode) != 0o700:
            self._directory.chmod(0o700)
        room.mkdir(exist_ok=True, mode=0o700)
        return room

    @contextmanager
    def _disk_errors(self) -> Iterator[None]:
        try:
            yield
        except RegistryError:
            raise
        except OSError as error:
            raise disk_error(
                f"The cache directory {self._directory} cannot be used: {os.strerror(error.errno or 0)} "
                f"({error.filename}). Free space (`registry cache clear`), or set REGISTRY_CACHE_DIR to another one.",
                error,
            ) from error


def _make(made: Path, manifest: Manifest, fetch: Fetch) -> None:
    made.mkdir(mode=0o700)
    (made / MODEL).mkdir(mode=0o700)
    fetch(made / MODEL)
    write_manifest(made, manifest)
    entry = CacheEntry(made, manifest.digest)
    # Large files were hashed on their way; to read them again would cost more than a fast network.
    entry.check_names() if manifest.size > ALWAYS_HASHED else entry.check_digests()
    make_read_only(made / MODEL)
