"""Whose bytes these are: the marker at a root of artifacts, compared with what the tables say.

A marker is a small JSON file, ``<root>/.registry/<registry id>/owner-<generation>.json``. Every ``gc --apply`` writes
the next one, and no marker is ever replaced: of two databases that both believe to be the owner, one finds the next
generation taken and refuses. The row goes first and the marker second; the row keeps the token of the marker before, so
that the next gc completes what a crash left in between.

Invariant: nothing is removed below a root, and no file there is replaced, by a database that is known to be a copy.
"""

import json
import logging
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from registry.blobs import AppendOnlyFiles, BlobStore, WritableFiles
from registry.exceptions import ArtifactNotFoundError, NotOwnerError, PathExistsError, StorageError, UnavailableError
from registry.store.ownership import DatabaseIdentity, OwnershipStore, RootOwnership, root_of_artifacts

_logger = logging.getLogger(__name__)
_FILE: Final = re.compile(r"owner-([0-9]{8,})\.json")
_FIRST: Final = 1
_ATTEMPTS: Final = 10


@dataclass(frozen=True, slots=True)
class Marker:
    """What the marker of one generation says: who wrote it, and the random token by which its writer knows it again."""

    generation: int
    token: str
    owner: DatabaseIdentity


class ArtifactOwnership:
    """The ownership of roots, for one database. Safe to share between threads."""

    def __init__(
        self, store: OwnershipStore, registry_id: Callable[[], str], blobs: Callable[[str], BlobStore]
    ) -> None:
        self._store = store
        self._registry_id = registry_id
        self._blobs = blobs
        self._is_copy: dict[str, bool] = {}

    def writable(self, artifact_uri: str, experiment_id: str) -> WritableFiles:
        """Return the files of a run, or of a model that is not sealed, for logging; a copy may replace none of them."""
        root = root_of_artifacts(artifact_uri, experiment_id)
        store = self._blobs(artifact_uri)
        if not self.is_copy(root):
            return store
        return AppendOnlyFiles(
            store,
            lambda path: NotOwnerError(f"{path!r} is at {artifact_uri} already and is not replaced. {_copied(root)}"),
        )

    def claim(self, artifact_uri: str, experiment_id: str) -> None:
        """Claim the root of files that are about to be stored, if nobody has."""
        self.is_copy(root_of_artifacts(artifact_uri, experiment_id))

    def is_copy(self, root: str) -> bool:
        """Whether another database claimed a root; a root that is free is claimed.

        The address of a PostgreSQL server does not count here: people reach one server by many.
        """
        # Two threads may both claim it: the second finds the first one's marker, which is as much its own.
        if root not in self._is_copy:
            owner = self._owner_or_claim(root)
            self._is_copy[root] = owner is not None and owner.database != self._store.identity(root).database
        return self._is_copy[root]

    def find_fault(self, root: str) -> str | None:
        """Why this database may not remove anything below a root, or None; changes nothing."""
        try:
            ownership = self._store.find(root)
            if ownership is not None:
                self._check(ownership)
        except NotOwnerError as error:
            return error.message
        return None

    def begin_collection(self, root: str) -> None:
        """Begin the next generation of a root, after which an older copy of this database may not remove anything.

        Raises:
            NotOwnerError: the root belongs to another database, or this one is older than the root's marker.
        """
        for _ in range(_ATTEMPTS):
            ownership = self._store.find(root) or self._claim(root)
            marker = self._check(ownership)
            if marker.token != ownership.token:  # a gc stopped between the row and the marker, or is there now
                self._write(root, ownership)
            token = uuid.uuid4().hex
            if self._store.advance(ownership, token):
                following = RootOwnership(root, ownership.owner, ownership.generation + 1, token, ownership.token)
                self._write(root, following)
                self._remove_markers(root, before=ownership.generation)
                return
        raise UnavailableError(f"Other gcs of this database kept changing the owner of {root}; try again.")

    def roots(self) -> list[str]:
        """Every root that an experiment keeps its files below, sorted."""
        return self._store.roots()

    def has_copy(self, root: str, copy: str) -> bool:
        """Whether the files of a root are at another too, as far as one file of a sealed model shows."""
        path = self.find_sealed_file(root)
        return path is None or self._blobs(copy).find(path) is not None

    def find_sealed_file(self, root: str) -> str | None:
        """Return the path below a root of a file of a sealed model, or None."""
        return self._store.find_sealed_file(root)

    def take_over(self, root: str) -> None:
        """Make a root this database's, whoever has it; a new generation begins with that."""
        marker, ownership = self._latest(root), self._store.find(root)
        generation = max(marker.generation if marker else 0, ownership.generation if ownership else 0)
        taken = RootOwnership(root, self._store.identity(root), generation + 1, uuid.uuid4().hex)
        if ownership is not None:
            # The same row once more: who may not change it is refused before there is a marker of theirs.
            self._store.take_over(ownership)
        self._write(root, taken)
        self._store.take_over(taken)
        self._is_copy.pop(root, None)

    def _owner_or_claim(self, root: str) -> DatabaseIdentity | None:
        """Who owns a root; None if it could not be claimed, which is left to the next gc."""
        ownership = self._store.find(root)
        if ownership is not None:
            return ownership.owner
        try:
            return self._claim(root).owner
        except NotOwnerError:
            return DatabaseIdentity("another")
        except (StorageError, UnavailableError):
            # Whoever may store files need not have the right to store them everywhere.
            _logger.info("%s could not be claimed for this database; gc will try again.", root, exc_info=True)
            return None

    def _claim(self, root: str) -> RootOwnership:
        """Claim a root that no row speaks of. The marker goes first: a crash leaves one that is known again.

        Raises:
            NotOwnerError: a marker of this registry is there, and another database wrote it.
        """
        first = RootOwnership(root, self._store.identity(root), _FIRST, uuid.uuid4().hex)
        try:
            self._blobs(root).write_once(self._path(_FIRST), _content(first))
        except PathExistsError:
            marker = self._read(root, _FIRST)
            if marker is None or marker.owner != first.owner:
                raise NotOwnerError(_copied(root)) from None
            first = RootOwnership(root, marker.owner, _FIRST, marker.token)
        self._store.claim(first)
        return self._store.find(root) or first

    def _check(self, ownership: RootOwnership) -> Marker:
        """Return the marker of a root if it is this database's own: of its generation, or of the one before.

        Raises:
            NotOwnerError: it is not.
        """
        root, identity = ownership.root, self._store.identity(ownership.root)
        if ownership.owner != identity:
            raise NotOwnerError(
                _copied(root, f" It was claimed by {_shown(ownership.owner)}, this is {_shown(identity)}.")
            )
        marker = self._latest(root)
        if marker is None:
            raise NotOwnerError(
                f"The marker that says whose bytes these are is gone from {root}/{self._directory()}. If the files "
                f"were moved, say where they are with 'registry db relocate {root} NEW'; if they are here, run "
                "'registry db adopt --take-over'."
            )
        for _ in range(_ATTEMPTS):
            if marker.token in (ownership.token, ownership.previous_token):
                return marker
            # Another gc of this database may have gone on since the row was read.
            again = self._store.find(root)
            if again is None or again == ownership:
                break
            ownership, marker = again, self._latest(root) or marker
        raise NotOwnerError(
            f"This database is older than the bytes at {root}: it knows generation {ownership.generation} of them, and "
            f"{_shown(marker.owner)} has begun generation {marker.generation}. If this is a restored backup that is to "
            "go on in the other's place, run 'registry db adopt --take-over'."
        )

    def _write(self, root: str, ownership: RootOwnership) -> None:
        """Write the marker of a generation, unless it is there.

        Raises:
            NotOwnerError: another database wrote it.
        """
        try:
            self._blobs(root).write_once(self._path(ownership.generation), _content(ownership))
        except PathExistsError:
            marker = self._read(root, ownership.generation)
            if marker is not None and marker.token != ownership.token:
                raise NotOwnerError(
                    f"{_shown(marker.owner)} began generation {marker.generation} of the bytes at {root} in the same "
                    "moment, so they are its own now. If this database is to go on in its place, run "
                    "'registry db adopt --take-over'."
                ) from None

    def _latest(self, root: str) -> Marker | None:
        for generation in sorted(self._generations(root), reverse=True):
            marker = self._read(root, generation)
            if marker is not None:  # another gc may have removed it since it was listed
                return marker
        return None

    def _generations(self, root: str) -> list[int]:
        names = (info.path.rpartition("/")[2] for info in self._blobs(root).list(self._directory()))
        return [int(match[1]) for name in names if (match := _FILE.fullmatch(name))]

    def _read(self, root: str, generation: int) -> Marker | None:
        try:
            data = self._blobs(root).read(self._path(generation))
        except ArtifactNotFoundError:
            return None
        return _parse(f"{root}/{self._path(generation)}", data)

    def _remove_markers(self, root: str, *, before: int) -> None:
        """Remove old markers. The first stays, by which a claim finds that a root is taken without listing it."""
        old = [generation for generation in self._generations(root) if _FIRST < generation < before]
        self._blobs(root).delete([self._path(generation) for generation in old])

    def _directory(self) -> str:
        return f".registry/{self._registry_id()}"

    def _path(self, generation: int) -> str:
        return f"{self._directory()}/owner-{generation:08}.json"


def _content(ownership: RootOwnership) -> bytes:
    values = {
        "database": ownership.owner.database,
        "server": ownership.owner.server,
        "generation": ownership.generation,
        "token": ownership.token,
    }
    return (json.dumps(values, indent=2) + "\n").encode()


def _parse(place: str, data: bytes) -> Marker:
    try:
        found: Any = json.loads(data)
        owner = DatabaseIdentity(str(found["database"]), found["server"])
        return Marker(int(found["generation"]), str(found["token"]), owner)
    except (ValueError, KeyError, TypeError, RecursionError):
        raise NotOwnerError(
            f"The marker {place} cannot be read, so nobody can tell whose bytes these are. Look who changed it; "
            "'registry db adopt --take-over' writes a new one."
        ) from None


def _copied(root: str, detail: str = "") -> str:
    return (
        f"The bytes at {root} belong to another database, of which this one seems to be a copy.{detail} "
        "A copy reads and logs, but removes and replaces nothing. Give it bytes of its own with 'registry db adopt "
        "--new-root NEW' after copying them there, or let it go on in the other's place with "
        "'registry db adopt --take-over'. If database and files were moved, say where they are with "
        "'registry db relocate'."
    )


def _shown(owner: DatabaseIdentity) -> str:
    return owner.database if owner.server is None else f"{owner.database} at {owner.server}"
