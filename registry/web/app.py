"""The page as an ASGI application: its routes, its files and how errors look.

To add a noun, write a module beside this one with a list ``routes``, and name it in `NOUNS`.
"""

import importlib
import importlib.resources
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles

from registry.exceptions import RegistryError
from registry.flavors.optional_imports import optional_import
from registry.web.guard import Guard
from registry.web.pages import http_error_page, registry_error_page
from registry.web.site import Site, static_directory

NOUNS: Final = (
    "home",
    "models",
    "runs",
    "run",
    "artifacts",
    "series",
    "compare",
    "model",
    "versions",
    "actions",
    "inbox",
    "incidents",
    "drift",
)


def create_app(site: Site) -> Starlette:
    """Make the application of a site.

    Raises:
        MissingDependencyError: A package of the extra ``ui`` is not installed.
    """
    charts = importlib.resources.files(optional_import("uplot", "ui")) / "static"
    routes: list[BaseRoute] = [
        Mount("/static/uplot", StaticFiles(directory=str(charts))),
        Mount("/static", StaticFiles(directory=static_directory())),
    ]
    for noun in NOUNS:
        routes += importlib.import_module(f"registry.web.{noun}").routes
    return Starlette(
        routes=routes,
        middleware=[Middleware(Guard, site=site)],
        exception_handlers={
            RegistryError: registry_error_page,
            HTTPException: http_error_page,
        },
    )
