"""The manifest of a sealed directory: paths, sizes and digests of its files, in a canonical form.

Guarantees: two manifests with the same digest describe the same bytes at the same paths.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Self

from registry.exceptions import InvalidParameterError


@dataclass(frozen=True, slots=True)
class ManifestEntry:
    """A file of a sealed directory: its relative path, size in bytes and SHA-256 in lower-case hex."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """The files of a sealed directory, sorted by path; each path appears once."""

    entries: tuple[ManifestEntry, ...]

    @classmethod
    def of(cls, entries: Iterable[ManifestEntry]) -> Self:
        """Create a manifest from files in any order.

        Raises:
            InvalidParameterError: a path appears twice.
        """
        ordered = sorted(entries, key=lambda entry: entry.path)
        for before, after in pairwise(ordered):
            if before.path == after.path:
                raise InvalidParameterError(f"A manifest names the file {after.path!r} twice.")
        return cls(tuple(ordered))

    @cached_property
    def digest(self) -> str:
        r"""Return the SHA-256 (hex) of the canonical form: per file a line ``<sha256> <size> <path>\n`` in UTF-8."""
        lines = (f"{entry.sha256} {entry.size} {entry.path}\n" for entry in self.entries)
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    @cached_property
    def size(self) -> int:
        """The total size of the files in bytes."""
        return sum(entry.size for entry in self.entries)
