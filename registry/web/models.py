"""The list of registered models."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from registry.web.pages import render


def show_models(request: Request) -> Response:
    """Show all registered models."""
    return render(request, "models.html")


routes: Final = [Route("/models", show_models)]
