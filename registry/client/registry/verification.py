"""Client methods that verify histories, tables and bytes, and compare them with a checkpoint."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from registry.blobs import explain_adopted
from registry.client.atomic_files import read_json, write_json
from registry.client.base import ClientBase
from registry.client.models.loading import check_files
from registry.exceptions import IntegrityError, InvalidParameterError
from registry.validation.names import check_model_name
from registry.validation.paths import check_local_path

if TYPE_CHECKING:
    from registry.store.registry import HistoryStore
    from registry.store.registry.history_queries import ChainHead
    from registry.store.registry.verify_history import VerificationReport


class VerificationMethods(ClientBase):
    """Client methods that verify the record of models."""

    def verify(
        self, name: str, *, read_bytes: bool = False, checkpoint: str | Path | None = None
    ) -> "VerificationReport":
        """Verify that a model's history is unbroken and its tables match the history.

        Args:
            name: Registered model.
            read_bytes: Also read every file of every version and compare its SHA-256.
            checkpoint: File with the ends of earlier histories. It is compared with the database, then updated; it is
                created if missing. Keep it where those who can write the database cannot write.

        Returns:
            The number of events and versions, and the hash of the last event.

        Raises:
            IntegrityError: The first difference that was found.
            ModelNotFoundError: There is no such model.
            StorageError: The checkpoint file cannot be read or written.

        Example:
            >>> report = client.verify("churn", read_bytes=True, checkpoint="churn.checkpoint")
            >>> report.events, report.versions, len(report.hash)
            (8, 3, 64)
        """
        checked = check_model_name(name)
        return self._verified(lambda: [self.backend.verification.verify(checked)], read_bytes, checkpoint)[0]

    def verify_all(
        self, *, read_bytes: bool = False, checkpoint: str | Path | None = None
    ) -> list["VerificationReport"]:
        """Verify every model, deleted ones included, and that no model is missing.

        Args:
            read_bytes: Also read every file of every version and compare its SHA-256.
            checkpoint: File with the ends of earlier histories; see `verify`.

        Returns:
            One report per model.

        Raises:
            IntegrityError: The first difference that was found.
            StorageError: The checkpoint file cannot be read or written.

        Example:
            >>> [(report.name, report.events) for report in client.verify_all()]
            [('churn', 8)]
        """
        return self._verified(self._all_reports, read_bytes, checkpoint)

    def _all_reports(self) -> list["VerificationReport"]:
        self.backend.verification.check_complete()
        return [self.backend.verification.verify_uid(head.model_uid) for head in self.backend.history.heads()]

    def _verified(
        self, look: Callable[[], list["VerificationReport"]], read_bytes: bool, checkpoint: str | Path | None
    ) -> list["VerificationReport"]:
        from registry.store.registry.history_queries import ChainHead

        before = None
        if checkpoint is not None:
            before = read_checkpoint(check_local_path(checkpoint), self.backend.experiments.registry_id())
            compare(before, self.backend.history)
        reports = look()
        if read_bytes:
            reports = self._check_bytes(reports)
        if checkpoint is not None and before is not None:
            heads = [ChainHead(report.model_uid, report.name, report.seq, report.hash) for report in reports]
            write_checkpoint(Path(checkpoint), before.with_heads(heads))
        return reports

    def _check_bytes(self, reports: Sequence["VerificationReport"]) -> list["VerificationReport"]:
        """Read every file of every version once; versions may share one logged model.

        Returns:
            The reports, with the places that could not be listed.
        """
        sealed = {files.location: files for report in reports for files in report.sealed}
        unlisted = set()
        for location, files in sealed.items():
            with explain_adopted(location, is_adopted=files.is_adopted):
                if not check_files(self.backend.blobs(location), files.manifest):
                    unlisted.add(location)
        return [
            replace(report, unlisted=tuple(sorted(unlisted & {files.location for files in report.sealed})))
            for report in reports
        ]


_WHAT: Final = "checkpoint file"
_FORMAT: Final = 1
_HASH: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The last event of each chain of one registry, by the uid of the model."""

    registry_id: str
    heads: Mapping[str, "ChainHead"]

    def with_heads(self, heads: Iterable["ChainHead"]) -> "Checkpoint":
        """Return the checkpoint with later ends of some chains."""
        return Checkpoint(self.registry_id, {**self.heads, **{head.model_uid: head for head in heads}})


def read_checkpoint(path: Path, registry_id: str) -> Checkpoint:
    """Read a checkpoint file. Return an empty checkpoint if there is no file.

    Raises:
        IntegrityError: It belongs to another registry.
        InvalidParameterError: The file is not a checkpoint.
        StorageError: It cannot be read.
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
    """Write a checkpoint file atomically.

    Raises:
        StorageError: The file cannot be written.
    """
    models = {
        uid: {"name": head.name, "sequence": head.seq, "hash": head.hash} for uid, head in checkpoint.heads.items()
    }
    write_json(path, {"format": _FORMAT, "registry_id": checkpoint.registry_id, "models": models}, _WHAT)


def compare(checkpoint: Checkpoint, chronicle: "HistoryStore") -> None:
    """Check that every chain still contains the last event that the checkpoint names.

    Raises:
        IntegrityError: A chain was cut off or rewritten since the checkpoint; the message names the model.
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


def _head(path: Path, uid: str, entry: Any) -> "ChainHead":
    from registry.store.registry.history_queries import ChainHead

    if isinstance(entry, dict):
        name, seq, digest = entry.get("name"), entry.get("sequence"), entry.get("hash")
        if isinstance(name, str) and type(seq) is int and isinstance(digest, str) and _HASH.fullmatch(digest):
            return ChainHead(uid, name, seq, digest)
    raise InvalidParameterError(f"The {_WHAT} {str(path)!r} has an entry for {uid!r} that cannot be read: {entry!r}.")
