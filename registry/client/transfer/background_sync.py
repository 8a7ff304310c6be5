"""Sends a spool while its process lives, in one thread per spool and target.

Guarantees: what the process logs never waits for the target and never fails because of it. A target that is away is
waited for; what is left when the process ends is named in the log, and ``registry sync`` sends it.
"""

import atexit
import contextlib
import importlib
import logging
import os
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from registry.blobs.locks import FileLock
from registry.client.async_logging import flush_all
from registry.client.backend import before_close
from registry.client.base import when_spool_opens
from registry.exceptions import RegistryError, UnavailableError
from registry.settings import sync_command

if TYPE_CHECKING:
    from registry.client.transfer.sync import Sync
    from registry.entities.copy_report import CopyReport

LOCK_FILE: Final = ".registry-sync.lock"
# A pass takes at most a tenth of the time: it reads from the same disk and interpreter as what it sends.
_LEAST_PAUSE_SECONDS: Final = 2.0
_PAUSE_FACTOR: Final = 10.0
_LONGEST_PAUSE_SECONDS: Final = 30.0
_REMINDER_SECONDS: Final = 60.0
_LAST_WAIT_SECONDS: Final = 60.0
_LAST_WAIT_AWAY_SECONDS: Final = 5.0
_logger = logging.getLogger("registry")


class BackgroundSync:
    """The thread that sends a spool to a target."""

    def __init__(self, directory: Path, target_uri: str, base: Path | None) -> None:
        self._directory = directory
        self._target_uri = target_uri
        self._base = base
        self._sync: Sync | None = None
        self._wake = threading.Event()
        self._is_ending = False
        self._is_stopped = False
        self._last: CopyReport | None = None
        self._failure: str | None = None
        self._warned = -_REMINDER_SECONDS
        # Transfers use it, and it cannot be imported for the first time while the interpreter shuts down.
        importlib.import_module("concurrent.futures.thread")
        self._thread = threading.Thread(target=self._run, name="registry-spool-sync", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread after the pass that it is in, for which the caller waits a while."""
        self._is_stopped = True
        self._wake.set()
        self._thread.join(_LAST_WAIT_AWAY_SECONDS)

    def finish(self) -> None:
        """Let the thread make a last pass, wait for it for a while, and say what is left."""
        self._is_ending = True
        self._wake.set()
        self._thread.join(_LAST_WAIT_AWAY_SECONDS if self._failure else _LAST_WAIT_SECONDS)
        errors = self._last.errors if self._last else ()
        if self._thread.is_alive() or self._failure or errors:
            reason = self._failure or "; ".join(error.message for error in errors[:3])
            _logger.warning(
                "The process ends before all of %s was sent%s. Send the rest with: %s",
                self._directory,
                f" ({reason})" if reason else "",
                sync_command(self._directory, self._target_uri),
            )

    def _run(self) -> None:
        pause = _LEAST_PAUSE_SECONDS
        while True:
            self._wake.wait(pause)
            if self._is_stopped:
                return
            is_last = self._is_ending
            began = time.monotonic()
            with self._turn() as is_ours:
                if is_ours or is_last:  # at its end, each process sends what is left of its own
                    self._pass()
            if is_last:
                return
            if self._failure:
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS) * random.uniform(0.5, 1)  # noqa: S311 - not a secret
                pause = max(pause, _LEAST_PAUSE_SECONDS)
            else:
                pause = max(_LEAST_PAUSE_SECONDS, _PAUSE_FACTOR * (time.monotonic() - began))

    @contextlib.contextmanager
    def _turn(self) -> Iterator[bool]:
        """Yield whether this process sends now: of several with one spool, one does."""
        try:
            lock = FileLock.attempt(self._directory / LOCK_FILE, create=True)
        except OSError:  # a full disk, or another user's file: sending without it does no harm
            yield True
            return
        try:
            yield lock is not None
        finally:
            if lock is not None:
                lock.release()

    def _pass(self) -> None:
        from registry.client.transfer.sync import Sync

        try:
            if self._sync is None:
                self._sync = Sync(self._directory, self._target_uri, base=self._base)
            self._last = self._sync.send_new()
        except UnavailableError as error:
            # The server that answers next may be a promoted standby that lacks what this one had: compare all again.
            self._sync = None
            self._fail("The spool %s waits for its target: %s", error.message)
        except RegistryError as error:
            self._fail("The spool %s could not be sent and is tried again: %s", error.message)
        except Exception as error:
            # This thread has no caller to raise to: keep the traceback in the log, and go on.
            _logger.debug("Sending %s failed", self._directory, exc_info=True)
            self._fail("The spool %s could not be sent and is tried again: %s", repr(error))
        else:
            if self._failure:
                _logger.warning("The spool %s reaches its target again.", self._directory)
                self._warned = -_REMINDER_SECONDS
            self._failure = None
            if errors := self._last.errors:
                self._warn("Some of the spool %s could not be sent and is tried again: %s", errors[0].message)

    def _fail(self, text: str, message: str) -> None:
        self._failure = message
        self._warn(text, message)

    def _warn(self, text: str, message: str) -> None:
        if time.monotonic() - self._warned >= _REMINDER_SECONDS:
            self._warned = time.monotonic()
            _logger.warning(text, self._directory, message)


_running: dict[tuple[Path, str], BackgroundSync] = {}
_lock = threading.Lock()


def begin(directory: Path, target_uri: str, base: Path | None) -> None:
    """Begin to send a spool, unless this process does already."""
    with _lock:
        if (directory, target_uri) not in _running:
            _running[directory, target_uri] = BackgroundSync(directory, target_uri, base)


def stop_all() -> None:
    """End the threads of this process; what they have not sent stays in the spool."""
    while _running:
        _running.popitem()[1].stop()


def _finish_all() -> None:
    with contextlib.suppress(UnavailableError):  # what could not be logged is reported by the queue itself
        flush_all(_LAST_WAIT_SECONDS)
    while _running:
        _running.popitem()[1].finish()


def _forget_in_child() -> None:
    global _lock
    _lock = threading.Lock()  # another thread of the parent may hold the old one
    _running.clear()  # the threads stay with the parent


when_spool_opens.append(begin)
before_close.append(stop_all)
# Registered when the client is imported: so it runs after the active runs were ended, and before connections close.
atexit.register(_finish_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
