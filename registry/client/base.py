"""The base of the client's mixins: the tracking URI and a backend that is opened on first use."""

import functools
from pathlib import Path
from typing import Any

from registry.client.backend import Backend, open_backend, refuse_other_registry
from registry.exceptions import InvalidStateError
from registry.settings import current_settings, redacted_uri


class ClientBase:
    """A tracking URI and the stores behind it."""

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
        self._registry_uri = registry_uri if registry_uri is not None else settings.registry_uri
        self._read_only = read_only
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
        return {name: value for name, value in self.__dict__.items() if name != "backend"}

    @property
    def tracking_uri(self) -> str:
        """Return the tracking URI of this client."""
        return self._tracking_uri

    @functools.cached_property
    def backend(self) -> Backend:
        """Return the stores behind this client; opening them may migrate an empty SQLite file."""
        refuse_other_registry(self._tracking_uri, self._registry_uri)
        return open_backend(self._tracking_uri, current_settings(), read_only=self._read_only)
