"""Import the runs of other trackers, as far as they can be read without a service: W&B's offline runs, and trackio."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal

from registry.client import MlflowClient
from registry.exceptions import InvalidParameterError
from registry.mlflow_bridge.importing import Import, Options, Progress, ignore
from registry.mlflow_bridge.renames import read_renames
from registry.mlflow_bridge.report import TransferReport
from registry.mlflow_bridge.source import Source
from registry.mlflow_bridge.trackio_source import TrackioSource
from registry.mlflow_bridge.wandb_source import WandbSource
from registry.validation.paths import check_local_path

Tracker = Literal["wandb", "trackio"]

_SOURCES: Final[Mapping[str, Callable[[Path], Source]]] = {"wandb": WandbSource, "trackio": TrackioSource}


def import_runs(
    tracker: Tracker,
    path: str | Path,
    *,
    tracking_uri: str | Path | None = None,
    rename: Mapping[str, Mapping[str, str]] | str | Path | None = None,
    progress: Progress | None = None,
) -> TransferReport:
    """Import runs that W&B wrote offline, or that trackio wrote; calling it again imports what is new or has changed.

    A project becomes an experiment, the configuration params, and what was logged metrics with their whole histories;
    nested keys are joined by dots. Names, times, tags and files are kept. Ids are derived from those of the tracker,
    which are tags. Neither package need be installed.

    Args:
        tracker: ``"wandb"`` or ``"trackio"``.
        path: For W&B a directory ``wandb``, its parent, or one run's directory; for trackio its directory, such as
            ``~/.cache/huggingface/trackio``, or one project's ``*.db``.
        tracking_uri: The registry to import into. Default: the one that is set.
        rename: New names for ``experiments`` and ``keys`` that are not allowed here; see `import_mlflow`.
        progress: Called with a kind, how many are done, and how many there are (0 if that is not known).

    Returns:
        What both sides have now, what was compared, and what could not be imported.

    Raises:
        InvalidNameError: Names of projects are not allowed here. Nothing was imported.
        InvalidParameterError: There is no such tracker.
        InvalidStateError: There are no runs of this tracker at `path`.
        UnavailableError: A file cannot be read.

    Example:
        >>> import sqlite3
        >>> from registry.mlflow_bridge import import_runs
        >>> _ = sqlite3.connect("games.db").executescript('''
        ...     CREATE TABLE metrics (id INTEGER, timestamp TEXT, run_name TEXT, step INTEGER, metrics TEXT);
        ...     INSERT INTO metrics VALUES (1, '2026-03-01T12:00:00+00:00', 'deep', 0, '{"auc": 0.9}');
        ... ''')
        >>> import_runs("trackio", "games.db").by_kind["points"].here
        1
    """
    if tracker not in _SOURCES:
        raise InvalidParameterError(f"tracker must be 'wandb' or 'trackio', got {tracker!r}.")
    renames: Any = read_renames(rename)
    source = _SOURCES[tracker](check_local_path(path))
    try:
        options = Options(False, False, None, renames, progress or ignore)
        return Import(MlflowClient(tracking_uri), source, options).run(rename)
    finally:
        source.close()
