"""``registry history``, ``holders`` and ``verify``: events of a model, holders of stages, and integrity checks."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from registry.cli import output
from registry.cli.options import AsJson, ModelName, TrackingUri, open_client
from registry.cli.output import Column
from registry.exceptions import InvalidParameterError

if TYPE_CHECKING:
    from registry.entities.history import HistoryEvent
    from registry.store.registry.history_queries import StageTenure
    from registry.store.registry.verify_history import VerificationReport


def verify(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="The registered model; without it, every one.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Every model, deleted ones included; the default without a name.")
    ] = False,
    read_bytes: Annotated[bool, typer.Option("--bytes", help="Read and hash every stored file as well.")] = False,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            "--checkpoint",
            metavar="FILE",
            help="Compare with the last events recorded in FILE, then update FILE. "
            "Keep it where writers of the database cannot write.",
        ),
    ] = None,
    as_json: AsJson = False,
    tracking_uri: TrackingUri = None,
) -> None:
    """Check that histories are unbroken and that tables agree with them. The first fault is an error."""
    if name is not None and everything:
        raise InvalidParameterError("Give either the name of a model or --all.")
    client = open_client(tracking_uri)
    if name is None:
        reports = client.verify_all(read_bytes=read_bytes, checkpoint=checkpoint)
    else:
        reports = [client.verify(name, read_bytes=read_bytes, checkpoint=checkpoint)]
    if as_json:
        output.as_json([_plain(report) for report in reports])
        return
    for report in reports:
        files = f", {_count(report)} files read" if read_bytes else ""
        output.line(f"{report.name}: well; {report.events} events, {report.versions} versions{files}.")
        for location in report.unlisted:
            output.line(f"  {location} could not be listed (access denied), so added files there go unnoticed.")
        for note in report.notes:
            output.line(f"  {note}")
    if not reports:
        output.line("There are no models.")


def _count(report: "VerificationReport") -> int:
    return sum(len(sealed.manifest.entries) for sealed in report.sealed)


def _plain(report: "VerificationReport") -> dict[str, object]:
    return {
        "name": report.name,
        "model_uid": report.model_uid,
        "sequence": report.seq,
        "hash": report.hash,
        "events": report.events,
        "versions": report.versions,
        "unlisted": list(report.unlisted),
        "notes": list(report.notes),
    }


Since = Annotated[
    str | None,
    typer.Option("--since", metavar="TIME", help="Only events from this time on, such as 2026-03-01T12:00:00Z."),
]
Until = Annotated[str | None, typer.Option("--until", metavar="TIME", help="Only events before this time.")]


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
    """Show all events of a model, under all its names, oldest first."""
    client = open_client(tracking_uri)
    events = client.get_history(name, version=version, kind=kind, since=since, until=until)
    output.listing(events, _EVENTS, json=as_json, nothing="No such events.")


def _moment(microseconds: int | None) -> str | None:
    from registry.entities.history import moment_of

    return None if microseconds is None else f"{moment_of(microseconds):%Y-%m-%d %H:%M:%S.%f}"


_TENURES: Final[tuple["Column[StageTenure]", ...]] = (
    Column("stage", lambda tenure: tenure.stage, whole=True),
    Column("version", lambda tenure: tenure.version, whole=True, right=True),
    Column("since (UTC)", lambda tenure: _moment(tenure.since), whole=True),
    Column("until (UTC)", lambda tenure: _moment(tenure.until), whole=True),
    Column("actor", lambda tenure: tenure.actor),
    Column("reason", lambda tenure: tenure.reason),
)


def holders(name: ModelName, as_json: AsJson = False, tracking_uri: TrackingUri = None) -> None:
    """Show which version held which stage or alias, and when."""
    tenures = open_client(tracking_uri).get_holdings(name)
    output.listing(tenures, _TENURES, json=as_json, nothing="No version held a stage or an alias.")
