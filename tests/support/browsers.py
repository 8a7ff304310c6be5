"""Debian's Chromium for tests of pages, and a server of the page that it visits."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = Path("/usr/bin/chromium")


@contextmanager
def open_browser() -> Iterator[Any]:
    """Start Chromium; skip the test where there is none."""
    playwright = pytest.importorskip("playwright.sync_api")
    if not CHROMIUM.exists():
        pytest.skip(f"there is no {CHROMIUM}")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def served_page(uri: str, **site: Any) -> Iterator[Any]:
    """Serve the page of a registry in a thread; yield the `Server`."""
    from registry.web.server import Server
    from registry.web.site import Site

    server = Server(Site(tracking_uri=uri, **site), host="127.0.0.1", port=0)
    server.start()
    try:
        yield server
    finally:
        server.stop()


class Watched:
    """What went wrong in a browser's page: errors of scripts, refused content, failed requests."""

    def __init__(self, page: Any) -> None:
        self.problems: list[str] = []
        page.on("pageerror", lambda error: self.problems.append(f"script: {error}"))
        page.on("console", lambda line: line.type == "error" and self.problems.append(f"console: {line.text}"))
        page.on(
            "response", lambda answer: answer.status >= 500 and self.problems.append(f"{answer.status} {answer.url}")
        )


@contextmanager
def visitor(browser: Any, server: Any, **options: Any) -> Iterator[Any]:
    """Open a window that has signed in; what goes wrong in it fails the test."""
    context = browser.new_context(**options)
    page = context.new_page()
    watched = Watched(page)
    page.goto(server.url)
    try:
        yield page
        assert watched.problems == []
    finally:
        context.close()
