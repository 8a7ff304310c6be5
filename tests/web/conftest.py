"""Fixtures of the page's tests: one Chromium per session."""

from collections.abc import Iterator
from typing import Any

import pytest
from browsers import open_browser


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Return Debian's Chromium."""
    with open_browser() as chromium:
        yield chromium
