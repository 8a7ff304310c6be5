"""Incidents: what monitors found and nobody has closed, and the forms that acknowledge and close them."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from registry.client import MlflowClient
from registry.entities import Incident
from registry.entities.monitors import IncidentStatus
from registry.web.pages import client_of, form_of, go_to, text_of, url

_UNFINISHED: Final = (IncidentStatus.OPEN, IncidentStatus.ACKNOWLEDGED)


def unfinished_incidents(client: MlflowClient, name: str | None = None) -> list[Incident]:
    """Return the incidents of a model, or of all, that nobody has closed, newest first."""
    return client.get_incidents(name, statuses=[str(status) for status in _UNFINISHED])[::-1]


def acknowledge(request: Request) -> Response:
    """Say that somebody deals with an incident."""
    incident = client_of(request).acknowledge_incident(request.path_params["number"], reason=text_of(request, "reason"))
    return go_to(_back(request, incident), f"Incident {incident.id} is acknowledged.")


def close(request: Request) -> Response:
    """Close an incident."""
    incident = client_of(request).close_incident(request.path_params["number"], reason=text_of(request, "reason"))
    return go_to(_back(request, incident), f"Incident {incident.id} is closed.")


def _back(request: Request, incident: Incident) -> str:
    is_drift = form_of(request).get("back") == "drift"
    return url("models", incident.name, "drift") if is_drift else url("models", incident.name)


routes: Final = [
    Route("/incidents/{number:int}/acknowledge", acknowledge, methods=["POST"]),
    Route("/incidents/{number:int}/close", close, methods=["POST"]),
]
