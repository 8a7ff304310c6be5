"""``registry incident``: what monitors found, and what became of it."""

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from registry.cli import output
from registry.cli.commands import noun
from registry.cli.formatting import Time
from registry.cli.monitor import OptionalModel
from registry.cli.options import Reason, number_listed_by, open_client
from registry.cli.output import Column
from registry.cli.targets import model_name

if TYPE_CHECKING:
    from registry.entities import Incident, TriggerDelivery

app = noun("incident", "Incidents: what monitors found, who deals with it, and what was set off.")

IncidentNumber = Annotated[
    int,
    typer.Argument(
        metavar="INCIDENT", parser=number_listed_by("incident"), help="Its number, as 'incident list' shows it."
    ),
]


@app.command("list", examples=["registry incident list", "registry incident list churn --all"])
def list_incidents(
    name: OptionalModel = None,
    everything: Annotated[bool, typer.Option("--all", help="Closed ones too.")] = False,
) -> None:
    """List incidents that are not closed, oldest first."""
    statuses = None if everything else ["open", "acknowledged"]
    incidents = open_client().get_incidents(None if name is None else model_name(name), statuses)
    documents = [_document(incident) for incident in incidents]
    output.listing(incidents, _INCIDENTS, nothing="No incidents.", document=documents)


@app.command("show", examples=["registry incident show 3", "registry incident show 3 --json"])
def show_incident(incident: IncidentNumber) -> None:
    """Show an incident: its figures, the report, its events, and the triggers that it set off."""
    client = open_client()
    found = client.get_incident(incident)
    kinds = ["incident_opened", "incident_acknowledged", "incident_closed"]
    events = [
        event for event in client.get_history(found.name, kind=kinds) if event.details.get("incident") == found.id
    ]
    deliveries = [one for one in client.get_trigger_deliveries() if one.check.id == found.check_id]
    document = {
        **_document(found),
        "events": [
            {"kind": event.kind, "actor": event.actor, "time": Time(event.time_us), "reason": event.reason}
            for event in events
        ],
        "triggers": [_delivery_document(one) for one in deliveries],
    }
    figures = found.figures if isinstance(found.figures, dict) else {"figures": found.figures}
    output.record(
        {
            **{column.header: column.value(found) for column in _INCIDENTS},
            "report": found.report_digest,
            "run": found.run_id,
            **{key: value for key, value in figures.items() if key != "results"},
            **{f"result {number}": result for number, result in enumerate(figures.get("results", ()), 1)},
            **{
                f"{event.kind.removeprefix('incident_')} (UTC)": f"{Time(event.time_us)} by {event.actor}"
                + (f": {event.reason}" if event.reason else "")
                for event in events
            },
            **{f"trigger {one.trigger}": _delivery_line(one) for one in deliveries},
        },
        f"Incident {found.id}",
        document=document,
        identity=found.id,
    )


@app.command("acknowledge", examples=["registry incident acknowledge 3 --reason 'looking at the feed'"])
def acknowledge_incident(incident: IncidentNumber, reason: Reason = None) -> None:
    """Say that somebody deals with an incident. It still counts as not closed."""
    changed = open_client(changes=True).acknowledge_incident(incident, reason=reason or None)
    output.done(f"Incident {changed.id} of {changed.name} is acknowledged.", document=_document(changed))


@app.command("close", examples=["registry incident close 3 --reason 'version 4 knows the new rules'"])
def close_incident(incident: IncidentNumber, reason: Reason = None) -> None:
    """Close an incident. Its cause may open another one after the monitor's cool-down."""
    changed = open_client(changes=True).close_incident(incident, reason=reason or None)
    output.done(f"Incident {changed.id} of {changed.name} is closed.", document=_document(changed))


def _document(incident: "Incident") -> dict[str, Any]:
    from registry.monitoring.incidents import incident_document

    return incident_document(incident)


def _delivery_document(delivery: "TriggerDelivery") -> dict[str, Any]:
    return {
        "delivery": delivery.id,
        "trigger": delivery.trigger,
        "state": str(delivery.state),
        "attempts": delivery.attempts,
        "message": delivery.message,
    }


def _delivery_line(delivery: "TriggerDelivery") -> str:
    attempts = "1 attempt" if delivery.attempts == 1 else f"{delivery.attempts} attempts"
    return f"{delivery.state}, {attempts}" + (f": {delivery.message}" if delivery.message else "")


_INCIDENTS: Final[tuple["Column[Incident]", ...]] = (
    Column("id", lambda incident: incident.id, whole=True, right=True),
    Column("model", lambda incident: incident.name, whole=True),
    Column("version", lambda incident: incident.version, whole=True, right=True),
    Column("cause", lambda incident: incident.cause, whole=True),
    Column("status", lambda incident: str(incident.status), whole=True),
    Column("opened (UTC)", lambda incident: Time(incident.opened_us), whole=True, leaves=1),
    Column("by", lambda incident: incident.changed_by, leaves=3),
    Column("reason", lambda incident: incident.reason, leaves=2),
)
