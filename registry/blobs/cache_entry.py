"""One model in the cache: its files and manifest on disk, and the checks that they agree.

Guarantees: an entry is used only if its manifest hashes to the digest that names it, and its files are exactly those of
the manifest. No link in it is followed.
"""

import json
import os
import shutil
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from registry.blobs.digests import check_entry, hash_stream
from registry.blobs.directory import Directory
from registry.blobs.paths import check_blob_path
from registry.entities.manifest import Manifest, ManifestEntry
from registry.exceptions import IntegrityError, RegistryError

MODEL: Final = "model"
MANIFEST: Final = "manifest.json"
ALWAYS_HASHED: Final = 32 * 1024 * 1024
"""Bytes up to which an entry is hashed on every use (some 20 ms); larger ones once per process, then stamps decide."""

Stamp = tuple[int, int, int, int]
"""What changes whenever a file does: inode, size in bytes, times of change of bytes and status (nanoseconds)."""


@dataclass(frozen=True)
class CacheEntry:
    """The directory `place` with the model of one digest."""

    place: Path
    digest: str

    @property
    def model(self) -> Path:
        """Return the read-only directory with the files of the model."""
        return self.place / MODEL

    @property
    def lock_file(self) -> Path:
        """Return the file that users of the entry lock."""
        return self.place / MANIFEST

    @property
    def last_used(self) -> int:
        """Return the time of the last use, in milliseconds since the epoch; 0 if the entry is broken."""
        return self.last_used_ns // 1_000_000

    @property
    def last_used_ns(self) -> int:
        """Return `last_used` in nanoseconds: the order of eviction."""
        try:
            return self.lock_file.stat().st_mtime_ns
        except OSError:
            return 0

    @cached_property
    def manifest(self) -> Manifest:
        """Return the recorded manifest.

        Raises:
            IntegrityError: It cannot be read, or does not hash to the digest.
        """
        try:
            with Directory(self.place).open(MANIFEST) as file:
                recorded = file.read()
            manifest = Manifest.of(
                ManifestEntry(check_blob_path(entry["path"]), int(entry["size"]), str(entry["sha256"]))
                for entry in json.loads(recorded)["files"]
            )
            is_own = manifest.digest == self.digest and recorded == _recorded(manifest)
        except (RegistryError, ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            raise IntegrityError(f"The manifest of the cached model {self.place} cannot be read.") from error
        if not is_own:
            raise IntegrityError(f"The manifest of the cached model {self.place} is not that of its digest.")
        return manifest

    def size(self) -> int:
        """Return the bytes of the files on disk; files that another process removes meanwhile count as 0."""
        total = 0
        for directory, _, names in os.walk(self.place):
            for name in names:
                with suppress(FileNotFoundError):
                    total += os.lstat(Path(directory, name)).st_size
        return total

    def touch(self) -> None:
        """Record that the entry is used now."""
        now = time.time_ns()  # finer than the kernel's own clock for files
        os.utime(self.lock_file, ns=(now, now))

    def check_names(self) -> None:
        """Compare names and sizes with the manifest.

        Raises:
            IntegrityError: A file is missing, extra, or of another size.
        """
        if self.place.is_symlink():  # below it `Directory` follows none
            raise IntegrityError(f"The cached model {self.place} is a symbolic link.")
        found = {info.path: info.file_size for info in Directory(self.place).files() if info.path != MANIFEST}
        expected = {f"{MODEL}/{entry.path}": entry.size for entry in self.manifest.entries}
        if found != expected:
            differing = sorted(found.items() ^ expected.items())[0][0]
            raise IntegrityError(
                f"{self.place / differing} in the cache is not what was recorded: expected "
                f"{_bytes(expected.get(differing))}, found {_bytes(found.get(differing))}."
            )

    def check_digests(self) -> None:
        """Compare names, sizes and SHA-256 of all files with the manifest.

        Raises:
            IntegrityError: Anything differs.
        """
        self.check_names()
        directory = Directory(self.model)
        for entry in self.manifest.entries:
            with directory.open(entry.path) as stream:
                check_entry(entry, hash_stream(entry.path, stream), str(self.model))

    def stamps(self) -> dict[str, Stamp]:
        """Return the stamp of every file."""
        return {entry.path: _stamp(self.model / entry.path) for entry in self.manifest.entries}


def write_manifest(place: Path, manifest: Manifest) -> None:
    """Write the manifest of a new entry."""
    with (place / MANIFEST).open("xb") as file:
        file.write(_recorded(manifest))
    (place / MANIFEST).chmod(0o600)


def make_read_only(directory: Path) -> None:
    """Remove the write permission from a directory and everything in it."""
    for path in sorted(directory.rglob("*"), reverse=True):
        path.chmod(0o500 if path.is_dir() else 0o400)
    directory.chmod(0o500)


def remove(place: Path) -> None:
    """Remove a directory, even a read-only one, or a file in its place. A missing path is ignored."""
    if place.is_symlink() or not place.is_dir():
        place.unlink(missing_ok=True)
        return
    for parent, _, _ in os.walk(place):  # top down, so that what was closed can be entered
        Path(parent).chmod(0o700)
    shutil.rmtree(place)


def is_sound(entry: CacheEntry) -> bool:
    """Tell whether all files of an entry match the manifest."""
    try:
        entry.check_digests()
    except (RegistryError, OSError):
        return False
    return True


def _recorded(manifest: Manifest) -> bytes:
    recorded: dict[str, Any] = {"digest": manifest.digest, "files": [asdict(entry) for entry in manifest.entries]}
    return json.dumps(recorded, ensure_ascii=False).encode()


def _stamp(path: Path) -> Stamp:
    status = path.lstat()
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _bytes(size: int | None) -> str:
    return "no such file" if size is None else f"{size} bytes"
