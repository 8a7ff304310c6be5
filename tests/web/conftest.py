"""Fixtures of the page's tests."""

from collections.abc import Iterator
from typing import Any

import pytest
from browsers import open_browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Return Debian's Chromium. While it is open, asyncio says that a loop is running, so it is closed in the end."""
    with open_browser() as chromium:
        yield chromium
