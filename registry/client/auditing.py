"""Verifying: that histories are whole, tables and bytes are what they say, and nothing changed since a checkpoint."""

from collections.abc import Callable, Sequence
from pathlib import Path

from registry.client.base import ClientBase
from registry.client.checkpoints import compare, read_checkpoint, write_checkpoint
from registry.client.loading import check_files
from registry.entities.arguments import check_local_path
from registry.entities.naming import check_model_name
from registry.store.catalog.audit import AuditReport
from registry.store.catalog.chronicle import ChainHead


class AuditMethods(ClientBase):
    """What a client does to find out whether the record can be trusted."""

    def verify(self, name: str, *, read_bytes: bool = False, checkpoint: str | Path | None = None) -> AuditReport:
        """Check that a model's chain is whole and its tables are what it says; with `read_bytes` every file too.

        A `checkpoint` file is compared with the histories that it names, then brought up to date; if there is none it
        is made. Keep it where those who write the database cannot write.

        Raises:
            ModelNotFoundError: no such model.
            IntegrityError: the first thing that is wrong.
        """
        checked = check_model_name(name)
        return self._verified(lambda: [self.backend.audit.verify(checked)], read_bytes, checkpoint)[0]

    def verify_all(self, *, read_bytes: bool = False, checkpoint: str | Path | None = None) -> list[AuditReport]:
        """`verify` of every model, deleted ones included, and whether one of them is gone.

        Raises:
            IntegrityError: the first thing that is wrong.
        """
        return self._verified(self._all_reports, read_bytes, checkpoint)

    def _all_reports(self) -> list[AuditReport]:
        self.backend.audit.check_complete()
        return [self.backend.audit.verify_uid(head.model_uid) for head in self.backend.chronicle.heads()]

    def _verified(
        self, look: Callable[[], list[AuditReport]], read_bytes: bool, checkpoint: str | Path | None
    ) -> list[AuditReport]:
        before = None
        if checkpoint is not None:
            before = read_checkpoint(check_local_path(checkpoint), self.backend.experiments.registry_id())
            compare(before, self.backend.chronicle)
        reports = look()
        if read_bytes:
            self._check_bytes(reports)
        if checkpoint is not None and before is not None:
            heads = [ChainHead(report.model_uid, report.name, report.seq, report.hash) for report in reports]
            write_checkpoint(Path(checkpoint), before.with_heads(heads))
        return reports

    def _check_bytes(self, reports: Sequence[AuditReport]) -> None:
        """Read every file of every version once; versions may share one logged model."""
        sealed = {files.location: files.manifest for report in reports for files in report.sealed}
        for location, manifest in sealed.items():
            check_files(self.backend, location, manifest)
