"""``registry gc``, ``doctor`` and ``relocate``: remove unreferenced data, diagnose, and move files."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Final

import typer

from registry.cli import output
from registry.cli.formatting import minute, size
from registry.cli.options import ArtifactLocation, AsJson, ModelName, TrackingUri, open_client, use_place
from registry.cli.output import Column

if TYPE_CHECKING:
    from registry.entities.reports import Finding, GarbageItem, GarbageReport


def adopt(
    take_over: Annotated[
        bool,
        typer.Option(
            "--take-over", help="Own the files where they are; the other database can remove none from now on."
        ),
    ] = False,
    new_root: Annotated[
        str | None,
        typer.Option("--new-root", metavar="ROOT", help="Own the copy of the files at ROOT."),
    ] = None,
    old_root: Annotated[
        str | None,
        typer.Option("--old-root", metavar="ROOT", help="The root that was copied, if the database has several."),
    ] = None,
    tracking_uri: TrackingUri = None,
) -> None:
    """Let a copied or restored database remove and replace files again: at a new root, or in the original's place."""
    for root in open_client(tracking_uri).adopt(take_over=take_over, new_root=new_root, old_root=old_root):
        output.line(f"The files at {root} belong to this database from now on.")


def correct_clock(
    name: ModelName,
    ahead: Annotated[
        str | None,
        typer.Option(
            "--ahead",
            metavar="TIME",
            help="How far the clock was ahead: 365d, 12h. Default: so that the last event happened now.",
        ),
    ] = None,
    from_seq: Annotated[
        int | None, typer.Option("--from", metavar="NO", help="The first event; default: the first ahead of the clock.")
    ] = None,
    to_seq: Annotated[int | None, typer.Option("--to", metavar="NO", help="The last event; default: the last.")] = None,
    reason: Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Why; kept in the history.")] = None,
    tracking_uri: TrackingUri = None,
) -> None:
    """Correct the times of events from a machine whose clock was ahead, by a further event."""
    client = open_client(tracking_uri)
    event = client.correct_clock(name, ahead=ahead, from_seq=from_seq, to_seq=to_seq, reason=reason)
    first, last, shift = (event.details[key] for key in ("from_seq", "to_seq", "shift"))
    what = f"Event {first} of {name} counts" if first == last else f"Events {first} to {last} of {name} count"
    output.line(f"{what} as {-shift / 1e6:.0f} s earlier from now on.")


def gc(
    apply: Annotated[bool, typer.Option("--apply", help="Remove them for good; without this, only list them.")] = False,
    older_than: Annotated[
        str,
        typer.Option("--older-than", metavar="TIME", help="Only what was deleted at least this long ago: 30d, 12h."),
    ] = "30d",
    grace: Annotated[
        str,
        typer.Option("--grace", metavar="TIME", help="Treat an upload as abandoned only after this time."),
    ] = "24h",
    as_json: AsJson = False,
    tracking_uri: TrackingUri = None,
) -> None:
    """List unreferenced data and files; with --apply, remove them for good."""
    report = open_client(tracking_uri).collect_garbage(apply=apply, older_than=older_than, grace=grace)
    if as_json:
        output.as_json(report)
    else:
        output.listing(report.items, _GC_COLUMNS, nothing="Nothing to remove.")
        _summarise(report)
    if report.failures:
        raise typer.Exit(1)


def _summarise(report: "GarbageReport") -> None:
    for failure in report.failures:
        output.error(f"not removed yet, the next gc tries again: {failure}")
    if not report.items:
        return
    counts = ", ".join(_counted(kind, count) for kind, count in report.counts.items())
    verb = "Removed" if report.applied else "Would remove"
    output.line(f"{verb} {counts}: {size(report.size_bytes)}.")
    if not report.applied:
        output.line("Nothing was changed; --apply removes them for good.")


def _counted(kind: str, count: int) -> str:
    return f"{count} {kind}{'' if count == 1 else 's'}"


def _details(item: "GarbageItem") -> Sequence[str]:
    return [f"{version} (deleted)" for version in item.versions]


_GC_COLUMNS: Final[tuple["Column[GarbageItem]", ...]] = (
    Column("kind", lambda item: item.kind, whole=True),
    Column("id", lambda item: item.id, whole=True),
    Column("name", lambda item: item.name),
    Column("since (UTC)", lambda item: minute(item.since), whole=True),
    Column("size", lambda item: size(item.size_bytes), whole=True, right=True),
    Column("of", _details),
)


def doctor(
    as_json: AsJson = False, tracking_uri: TrackingUri = None, artifact_location: ArtifactLocation = None
) -> None:
    """Check settings, database, rights, files, cache and packages. Exit code 1 if something is broken."""
    from registry.client.maintenance.doctor import examine

    use_place(tracking_uri, artifact_location)
    findings = examine()
    output.listing(findings, _CHECK_COLUMNS, json=as_json)
    if any(finding.verdict == "fail" for finding in findings):
        raise typer.Exit(1)


_CHECK_COLUMNS: Final[tuple["Column[Finding]", ...]] = (
    Column("", lambda finding: finding.verdict, whole=True),
    Column("area", lambda finding: finding.area, whole=True),
    Column("finding", lambda finding: finding.text),
    Column("way out", lambda finding: finding.remedy),
)


def relocate(
    old: Annotated[str, typer.Argument(metavar="OLD", help="Where the files were: a directory or s3://bucket/prefix.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="Where they are now.")],
    tracking_uri: TrackingUri = None,
) -> None:
    """Look for files at NEW instead of OLD. Move them first, for example with 'aws s3 sync'."""
    count = open_client(tracking_uri).relocate(old, new)
    output.line(f"{count} experiment{' keeps its' if count == 1 else 's keep their'} files at {new} from now on.")
