"""``registry history`` and ``registry holders``: what happened to a model, and who held which stage when."""

from typing import TYPE_CHECKING, Annotated, Final

import typer

from registry.cli import output
from registry.cli.options import AsJson, ModelName, TrackingUri, open_client
from registry.cli.output import Column

if TYPE_CHECKING:
    from registry.entities.history import HistoryEvent
    from registry.store.catalog.chronicle import Holding

Since = Annotated[
    str | None, typer.Option("--since", metavar="TIME", help="Only from then on, such as 2026-03-01T12:00:00Z.")
]
Until = Annotated[str | None, typer.Option("--until", metavar="TIME", help="Only before then.")]


def _change(event: "HistoryEvent") -> str:
    before, after = event.from_value, event.to_value
    subject = next((str(event.details[key]) for key in ("alias", "key", "field", "stage") if key in event.details), "")
    change = "" if before is None and after is None else f"{before or '-'} -> {after or '-'}"
    return f"{subject}: {change}" if subject and change else subject or change


_EVENTS: Final[tuple["Column[HistoryEvent]", ...]] = (
    Column("no.", lambda event: event.seq, whole=True, right=True),
    Column("time (UTC)", lambda event: f"{event.time:%Y-%m-%d %H:%M:%S.%f}", whole=True),
    Column("kind", lambda event: event.kind, whole=True),
    Column("version", lambda event: event.version, whole=True, right=True),
    Column("change", _change),
    Column("actor", lambda event: event.actor),
    Column("reason", lambda event: event.reason),
)


def history(
    name: ModelName,
    version: Annotated[str | None, typer.Option("--version", metavar="VERSION", help="Only this version.")] = None,
    kind: Annotated[
        list[str] | None, typer.Option("--kind", metavar="KIND", help="Such as stage_changed; may be repeated.")
    ] = None,
    since: Since = None,
    until: Until = None,
    as_json: AsJson = False,
    tracking_uri: TrackingUri = None,
) -> None:
    """Show everything that happened to a model, under all its names, oldest first."""
    client = open_client(tracking_uri)
    events = client.get_history(name, version=version, kind=kind, since=since, until=until)
    output.listing(events, _EVENTS, json=as_json, nothing="No such events.")


def _moment(microseconds: int | None) -> str | None:
    from registry.entities.history import moment_of

    return None if microseconds is None else f"{moment_of(microseconds):%Y-%m-%d %H:%M:%S.%f}"


_HOLDINGS: Final[tuple["Column[Holding]", ...]] = (
    Column("stage", lambda hold: hold.stage, whole=True),
    Column("version", lambda hold: hold.version, whole=True, right=True),
    Column("since (UTC)", lambda hold: _moment(hold.since), whole=True),
    Column("until (UTC)", lambda hold: _moment(hold.until), whole=True),
    Column("actor", lambda hold: hold.actor),
    Column("reason", lambda hold: hold.reason),
)


def holders(name: ModelName, as_json: AsJson = False, tracking_uri: TrackingUri = None) -> None:
    """Show which version held which stage or alias, from when until when."""
    found = open_client(tracking_uri).get_holdings(name)
    output.listing(found, _HOLDINGS, json=as_json, nothing="Nothing held a stage or an alias.")
