"""The page in a real browser."""

from typing import Any

import pytest
from browsers import Watched, served_page

pytestmark = pytest.mark.slow


def test_the_printed_address_signs_in(browser: Any, sqlite_url: str) -> None:
    with served_page(sqlite_url) as server:
        page = browser.new_context().new_page()
        watched = Watched(page)
        page.goto(server.url)
        assert page.url == f"{server.address}/"
        page.keyboard.press("g")
        page.keyboard.press("m")
        page.wait_for_url(f"{server.address}/models")
        assert watched.problems == []
