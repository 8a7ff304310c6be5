"""Run the server: one process, or several workers that are started fresh.

Workers are spawned, never forked: a child of a process that has predicted with several OpenMP threads would wait for
them forever. Guarantees: SIGTERM ends the server after the requests that it has taken; a worker that dies is replaced.
"""

import gc
import inspect
import logging
import os
import socket
import tempfile
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from registry.exceptions import MissingDependencyError, UnavailableError
from registry.package_name import install_command
from registry.serving.options import ServeOptions

_OPTIONS: Final = "_REGISTRY_SERVE_OPTIONS"
_BACKLOG: Final = 2048
_KEEP_ALIVE_SECONDS: Final = 75
# The rows of a request are thousands of lists that end with it. Looking for cycles among them at Python's own rate of
# 700 costs a twelfth of reading them.
_OBJECTS_BETWEEN_COLLECTIONS: Final = 20_000
# Libraries read these when they are loaded; a worker of several takes no more than its share of the processors.
_THREAD_VARIABLES: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def run(
    options: ServeOptions,
    host: str,
    port: int,
    *,
    ssl: dict[str, Any] | None = None,
    on_start: Callable[[str], None] = lambda _address: None,
) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        options: What is served.
        host: The address to listen on.
        port: The port; 0 takes a free one.
        ssl: uvicorn's options for TLS, such as ``ssl_certfile``.
        on_start: Called with the address when it is bound.

    Raises:
        UnavailableError: The address cannot be bound.
        MissingDependencyError: The extra ``serve`` is not installed.
    """
    try:
        import uvicorn
        from uvicorn.supervisors import Multiprocess
    except ImportError:
        raise MissingDependencyError(
            f"A server needs uvicorn, starlette and msgspec: {install_command('serve')}"
        ) from None
    options.read_token()  # a token that cannot be read is told here, not by each worker
    settings: dict[str, Any] = {
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "lifespan": "on",
        "timeout_keep_alive": _KEEP_ALIVE_SECONDS,
        "timeout_graceful_shutdown": int(options.timeout) + 1,
        "ws": "none",
        "factory": True,
        **(ssl or {}),
    }
    listener = _bound(host, port)
    with listener, tempfile.TemporaryDirectory(prefix="registry-serve-") as shared:
        address = listener.getsockname()
        shown = f"[{address[0]}]" if ":" in address[0] else address[0]
        on_start(f"{'https' if ssl else 'http'}://{shown}:{address[1]}")
        configure_logging()
        if options.workers == 1:
            gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
            config = uvicorn.Config(lambda: create_app(options), **settings)
            uvicorn.Server(config).run(sockets=[listener])
            return
        for name in _THREAD_VARIABLES:
            os.environ.setdefault(name, str(options.nthread))
        os.environ[_OPTIONS] = replace(options, shared=shared).to_json()
        config = uvicorn.Config("registry.serving.run:create_worker_app", workers=options.workers, **settings)
        supervisor: Any = Multiprocess
        # Older releases of uvicorn ask for what newer ones know.
        known = inspect.signature(supervisor).parameters
        target = {"target": uvicorn.Server(config).run} if "target" in known else {}
        supervisor(config, sockets=[listener], **target).run()


def create_app(options: ServeOptions) -> Any:
    """Return the ASGI application, for another server than `run`; it needs the lifespan protocol."""
    from registry.serving.app import Server

    return Server(options, options.read_token())


def create_worker_app() -> Any:
    """Return the application of a worker; its options are in the environment."""
    configure_logging()
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    return create_app(ServeOptions.from_json(os.environ[_OPTIONS]))


def configure_logging() -> None:
    """Write warnings, and what this package says about swaps, to stderr."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("registry").setLevel(logging.INFO)


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host.strip("[]"), port), family=family, backlog=_BACKLOG)
    except (OSError, OverflowError) as error:
        raise UnavailableError(
            f"{host}:{port} cannot be listened on: {error}. Give another --port or --host."
        ) from None
    listener.set_inheritable(True)
    return listener
