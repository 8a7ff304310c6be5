"""Which run is active, and which experiment and place are set.

The stack of active runs and the last run are per context (threads and asyncio tasks each have their own) and live
across the cells of a notebook. Experiment and URIs are process-wide and live in ``REGISTRY_*`` variables, which child
processes inherit.
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
_last_run_id: CellVariable[str | None] = CellVariable("registry_last_run", None)


def client() -> MlflowClient:
    """A client for the tracking URI that is set now; the same one as long as nothing changes."""
    settings = current_settings()
    return _client(settings, base_of(settings.tracking_uri))


@functools.lru_cache(maxsize=16)
def _client(settings: Settings, _base: Path | None) -> MlflowClient:
    return MlflowClient(settings.tracking_uri, settings.registry_uri)


def active() -> tuple[Run, ...]:
    """The active runs of this context, outermost first."""
    return tuple(run for run, _ in _stack.get())


def active_with_client() -> tuple[Run, MlflowClient] | None:
    """The active run with the client that it was started with, or None.

    What is logged to a run goes where the run is, whatever was set since; and no setting is read for it.
    """
    stack = _stack.get()
    return stack[-1] if stack else None


def push(run: Run, run_client: MlflowClient) -> None:
    """Make a run the active one."""
    _stack.set((*_stack.get(), (run, run_client)))
    _last_run_id.set(run.info.run_id)


def pop() -> None:
    """Take the active run off the stack."""
    stack = _stack.get()
    _stack.set(stack[:-1])
    _last_run_id.set(stack[-1][0].info.run_id)


def last_run_id() -> str | None:
    """The id of the run that was active last in this context."""
    return _last_run_id.get()


def _forget_parents_runs() -> None:
    # A child of fork works beside its parent: it must neither log to the parent's run nor end it.
    _stack.set(())
    _last_run_id.set(None)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_parents_runs)


def set_tracking_uri(uri: str | Path | None) -> None:
    """Say where runs and models are kept, for this process and its children; None goes back to the default.

    A directory (``file:./mlruns``), a database URL, or ``s3://bucket/prefix``. Nothing is opened yet.
    """
    text = _as_text(uri)
    set_variable("TRACKING_URI", text)
    if text is not None:
        base_of(text, anew=True)


def get_tracking_uri() -> str:
    """Where runs and models are kept."""
    return current_settings().tracking_uri


def set_registry_uri(uri: str | Path | None) -> None:
    """For scripts that set it: it must be the tracking URI, as both share one database; None unsets it."""
    set_variable("REGISTRY_URI", _as_text(uri))


def _as_text(uri: str | Path | None) -> str | None:
    if not isinstance(uri, Path):
        return uri or None
    return uri.absolute().as_uri()


def get_registry_uri() -> str:
    """The registry URI, which is the tracking URI unless another was set."""
    settings = current_settings()
    return settings.registry_uri or settings.tracking_uri


def is_tracking_uri_set() -> bool:
    """Whether a tracking URI was set by a call or a variable."""
    return "tracking_uri" in current_settings().model_fields_set


def disconnect(timeout: float | None = None) -> None:
    """Close every connection of this process to databases and object stores.

    Write what was logged with ``synchronous=False`` first. Nothing has to be opened again by hand: the next call that
    needs a connection opens one. Active runs stay active. Call it before a database file is moved or removed, before
    a server is shut down, or in a notebook that stays open for days. A database in memory is lost.

    Args:
        timeout: How many seconds to wait for what is still queued. None waits until it is written.

    Raises:
        UnavailableError: what was queued could not be written in time; the connections are closed nevertheless.

    Example:
        >>> import registry
        >>> registry.set_tracking_uri("sqlite:///season.db")
        >>> with registry.start_run():
        ...     registry.log_metric("auc", 0.91)
        >>> registry.disconnect()  # season.db can be copied now
    """
    _client.cache_clear()
    close_all(timeout)
