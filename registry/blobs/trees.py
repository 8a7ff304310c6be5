"""Whole directory trees: how much is in one, and removing it.

Unlike listing, this takes every name as it is: half-written files are counted and removed like any other. The invariant
is `Directory`'s: no symlink is followed; one is removed as the link that it is.
"""

import os
import shutil
import stat
from contextlib import suppress
from typing import Final

from registry.blobs.directory import Directory
from registry.exceptions import ArtifactNotFoundError, StorageError

_ATTEMPTS: Final = 10


def weigh_tree(directory: Directory, path: str) -> int:
    """The bytes of all files at or below `path`; 0 if nothing is there."""
    with directory.os_errors(path), suppress(ArtifactNotFoundError, FileNotFoundError):
        with directory.parent(path) as (parent, name):
            status = os.stat(name, dir_fd=parent, follow_symlinks=False)
            if not stat.S_ISDIR(status.st_mode):
                return status.st_size
            return sum(
                os.stat(file, dir_fd=descriptor, follow_symlinks=False).st_size
                for _, _, files, descriptor in os.fwalk(name, dir_fd=parent)
                for file in files
            )
    return 0


def remove_tree(directory: Directory, path: str) -> None:
    """Remove all at or below `path`, and the directories above it that this leaves empty, up to the root."""
    with directory.os_errors(path):
        for _ in range(_ATTEMPTS):
            if _remove(directory, path):
                directory.remove_empty(path.rpartition("/")[0])
                return
    raise StorageError(f"{directory.root / path} could not be removed: others write to it.")


def _remove(directory: Directory, path: str) -> bool:
    """Remove what is at `path`; False if another process disturbed it, and something may be left."""
    try:
        with directory.parent(path) as (parent, name):
            mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
            try:
                if stat.S_ISDIR(mode):
                    shutil.rmtree(name, dir_fd=parent)
                else:
                    os.unlink(name, dir_fd=parent)
            except FileNotFoundError:
                return False
    except (ArtifactNotFoundError, FileNotFoundError, NotADirectoryError):
        pass  # nothing is there
    return True
