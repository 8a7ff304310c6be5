"""Serve the page with uvicorn, and print the URL that signs in."""

import socket
import threading
from collections.abc import Callable
from typing import Any, Final

from registry.exceptions import StorageError
from registry.flavors.optional_imports import optional_import
from registry.web.app import create_app
from registry.web.auth import TokenAuth
from registry.web.site import Site

LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


class Server:
    """One running page.

    The socket is bound when this is made, so that the address is known and an occupied port is an error at once.
    """

    def __init__(self, site: Site, *, host: str, port: int) -> None:
        uvicorn: Any = optional_import("uvicorn", "ui")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.site = site
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((host, port))
        except OSError as error:
            self._socket.close()
            raise StorageError(
                f"The address {host}:{port} cannot be used: {error.strerror or error}. Choose another with --port."
            ) from None
        self.port: int = self._socket.getsockname()[1]
        shown = f"[{host}]" if ":" in host else host
        self.address = f"http://{shown}:{self.port}"
        self._server = uvicorn.Server(
            uvicorn.Config(
                create_app(site),
                http="h11",  # it limits the size of headers
                lifespan="off",
                access_log=False,
                log_level="warning",
                proxy_headers=False,  # the Host header is checked, and a header of a proxy has its own rules
                server_header=False,
                h11_max_incomplete_event_size=64_000,
                limit_concurrency=200,
                timeout_graceful_shutdown=3,
            )
        )

    @property
    def url(self) -> str:
        """Return the URL to open; with the token, if one is needed."""
        auth = self.site.auth
        return f"{self.address}/?token={auth.token}" if isinstance(auth, TokenAuth) else f"{self.address}/"

    def run(self, when_up: Callable[[], None] | None = None) -> None:
        """Serve until Ctrl-C or SIGTERM."""
        self._socket.listen(128)
        if when_up is not None:
            when_up()
        self._server.run(sockets=[self._socket])

    def start(self) -> None:
        """Serve in a thread of this process, until it ends or `stop` is called."""
        self._socket.listen(128)
        threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True).start()

    def stop(self) -> None:
        """Stop serving; requests that run are finished."""
        self._server.should_exit = True
