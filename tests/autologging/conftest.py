"""Fixtures for tests of autologging: what it warns of, and what it logged."""

import logging
from collections.abc import Iterator

import pytest

import registry


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """Return a function's view of the warnings that autologging has logged so far."""
    messages: list[str] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record.getMessage())

    handler = Collect(logging.WARNING)
    logging.getLogger("registry.autologging").addHandler(handler)
    yield messages
    logging.getLogger("registry.autologging").removeHandler(handler)


@pytest.fixture
def runs() -> object:
    """Return a function that lists all runs, oldest first, after what is uploaded in the background."""

    def find() -> list[registry.entities.Run]:
        client = registry.MlflowClient()
        ids = [experiment.experiment_id for experiment in client.search_experiments()]
        return list(client.search_runs(ids, order_by=["attributes.start_time"]))

    return find
