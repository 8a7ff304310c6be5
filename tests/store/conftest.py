"""Fixtures of the database tests."""

from collections.abc import Iterator

import pytest
from lossy_proxy import LossyProxy, lossy_proxy
from postgres_server import PostgresServer


@pytest.fixture
def proxy(postgres_server: PostgresServer) -> Iterator[LossyProxy]:
    """A proxy in front of the server, for one test."""
    with lossy_proxy(postgres_server.port) as started:
        yield started
