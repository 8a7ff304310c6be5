"""The first page: what is in Production, what changed, what runs, and what storage is used."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from registry.web.pages import render


def show(request: Request) -> Response:
    """Show the first page."""
    return render(request, "home.html")


routes: Final = [Route("/", show)]
