"""``registry verify``: whether histories, tables and bytes are what they were."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from registry.cli import output
from registry.cli.options import AsJson, TrackingUri, open_client
from registry.exceptions import InvalidParameterError

if TYPE_CHECKING:
    from registry.store.catalog.audit import AuditReport


def verify(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="The registered model; without it, every one.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Every model, deleted ones too; as without a name.")
    ] = False,
    read_bytes: Annotated[bool, typer.Option("--bytes", help="Read and hash every stored file as well.")] = False,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            "--checkpoint",
            metavar="FILE",
            help="Compare with the ends of the histories kept there, then bring the file up to date. "
            "Keep it where those who write the database cannot write.",
        ),
    ] = None,
    as_json: AsJson = False,
    tracking_uri: TrackingUri = None,
) -> None:
    """Check that histories are whole and that tables are what they say; the first thing that is wrong is an error."""
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
    if not reports:
        output.line("There are no models.")


def _count(report: "AuditReport") -> int:
    return sum(len(sealed.manifest.entries) for sealed in report.sealed)


def _plain(report: "AuditReport") -> dict[str, object]:
    return {
        "name": report.name,
        "model_uid": report.model_uid,
        "sequence": report.seq,
        "hash": report.hash,
        "events": report.events,
        "versions": report.versions,
    }
