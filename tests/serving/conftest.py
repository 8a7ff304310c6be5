"""Servers of models, without a socket."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from asgi_client import AsgiClient
from served_models import eventually, log_constant, promote

from registry.serving.options import ServeOptions, named_models
from registry.serving.run import create_app


@pytest.fixture
def two_versions(own_place: Path) -> None:
    """Versions 1 and 2 of ``churn`` answer 1 and 2; version 1 holds Production."""
    log_constant(1)
    log_constant(2)
    promote(1)


@pytest.fixture
def serve() -> Iterator[Callable[..., AsgiClient]]:
    """Return a function that serves models until the test ends, once they are loaded unless `ready` is False."""
    with ExitStack() as running:

        def start(*uris: str, ready: bool = True, **options: Any) -> AsgiClient:
            client = running.enter_context(
                AsgiClient(create_app(ServeOptions(named_models(uris), **{"every": 0.05, **options})))
            )
            if ready:
                eventually(lambda: client.get("/ping").status == 200)
            return client

        yield start
