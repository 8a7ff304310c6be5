"""``registry doctor``: is everything as it should be?"""

from typing import TYPE_CHECKING, Final

import typer

from registry.cli import output
from registry.cli.options import ArtifactLocation, AsJson, TrackingUri, use_place
from registry.cli.output import Column

if TYPE_CHECKING:
    from registry.entities.findings import Finding


def doctor(
    as_json: AsJson = False, tracking_uri: TrackingUri = None, artifact_location: ArtifactLocation = None
) -> None:
    """Examine settings, database, rights, bytes, cache and packages; fails if something is broken."""
    from registry.client.doctor import examine

    use_place(tracking_uri, artifact_location)
    found = examine()
    output.listing(found, _COLUMNS, json=as_json)
    if any(finding.verdict == "fail" for finding in found):
        raise typer.Exit(1)


_COLUMNS: Final[tuple["Column[Finding]", ...]] = (
    Column("", lambda finding: finding.verdict, whole=True),
    Column("area", lambda finding: finding.area, whole=True),
    Column("finding", lambda finding: finding.text),
    Column("way out", lambda finding: finding.remedy),
)
