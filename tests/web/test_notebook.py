"""The page inside a notebook."""

import http.server
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import registry
from registry.web.notebook import NotebookPage


@pytest.fixture
def shown(sqlite_url: str) -> Iterator[NotebookPage]:
    """Return the page of a registry with one model, as a notebook gets it."""
    registry.set_tracking_uri(sqlite_url)
    registry.MlflowClient().create_registered_model("churn")
    page = registry.ui(height=500)
    yield page
    page.stop()


def test_the_same_registry_has_one_page_until_it_is_stopped(shown: NotebookPage) -> None:
    assert registry.ui() is shown
    assert repr(shown) == f"The page is at {shown.url}"
    shown.stop()
    other = registry.ui()
    assert other is not shown
    other.stop()


@pytest.mark.slow
def test_a_notebook_shows_it_in_a_frame(browser: Any, shown: NotebookPage) -> None:
    class Notebook(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(shown._repr_html_().encode())

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Notebook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    context = browser.new_context()
    try:
        page = context.new_page()
        page.goto(f"http://localhost:{server.server_port}/")
        frame = page.frame_locator("iframe")
        frame.get_by_role("link", name="Models").first.click()
        assert frame.get_by_role("link", name="churn").inner_text() == "churn"
    finally:
        context.close()
        server.shutdown()
        server.server_close()
