"""Checkpoints: the ends of all chains at a moment, kept where whoever writes the database cannot write.

A chain of hashes shows edits, but not that its end was cut off, or that all of it was written anew by somebody who may
write the database: only a hash that was kept elsewhere shows that. Invariant: a file is compared before it is replaced,
so that a checkpoint never forgets what it could have shown.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from registry.client.json_file import read_json, write_json
from registry.exceptions import IntegrityError, InvalidParameterError
from registry.store.catalog import ChronicleStore
from registry.store.catalog.chronicle import ChainHead

_WHAT: Final = "checkpoint file"
_FORMAT: Final = 1
_HASH: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The ends of chains, by uid of the model, of one registry."""

    registry_id: str
    heads: Mapping[str, ChainHead]

    def with_heads(self, heads: Iterable[ChainHead]) -> "Checkpoint":
        """The same with later ends of some chains."""
        return Checkpoint(self.registry_id, {**self.heads, **{head.model_uid: head for head in heads}})


def read_checkpoint(path: Path, registry_id: str) -> Checkpoint:
    """The checkpoint in a file; an empty one if there is no file.

    Raises:
        IntegrityError: it is of another registry.
        InvalidParameterError: the file is no checkpoint.
        StorageError: it cannot be read.
    """
    found = read_json(path, _WHAT)
    if found is None:
        return Checkpoint(registry_id, {})
    if found.get("format") != _FORMAT or not isinstance(found.get("models"), dict):
        raise InvalidParameterError(f"The file {str(path)!r} is not a {_WHAT} that this package writes.")
    if found.get("registry_id") != registry_id:
        raise IntegrityError(
            f"The {_WHAT} {str(path)!r} is of the registry {found.get('registry_id')}, but this database says it is "
            f"{registry_id}: it is another one, or was put in the place of the first."
        )
    return Checkpoint(registry_id, {uid: _head(path, uid, entry) for uid, entry in found["models"].items()})


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Put a checkpoint into a file, all at once.

    Raises:
        StorageError: the file cannot be written.
    """
    models = {
        uid: {"name": head.name, "sequence": head.seq, "hash": head.hash} for uid, head in checkpoint.heads.items()
    }
    write_json(path, {"format": _FORMAT, "registry_id": checkpoint.registry_id, "models": models}, _WHAT)


def compare(checkpoint: Checkpoint, chronicle: ChronicleStore) -> None:
    """Check that every chain still goes through the end that it had.

    Raises:
        IntegrityError: a chain was cut off or written anew since the checkpoint; the message names the model.
    """
    for head in checkpoint.heads.values():
        found = chronicle.hash_at(head.model_uid, head.seq)
        if found is None:
            raise IntegrityError(
                f"Event {head.seq} of {head.name!r} ({head.model_uid}) was there at the last checkpoint and is gone: "
                "the end of its history was cut off."
            )
        if found != head.hash:
            raise IntegrityError(
                f"Event {head.seq} of {head.name!r} ({head.model_uid}) has the hash {found}, but the checkpoint says "
                f"{head.hash}: its history was written anew."
            )


def _head(path: Path, uid: str, entry: Any) -> ChainHead:
    if isinstance(entry, dict):
        name, seq, digest = entry.get("name"), entry.get("sequence"), entry.get("hash")
        if isinstance(name, str) and type(seq) is int and isinstance(digest, str) and _HASH.fullmatch(digest):
            return ChainHead(uid, name, seq, digest)
    raise InvalidParameterError(f"The {_WHAT} {str(path)!r} has an entry for {uid!r} that cannot be read: {entry!r}.")
