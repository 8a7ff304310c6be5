"""``registry models history``, ``holders``, ``rollback``, ``verify`` and ``correct-clock``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from registry.cli import output
from registry.cli.consent import DryRun
from registry.cli.event_columns import EVENT_COLUMNS, documents
from registry.cli.formatting import Time
from registry.cli.models import app
from registry.cli.options import ExpectedCurrent, ModelName, Reason, Since, Until, open_client
from registry.cli.output import Column
from registry.cli.promotion import expected_holder, holders
from registry.cli.targets import model_name, parse_guarded_stage
from registry.cli.times import parse_moment
from registry.exceptions import InvalidParameterError, VersionNotFoundError
from registry.validation.names import check_version

if TYPE_CHECKING:
    from datetime import datetime

    from registry import MlflowClient
    from registry.entities.history import PublishedEvent
    from registry.store.registry.history_queries import StageTenure
    from registry.store.registry.verify_history import VerificationReport


@app.command(
    "rollback",
    examples=["registry models rollback churn --reason 'predicts NaN'", "registry models rollback churn --dry-run"],
)
def rollback(
    name: ModelName,
    stage: Annotated[
        str, typer.Argument(metavar="[STAGE]", help="Staging or Production, which it is by default.")
    ] = "Production",
    to: Annotated[
        str | None, typer.Option("--to", metavar="VERSION", help="Go back to this version, which held the stage once.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Even if the version has to leave another guarded stage for it.")
    ] = False,
    reason: Reason = None,
    expected_current: ExpectedCurrent = None,
    dry_run: DryRun = False,
) -> None:
    """Restore the previous holder of a stage. A second rollback goes further back.

    Exit code 3 if that version holds the other guarded stage meanwhile; --force takes it from there.
    """
    name, stage = model_name(name), parse_guarded_stage(stage)
    client = open_client(changes=not dry_run)
    left = holders(client, name, stage)
    expected = expected_holder(expected_current)
    number = None if to is None else check_version(to.rpartition("/")[2], "--to")
    planned = client.rollback(name, stage, expected_current=expected, to=number, force=force, dry_run=True)
    back = planned
    if not dry_run:
        back = client.rollback(name, stage, expected_current=expected, to=number, force=force, reason=reason or None)
    would = "would be" if dry_run else "is"
    sentences = [f"{name}: version {back.version} {would} in stage {stage} again."]
    sentences += [f"{name}: version {held.version}, which held it, {would} in stage Archived." for held in left]
    if planned.version == back.version and planned.current_stage in ("Staging", "Production"):
        sentences.append(f"{name}: {planned.current_stage}, where version {back.version} was, {would} empty.")
    output.done("\n".join(sentences), document={**output.plain(back), "applied": not dry_run})


@app.command(
    "history", examples=["registry models history churn --since 7d", "registry models history churn --version 7 --json"]
)
def history(
    name: ModelName,
    version: Annotated[str | None, typer.Option("--version", metavar="VERSION", help="Only this version.")] = None,
    kind: Annotated[
        list[str] | None, typer.Option("--kind", metavar="KIND", help="Such as stage_changed; may be repeated.")
    ] = None,
    since: Since = None,
    until: Until = None,
) -> None:
    """Show all events of a model, under all its names, oldest first."""
    client = open_client()
    name = model_name(name)
    number = None if version is None else _checked_version(client, name, version)
    events = find_events(client, name, number, kind, parse_moment(since), parse_moment(until))
    output.listing(
        events, EVENT_COLUMNS, nothing="No such events.", ids=lambda e: e.position, document=documents(events)
    )


def find_events(
    client: "MlflowClient",
    name: str | None,
    version: int | None,
    kinds: "list[str] | None",
    since: "datetime | None",
    until: "datetime | None",
    newest: int | None = None,
) -> "list[PublishedEvent]":
    """Return events of one model, or of all, oldest first."""
    from registry.entities.history import EventKind, microseconds_of

    for unknown in sorted(set(kinds or ()) - set(EventKind)):
        from registry.validation.names import nearest

        close = nearest(unknown, list(EventKind))
        raise InvalidParameterError(f"There is no event kind {unknown!r}.{close} There are {', '.join(EventKind)}.")
    return client.backend.history.find_published(
        name,
        version=version,
        kinds=kinds or (),
        since=None if since is None else microseconds_of(since),
        until=None if until is None else microseconds_of(until),
        newest=newest,
    )


def _checked_version(client: "MlflowClient", name: str, text: str) -> int:
    """Return a version's number; one that no event names is an error, one that was deleted is not."""
    number = check_version(text.rpartition("/")[2], "--version")
    if not client.get_history(name, version=number):
        raise VersionNotFoundError(f"{name!r} never had a version {number}.")
    return number


def _moment(microseconds: int | None) -> Time | None:
    return None if microseconds is None else Time(microseconds)


_TENURES: Final[tuple["Column[StageTenure]", ...]] = (
    Column("place", lambda tenure: tenure.stage, whole=True),
    Column("version", lambda tenure: tenure.version, whole=True, right=True),
    Column("since (UTC)", lambda tenure: _moment(tenure.since), whole=True),
    Column("until (UTC)", lambda tenure: _moment(tenure.until), whole=True, leaves=2),
    Column("by", lambda tenure: tenure.actor, leaves=1),
    Column("reason", lambda tenure: tenure.reason),
)


@app.command("holders", examples=["registry models holders churn"])
def holders_of(name: ModelName) -> None:
    """Show which version held which stage or alias, and when."""
    tenures = open_client().get_holdings(model_name(name))
    output.listing(
        tenures,
        _TENURES,
        nothing="No version held a stage or an alias.",
        ids=lambda tenure: tenure.version,
        document=[
            {**output.plain(tenure), "since": _moment(tenure.since), "until": _moment(tenure.until)}
            for tenure in tenures
        ],
    )


@app.command(
    "verify", examples=["registry models verify", "registry models verify churn --bytes --checkpoint /safe/churn.json"]
)
def verify(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="The registered model; without it, every one.")
    ] = None,
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
) -> None:
    """Check that histories are unbroken and that tables agree with them. Exit code 3 at the first fault."""
    client = open_client()
    if name is None:
        reports = client.verify_all(read_bytes=read_bytes, checkpoint=checkpoint)
    else:
        reports = [client.verify(model_name(name), read_bytes=read_bytes, checkpoint=checkpoint)]
    output.listing(
        reports,
        _REPORTS if read_bytes else [column for column in _REPORTS if column.header != "files read"],
        nothing="There are no models.",
        document=[_document(report) for report in reports],
    )
    for report in reports:
        for location in report.unlisted:
            output.note(
                f"{report.name}: {location} could not be listed (access denied), so added files there go unnoticed."
            )
        for remark in report.notes:
            output.note(f"{report.name}: {remark}")


def _count(report: "VerificationReport") -> int:
    return sum(len(sealed.manifest.entries) for sealed in report.sealed)


def _document(report: "VerificationReport") -> dict[str, object]:
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


_REPORTS: Final[tuple["Column[VerificationReport]", ...]] = (
    Column("model", lambda report: report.name, whole=True),
    Column("verdict", lambda _: "well", whole=True),
    Column("events", lambda report: report.events, whole=True, right=True),
    Column("versions", lambda report: report.versions, whole=True, right=True),
    Column("files read", _count, whole=True, right=True),
)


@app.command("correct-clock", examples=["registry models correct-clock churn --ahead 365d --reason 'wrong RTC'"])
def correct_clock(
    name: ModelName,
    ahead: Annotated[
        str | None,
        typer.Option(
            "--ahead",
            metavar="TIME",
            help="How far the clock was ahead: 365d, 12h. By default, so that the last event happened now.",
        ),
    ] = None,
    from_seq: Annotated[
        int | None,
        typer.Option("--from", metavar="NO", help="The first event; by default the first ahead of the clock."),
    ] = None,
    to_seq: Annotated[
        int | None, typer.Option("--to", metavar="NO", help="The last event; by default the last.")
    ] = None,
    reason: Reason = None,
) -> None:
    """Correct the times of events from a machine whose clock was ahead, by a further event."""
    name = model_name(name)
    client = open_client(changes=True)
    event = client.correct_clock(name, ahead=ahead, from_seq=from_seq, to_seq=to_seq, reason=reason or None)
    first, last, shift = (event.details[key] for key in ("from_seq", "to_seq", "shift"))
    what = f"Event {first} of {name} counts" if first == last else f"Events {first} to {last} of {name} count"
    output.done(
        f"{what} as {-shift / 1e6:.0f} s earlier from now on.",
        document={"name": name, "from": first, "to": last, "shift_seconds": shift / 1e6},
    )
