"""What the tests of the database share."""

from collections.abc import Iterator

import pytest
from lossy_proxy import LossyProxy, lossy_proxy
from postgres_server import PostgresServer


@pytest.fixture
def proxy(postgres_server: PostgresServer) -> Iterator[LossyProxy]:
    """A proxy before the server, for as long as a test lasts."""
    with lossy_proxy(postgres_server.port) as started:
        yield started
