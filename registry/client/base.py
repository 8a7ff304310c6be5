"""The base of the client's mixins: the tracking URI and a backend that is opened on first use."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from registry.client.backend import Backend, open_backend, open_spool, refuse_other_registry
from registry.exceptions import InvalidStateError
from registry.settings import base_of, current_base, current_settings, place_of, redacted_uri, spool_directory

when_spool_opens: list[Callable[[Path, str, Path | None], None]] = []
"""What begins when an offline client opens its spool: called with its directory, the target and the target's base."""


class ClientBase:
    """A tracking URI and the stores behind it."""

    _backend: Backend | None = None

    def __init__(
        self, tracking_uri: str | Path | None = None, registry_uri: str | None = None, *, read_only: bool = False
    ) -> None:
        """Remember the tracking URI; open nothing.

        Args:
            tracking_uri: Where runs and models are kept. Default: the URI that is set now.
            registry_uri: For MLflow scripts; it must be the tracking URI.
            read_only: Refuse every change.
        """
        settings = current_settings()
        self._tracking_uri = settings.tracking_uri if tracking_uri is None else str(tracking_uri)
        # A relative path counts from here, or from where the setting was used first.
        self._base = (base_of if self._tracking_uri == settings.tracking_uri else current_base)(self._tracking_uri)
        self._registry_uri = registry_uri if registry_uri is not None else settings.registry_uri
        self._read_only = read_only
        self._spool = spool_directory(settings, self._tracking_uri)
        self._queues_logs = settings.enable_async_logging

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for a pickle, without open connections.

        Raises:
            InvalidStateError: The tracking URI has a password.
        """
        if any(uri and redacted_uri(uri) != uri for uri in (self._tracking_uri, self._registry_uri)):
            raise InvalidStateError(
                "A client whose tracking URI has a password is not pickled. Make another in the other process, which "
                "inherits REGISTRY_TRACKING_URI, or leave the password to PGPASSFILE or PGPASSWORD."
            )
        return {name: value for name, value in self.__dict__.items() if name != "_backend"}

    @property
    def tracking_uri(self) -> str:
        """Return the tracking URI of this client."""
        return self._tracking_uri

    @property
    def backend(self) -> Backend:
        """Return the stores behind this client, after what this process uploads in the background is stored."""
        backend = self._backend_for_logging
        backend.tasks.wait()
        return backend

    @property
    def _backend_for_logging(self) -> Backend:
        """Return the stores without waiting for uploads; opening them may migrate an empty SQLite file."""
        # No cached_property: until Python 3.12 it has a lock, which a fork would copy while another thread holds it.
        if self._backend is None:
            refuse_other_registry(self._tracking_uri, self._registry_uri)
            self._backend = self._open()
        return self._backend

    def _open(self) -> Backend:
        settings = current_settings()
        # A tracking URI that cannot be used is an error now, not when everything is to be sent to it.
        place = place_of(self._tracking_uri, settings, self._base)
        if self._spool is None or place.directory == self._spool:
            return open_backend(self._tracking_uri, settings, base=self._base, read_only=self._read_only)
        backend = open_spool(self._spool, settings, spool_of=self._tracking_uri, read_only=self._read_only)
        if settings.spool_sync and not self._read_only:
            for begin in when_spool_opens:
                begin(self._spool, self._tracking_uri, self._base)
        return backend
