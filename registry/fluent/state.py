"""The active run, experiment and tracking URI of the module-level functions.

The stack of active runs and the last run are per context (threads and asyncio tasks have their own) and last across the
cells of a notebook. Experiment and URIs are process-wide, in ``REGISTRY_*`` variables, which child processes inherit.
"""

import functools
import os
from pathlib import Path

from registry.client import MlflowClient
from registry.client.backend import close_all
from registry.entities import Run
from registry.fluent.notebook import CellVariable
from registry.settings import Settings, base_of, current_settings, set_variable

_stack: CellVariable[tuple[tuple[Run, MlflowClient], ...]] = CellVariable("registry_active_runs", ())
SPOOL_DIRECTORY = "registry-spool"
_last_run_id: CellVariable[str | None] = CellVariable("registry_last_run", None)


def client() -> MlflowClient:
    """Return a client for the tracking URI that is set now; the same one as long as nothing changes."""
    settings = current_settings()
    return _client(settings, base_of(settings.tracking_uri))


@functools.lru_cache(maxsize=16)
def _client(settings: Settings, _base: Path | None) -> MlflowClient:
    return MlflowClient(settings.tracking_uri, settings.registry_uri)


def active() -> tuple[Run, ...]:
    """Return the active runs of this context, outermost first."""
    return tuple(run for run, _ in _stack.get())


def active_with_client() -> tuple[Run, MlflowClient] | None:
    """Return the active run with the client that started it, or None.

    Values are logged where the run is, even if the tracking URI was changed since, and no setting is read for it.
    """
    stack = _stack.get()
    return stack[-1] if stack else None


def push(run: Run, run_client: MlflowClient) -> None:
    """Make a run the active one."""
    _stack.set((*_stack.get(), (run, run_client)))
    _last_run_id.set(run.info.run_id)


def pop() -> None:
    """Remove the active run from the stack."""
    stack = _stack.get()
    _stack.set(stack[:-1])
    _last_run_id.set(stack[-1][0].info.run_id)


def last_run_id() -> str | None:
    """Return the id of the run that was active last in this context."""
    return _last_run_id.get()


def forget_runs() -> None:
    """Let no run of this context be active, or have been."""
    _stack.set(())
    _last_run_id.set(None)


if hasattr(os, "register_at_fork"):
    # A child of fork works beside its parent: it must neither log to the parent's run nor end it.
    os.register_at_fork(after_in_child=forget_runs)


def set_tracking_uri(
    uri: str | Path | None, *, offline: bool | None = None, background_sync: bool | None = None
) -> None:
    """Set where runs and models are kept, for this process and its children. Nothing is opened yet.

    Args:
        uri: A directory (``file:./mlruns``), a database URL (``sqlite:///…``, ``postgresql+psycopg://…``), or
            ``s3://bucket/prefix``. None returns to the default.
        offline: Log to a spool first: to the local directory ``REGISTRY_SPOOL_DIR``, or ``./registry-spool`` if it is
            not set. `sync` sends it to `uri`, now or later. False logs to `uri` itself. Default: offline if
            ``REGISTRY_SPOOL_DIR`` is set.
        background_sync: While offline, whether a thread sends the spool to `uri` as long as the process lives. Default:
            ``REGISTRY_SPOOL_SYNC``, else False.

    Example:
        >>> mlflow.set_tracking_uri("sqlite:///season.db")
        >>> mlflow.get_tracking_uri()
        'sqlite:///season.db'
    """
    text = _uri_text(uri)
    set_variable("TRACKING_URI", text)
    if text is not None:
        base_of(text, anew=True)
    if offline is False:
        set_variable("SPOOL_DIR", None)
    elif offline and current_settings().spool_dir is None:
        set_variable("SPOOL_DIR", str(Path(SPOOL_DIRECTORY).absolute()))
    if background_sync is not None:
        set_variable("SPOOL_SYNC", str(background_sync).lower())


def get_tracking_uri() -> str:
    """Return where runs and models are kept.

    Returns:
        The URI that was set, else ``REGISTRY_TRACKING_URI`` or ``MLFLOW_TRACKING_URI``, else ``file:./mlruns``.

    Example:
        >>> mlflow.get_tracking_uri()
        'file:./mlruns'
    """
    return current_settings().tracking_uri


def set_registry_uri(uri: str | Path | None) -> None:
    """Set the registry URI, for MLflow scripts that do so.

    Runs and models share one database: a URI other than the tracking URI is refused when a client first connects.

    Args:
        uri: The tracking URI. None unsets it.

    Example:
        >>> mlflow.set_registry_uri(mlflow.get_tracking_uri())
        >>> mlflow.get_registry_uri()
        'file:./mlruns'
    """
    set_variable("REGISTRY_URI", _uri_text(uri))


def _uri_text(uri: str | Path | None) -> str | None:
    if not isinstance(uri, Path):
        return uri or None
    return uri.absolute().as_uri()


def get_registry_uri() -> str:
    """Return the registry URI.

    Returns:
        The registry URI that was set, else the tracking URI.

    Example:
        >>> mlflow.get_registry_uri()
        'file:./mlruns'
    """
    settings = current_settings()
    return settings.registry_uri or settings.tracking_uri


def is_tracking_uri_set() -> bool:
    """Tell whether a call or an environment variable set the tracking URI.

    Returns:
        True if it is set, False if the default applies.

    Example:
        >>> mlflow.is_tracking_uri_set()
        False
        >>> mlflow.set_tracking_uri("sqlite:///season.db")
        >>> mlflow.is_tracking_uri_set()
        True
    """
    return "tracking_uri" in current_settings().model_fields_set


def disconnect(timeout: float | None = None) -> None:
    """Close every connection of this process to databases and object stores.

    Values that were queued with ``synchronous=False`` are written first. The next call that needs a connection opens a
    new one. Active runs stay active. Call it before a database file is moved or removed, before a server is shut down,
    or in a notebook that stays open for days. A database in memory is lost.

    Args:
        timeout: Seconds to wait for queued values. Default: until they are written.

    Raises:
        UnavailableError: Queued values could not be written in time. The connections are closed nevertheless.

    Example:
        >>> mlflow.set_tracking_uri("sqlite:///season.db")
        >>> experiment = mlflow.set_experiment("season")
        >>> with mlflow.start_run():
        ...     mlflow.log_metric("auc", 0.91)
        >>> mlflow.disconnect()  # season.db can be copied now
    """
    _client.cache_clear()
    close_all(timeout)
