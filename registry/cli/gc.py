"""``registry gc``: list or remove what nothing refers to."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Final

import typer

from registry.cli import exit_codes, output
from registry.cli.commands import standalone
from registry.cli.formatting import minute, size
from registry.cli.options import open_client
from registry.cli.output import Column
from registry.cli.times import parse_age

if TYPE_CHECKING:
    from registry.entities.reports import GarbageItem, GarbageReport

app = standalone()


@app.command("gc", examples=["registry gc", "registry gc --older-than 90d --apply"])
def gc(
    apply: Annotated[bool, typer.Option("--apply", help="Remove them for good; without this, only list them.")] = False,
    older_than: Annotated[
        str,
        typer.Option("--older-than", metavar="TIME", help="Only what was deleted this long ago, or before this date."),
    ] = "30d",
    grace: Annotated[
        str, typer.Option("--grace", metavar="TIME", help="Treat an upload as abandoned only after this time.")
    ] = "24h",
    run_ids: Annotated[
        str | None, typer.Option("--run-ids", metavar="ID,ID", help="Only these deleted runs, with their models.")
    ] = None,
    experiment_ids: Annotated[
        str | None,
        typer.Option("--experiment-ids", metavar="ID,ID", help="Only these deleted experiments, with their runs."),
    ] = None,
) -> None:
    """List unreferenced data and files; with --apply, remove them for good."""
    client = open_client(changes=apply)
    report = client.collect_garbage(
        apply=apply,
        older_than=parse_age(older_than),
        grace=parse_age(grace),
        run_ids=_ids(run_ids),
        experiment_ids=_ids(experiment_ids),
    )
    output.listing(
        report.items,
        _COLUMNS,
        nothing="Nothing to remove.",
        ids=lambda item: item.id,
        document={
            "applied": report.applied,
            "size_bytes": report.size_bytes,
            "items": [{**output.plain(item), "since": minute(item.since)} for item in report.items],
            "failures": list(report.failures),
        },
    )
    _summarise(report)
    if report.failures:
        raise typer.Exit(exit_codes.FAILED)


def _ids(text: str | None) -> list[str] | None:
    return None if text is None else [item.strip() for item in text.split(",") if item.strip()]


def _summarise(report: "GarbageReport") -> None:
    for failure in report.failures:
        output.complain(f"registry: not removed yet, the next gc tries again: {failure}")
    if not report.items:
        return
    counts = ", ".join(f"{count} {kind}{'' if count == 1 else 's'}" for kind, count in report.counts.items())
    verb = "Removed" if report.applied else "Would remove"
    output.note(f"{verb} {counts}: {size(report.size_bytes)}.")
    if not report.applied:
        output.note("Nothing was changed; --apply removes them for good.")


def _details(item: "GarbageItem") -> Sequence[str]:
    return [f"{version} (deleted)" for version in item.versions]


_COLUMNS: Final[tuple["Column[GarbageItem]", ...]] = (
    Column("kind", lambda item: item.kind, whole=True),
    Column("id", lambda item: item.id, whole=True),
    Column("name", lambda item: item.name, whole=True, leaves=3),
    Column("since (UTC)", lambda item: minute(item.since), whole=True, leaves=4),
    Column("size", lambda item: size(item.size_bytes), whole=True, right=True, leaves=1),
    Column("of", _details, leaves=2),
)
