"""`ui`: the page inside a notebook."""

from html import escape
from typing import TYPE_CHECKING, Final

from registry.fluent import state
from registry.settings import base_of

if TYPE_CHECKING:
    from registry.web.server import Server

# Where notebooks come from that run on this machine.
_NOTEBOOKS: Final = ("http://localhost:*", "http://127.0.0.1:*", "vscode-webview:")


class NotebookPage:
    """The page, served by this process; a notebook shows it in a frame.

    Attributes:
        url: The address, with the token that signs in.
    """

    def __init__(self, server: "Server", height: int) -> None:
        self._server = server
        self._height = height
        # Notebooks are opened under this name by default; a frame of another site would get no cookie.
        self.url = server.url.replace("127.0.0.1", "localhost")

    def __repr__(self) -> str:
        return f"The page is at {self.url}"

    def _repr_html_(self) -> str:
        """Return a frame with the page, and a link that opens it alone."""
        url = escape(self.url)
        return (
            f'<p><a href="{url}" target="_blank" rel="noopener">Open the page alone</a></p>'
            f'<iframe src="{url}" width="100%" height="{self._height}" style="border:1px solid #8886"></iframe>'
        )

    def stop(self) -> None:
        """Stop serving the page."""
        self._server.stop()
        for key in [key for key, page in _running.items() if page is self]:
            del _running[key]


_running: dict[tuple[str, str, bool], NotebookPage] = {}


def ui(*, height: int = 800, read_only: bool = False) -> NotebookPage:
    """Show the page of the current registry in a notebook. Calling it again shows the same page.

    The page is served on this machine while the process lives; ``registry ui`` serves it without a notebook.

    Args:
        height: Height of the frame in pixels.
        read_only: Open the database read-only and show no forms.

    Returns:
        An object that a notebook shows as the page; its ``url`` opens it elsewhere, ``stop()`` ends it.

    Raises:
        MissingDependencyError: A package of the extra ``ui`` is not installed.

    Example:
        >>> page = mlflow.ui(read_only=True)
        >>> page
        The page is at http://localhost:...
        >>> page.stop()
    """
    from registry.flavors.optional_imports import optional_import

    for module in ("starlette", "jinja2", "uvicorn", "uplot"):
        optional_import(module, "ui")
    from registry.web.server import Server
    from registry.web.site import Site

    uri = state.get_tracking_uri()
    key = (uri, str(base_of(uri)), bool(read_only))
    if key not in _running:
        server = Server(Site(tracking_uri=uri, read_only=read_only, frame_hosts=_NOTEBOOKS), host="127.0.0.1", port=0)
        server.start()
        _running[key] = NotebookPage(server, height)
    return _running[key]
