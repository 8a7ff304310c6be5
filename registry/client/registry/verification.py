"""Verifying: that histories are whole, tables and bytes are what they say, and nothing changed since a checkpoint."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from registry.client.atomic_files import read_json, write_json
from registry.client.base import ClientBase
from registry.client.models.loading import check_files
from registry.exceptions import IntegrityError, InvalidParameterError
from registry.store.registry import HistoryStore
from registry.store.registry.history_queries import ChainHead
from registry.store.registry.verify_history import VerificationReport
from registry.validation.names import check_model_name
from registry.validation.paths import check_local_path


class VerificationMethods(ClientBase):
    """What a client does to find out whether the record can be trusted."""

    def verify(
        self, name: str, *, read_bytes: bool = False, checkpoint: str | Path | None = None
    ) -> VerificationReport:
        """Check that a model's chain is whole and its tables are what it says; with `read_bytes` every file too.

        A `checkpoint` file is compared with the histories that it names, then brought up to date; if there is none it
        is made. Keep it where those who write the database cannot write.

        Raises:
            ModelNotFoundError: no such model.
            IntegrityError: the first thing that is wrong.
        """
        checked = check_model_name(name)
        return self._verified(lambda: [self.backend.verification.verify(checked)], read_bytes, checkpoint)[0]

    def verify_all(self, *, read_bytes: bool = False, checkpoint: str | Path | None = None) -> list[VerificationReport]:
        """`verify` of every model, deleted ones included, and whether one of them is gone.

        Raises:
            IntegrityError: the first thing that is wrong.
        """
        return self._verified(self._all_reports, read_bytes, checkpoint)

    def _all_reports(self) -> list[VerificationReport]:
        self.backend.verification.check_complete()
        return [self.backend.verification.verify_uid(head.model_uid) for head in self.backend.history.heads()]

    def _verified(
        self, look: Callable[[], list[VerificationReport]], read_bytes: bool, checkpoint: str | Path | None
    ) -> list[VerificationReport]:
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

    def _check_bytes(self, reports: Sequence[VerificationReport]) -> list[VerificationReport]:
        """Read every file of every version once; versions may share one logged model.

        Returns:
            The reports, with the places that could not be listed.
        """
        sealed = {files.location: files.manifest for report in reports for files in report.sealed}
        unlisted = {
            location for location, manifest in sealed.items() if not check_files(self.backend, location, manifest)
        }
        return [
            replace(report, unlisted=tuple(sorted(unlisted & {files.location for files in report.sealed})))
            for report in reports
        ]


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


def compare(checkpoint: Checkpoint, chronicle: HistoryStore) -> None:
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
