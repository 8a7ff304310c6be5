"""What one server of the page was started with: the registry, who may visit, and its secret."""

import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from registry.client import MlflowClient
from registry.client.backend import Backend, open_backend
from registry.settings import current_settings
from registry.store.registry.overview import Rights
from registry.web.auth import Auth, TokenAuth

_RIGHTS_SECONDS: Final = 30.0
_STATEMENT_SECONDS: Final = 30.0


class ActorClient(MlflowClient):
    """A client that changes things under a name of its own, not that of the process."""

    def __init__(self, actor: str, tracking_uri: str | None, *, read_only: bool) -> None:
        super().__init__(tracking_uri, read_only=read_only)
        self._actor = actor

    def _open(self) -> Backend:
        settings = current_settings()
        # A training waits for a database; who looks at a page wants to be told.
        seconds = min(settings.statement_timeout_seconds or _STATEMENT_SECONDS, _STATEMENT_SECONDS)
        limits = {"statement_timeout_seconds": seconds, "database_patience": 0}
        settings = settings.model_copy(update={"actor": self._actor, **limits})
        return open_backend(self._tracking_uri, settings, base=self._base, read_only=self._read_only)


@dataclass(frozen=True, eq=False)
class Site:
    """One server of the page.

    Attributes:
        auth: How visitors are recognised.
        hosts: The names, without a port, under which browsers may ask for the page.
        tracking_uri: The registry; None for the one that is set.
        read_only: Whether the database is opened read-only and no forms are shown.
        frame_hosts: Origins of notebooks that may show the page in a frame.
        secret: Signs sessions and forms, while the process lives.
    """

    auth: Auth = field(default_factory=TokenAuth)
    hosts: frozenset[str] = frozenset({"localhost", "127.0.0.1", "::1"})
    tracking_uri: str | None = None
    read_only: bool = False
    frame_hosts: tuple[str, ...] = ()
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    _clients: dict[str, MlflowClient] = field(default_factory=dict, repr=False)
    _rights: list[tuple[float, Rights]] = field(default_factory=list, repr=False)

    def client(self, actor: str) -> MlflowClient:
        """Return the client that acts under a name."""
        if actor not in self._clients:
            self._clients[actor] = ActorClient(actor, self.tracking_uri, read_only=self.read_only)
        return self._clients[actor]

    def read_rights(self, client: MlflowClient) -> None:
        """Ask the database what its user may do, unless that was done half a minute ago."""
        if not self._rights or time.monotonic() - self._rights[0][0] > _RIGHTS_SECONDS:
            self._rights[:] = [(time.monotonic(), client.backend.overview.rights())]

    @property
    def rights(self) -> Rights:
        """Return what the database's user may do, as it was read last."""
        return self._rights[0][1] if self._rights else Rights()

    def sign(self, *parts: str) -> str:
        """Return the signature (hex) of some texts, which nobody else can make."""
        message = b"".join(len(part.encode()).to_bytes(4) + part.encode() for part in parts)
        return hmac.new(self.secret, message, hashlib.sha256).hexdigest()

    @property
    def cookie(self) -> str:
        """Return the name of the session's cookie; browsers share cookies among the ports of a host."""
        return f"registry-{self.sign('cookie')[:12]}"


def static_directory() -> Path:
    """Return the directory of our style sheets and scripts."""
    return Path(__file__).with_name("static")
