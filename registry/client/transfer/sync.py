"""Sends what a spool holds, or any registry in a local directory, to another registry.

Guarantees: those of `run_copying`. Registered models are not sent: `copy_model` copies them.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from registry.client.backend import Backend, open_spool
from registry.client.transfer.run_copying import CopyMemory, RunCopier, Watcher, open_target
from registry.entities.copy_report import CopyReport
from registry.exceptions import NotFoundError
from registry.settings import DATABASE_FILE, current_base, current_settings, spool_path


class Sync:
    """Sends a directory to a tracking URI, whole at the first call, then what has changed since.

    Raises:
        NotFoundError: There is no registry in the directory.
    """

    def __init__(
        self, directory: str | Path, target_uri: str, *, base: Path | None = None, on_run: Watcher | None = None
    ) -> None:
        self.directory = spool_path(directory).absolute()
        self.target_uri = target_uri
        self._base = base or current_base(target_uri)
        self._on_run = on_run
        self._memory = CopyMemory()
        if not (self.directory / DATABASE_FILE).is_file():
            reason = "it is a file" if self.directory.is_file() else f"it has no file {DATABASE_FILE}"
            raise NotFoundError(
                f"There is no spool in {str(self.directory)!r}: {reason}. Give the directory that REGISTRY_SPOOL_DIR "
                "named, or that of a registry ('./mlruns')."
            )

    def send(self, *, dry_run: bool = False) -> CopyReport:
        """Send all that the target lacks, compare both sides and count them.

        Raises:
            UnavailableError: The target does not answer.
        """
        return self._copy(None, dry_run=dry_run)

    def send_new(self) -> CopyReport:
        """Send what was not sent by this object yet, without counting.

        Raises:
            UnavailableError: The target does not answer.
        """
        return self._copy(self._memory, dry_run=False)

    def _copy(self, memory: CopyMemory | None, *, dry_run: bool) -> CopyReport:
        settings = current_settings()
        source = open_spool(self.directory, settings)
        target = open_target(self.target_uri, base=self._base, read_only=dry_run)
        copier = RunCopier(
            source,
            target,
            source_uri=str(self.directory),
            target_uri=self.target_uri,
            dry_run=dry_run,
            memory=memory,
            places=_local_places(self.directory),
            on_run=self._on_run,
        )
        report = copier.copy(source.run_export.run_ids(), source.run_export.lone_models())
        return replace(report, notes=(*report.notes, *_left_models(source)))


def _left_models(source: Backend) -> list[str]:
    names = source.model_export.names()
    if not names:
        return []
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return [f"registered models are not sent by sync: {shown}; copy each with 'registry models copy'"]


def _local_places(directory: Path) -> Callable[[str], str]:
    """Return the function from the place that a spool's database names to the one below its directory.

    A spool that was moved, or copied from another machine, names places that are not there.
    """

    def place(uri: str) -> str:
        if uri.startswith("s3://") or Path(uri).is_relative_to(directory) or Path(uri).exists():
            return uri
        parts = Path(uri).parts
        # <root>/<experiment>/<run>/artifacts, or <root>/<experiment>/models/<model>/artifacts
        kept = 4 if parts[-3:-2] == ("models",) else 3
        moved = directory.joinpath(*parts[-kept:])
        return str(moved) if moved.exists() else uri

    return place
