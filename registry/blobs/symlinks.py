"""Files of a local directory that is to be stored, with those that symlinks in it lead to.

Only what a caller hands over is followed; below the roots of stores no symlink ever is. Guarantee: every file that
comes out is a regular one, and a walk ends.
"""

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from registry.blobs.paths import join
from registry.exceptions import InvalidPathError, disk_error


@dataclass(frozen=True, slots=True)
class LinkedFile:
    """A file: its path in the directory, where it is, and its size in bytes."""

    path: str
    place: Path
    size: int


def follow_links(directory: Path) -> Iterator[LinkedFile]:
    """Yield every file of a directory, sorted by path; symlinks count as what they lead to.

    Raises:
        InvalidPathError: a symlink leads to nothing or to a directory that holds it, or an entry is no file.
    """
    try:
        yield from _files(directory, "", ())
    except OSError as error:
        raise disk_error(f"{error.filename} cannot be read: {os.strerror(error.errno or 0)}.", error) from error


def _files(directory: Path, path: str, above: tuple[tuple[int, int], ...]) -> Iterator[LinkedFile]:
    status = directory.stat()
    identity = status.st_dev, status.st_ino
    if identity in above:
        raise InvalidPathError(f"{directory} is a symbolic link to a directory that holds it. Remove it.")
    for place in sorted(directory.iterdir()):
        try:
            found = place.stat()
        except (FileNotFoundError, NotADirectoryError) as error:
            raise InvalidPathError(f"{place} is a symbolic link to nothing. Remove it.") from error
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            raise InvalidPathError(f"{place} is a symbolic link to itself. Remove it.") from error
        below = join(path, place.name)
        if stat.S_ISDIR(found.st_mode):
            yield from _files(place, below, (*above, identity))
        elif stat.S_ISREG(found.st_mode):
            yield LinkedFile(below, place, found.st_size)
        else:
            raise InvalidPathError(f"{place} is neither a file nor a directory, nor a link to one. Remove it.")
