"""Module-level function that sends a spool to its registry."""

from pathlib import Path

from registry.client.async_logging import flush_all
from registry.client.transfer.sync import Sync
from registry.entities.copy_report import CopyReport
from registry.exceptions import InvalidParameterError
from registry.settings import current_settings, spool_directory


def sync(directory: str | Path | None = None, *, to: str | Path | None = None, dry_run: bool = False) -> CopyReport:
    """Send the runs of a spool, with their points, files and logged models, to a registry.

    Values that this process logs in the background (``synchronous=False``) are written first, and sent too.
    Only what the registry lacks is sent, so a sync may be interrupted at any point and repeated, and several may work
    at once. Runs that went on since the last sync are completed. The spool stays as it is; remove it once its runs have
    arrived.

    Args:
        directory: The spool, or the directory of any registry. Default: ``REGISTRY_SPOOL_DIR``.
        to: Tracking URI of the registry. Default: the tracking URI that is set.
        dry_run: Only report what would be sent.

    Returns:
        What was done with each run, and what both sides have of them now. A run that was deleted in the registry is not
        brought back: it is ``skipped``, with a note.

    Raises:
        ConflictError: The registry has a different run, or logged model, of the same id. The others were sent.
        InvalidParameterError: There is no spool: none is given, and none is set.
        NotFoundError: The directory holds no spool.
        UnavailableError: The registry cannot be reached. What was sent stays there; repeat the call.

    Example:
        >>> mlflow.set_tracking_uri("sqlite:///team.db", offline=True)
        >>> experiment = mlflow.set_experiment("season")
        >>> with mlflow.start_run() as run:
        ...     mlflow.log_metric("auc", 0.91)
        >>> report = mlflow.sync()
        >>> report.outcomes, report.target_counts.points
        ({'copied': 1}, 1)
        >>> mlflow.set_tracking_uri("sqlite:///team.db", offline=False)
        >>> mlflow.get_run(run.info.run_id).data.metrics
        {'auc': 0.91}
    """
    settings = current_settings()
    spool = directory or spool_directory(settings, settings.tracking_uri)
    if spool is None:
        raise InvalidParameterError(
            "There is no spool to send: give its directory, or set REGISTRY_SPOOL_DIR, or call set_tracking_uri(…, "
            "offline=True)."
        )
    flush_all()
    report = Sync(spool, settings.tracking_uri if to is None else str(to)).send(dry_run=dry_run)
    report.raise_errors()
    return report
