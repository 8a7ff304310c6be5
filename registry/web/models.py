"""The list of registered models, and the form that makes one."""

import re
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from registry.web.pages import client_of, go_to, number_of, render, text_of, url

_PAGE: Final = 50
_IS_FILTER: Final = re.compile(r"[=<>]|\s(?:I?LIKE|IN|IS)\s", re.IGNORECASE)
_ORDERS: Final = {"name": "name ASC", "updated": "last_updated_timestamp DESC"}


def show_models(request: Request) -> Response:
    """Show registered models with the holders of their stages."""
    client = client_of(request)
    q = request.query_params.get("q", "").strip()
    order = request.query_params.get("order", "name")
    models = client.search_registered_models(
        filter_of(q),
        number_of(request, "n", _PAGE, at_most=200),
        [_ORDERS.get(order, _ORDERS["name"])],
        request.query_params.get("page") or None,
    )
    names = [model.name for model in models]
    held = client.backend.overview.holders(names=names, limit=2 * len(names), is_explained=False) if names else []
    holders = {(one.name, one.tenure.stage): one.tenure for one in held}
    return render(request, "models.html", models=models, holders=holders, q=q, order=order, next_page=models.token)


def filter_of(q: str) -> str | None:
    """Return the filter of a search: part of a name, or a filter expression as it is."""
    if not q or _IS_FILTER.search(q):
        return q or None
    quoted = q.replace("'", "''")
    return f"name ILIKE '%{quoted}%'"


def create_model(request: Request) -> Response:
    """Make a registered model without versions."""
    name = str(text_of(request, "name") or "")
    client_of(request).create_registered_model(
        name, description=text_of(request, "description"), reason=text_of(request, "reason")
    )
    return go_to(url("models", name), f"{name} exists now.")


routes: Final = [
    Route("/models", show_models),
    Route("/models", create_model, methods=["POST"]),
]
