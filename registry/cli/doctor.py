"""``registry doctor``: check settings, database, rights, files, cache and packages."""

from typing import TYPE_CHECKING, Final

import typer

from registry.cli import exit_codes, invocation, output
from registry.cli.commands import standalone
from registry.cli.options import use_place
from registry.cli.output import Column

if TYPE_CHECKING:
    from registry.entities.reports import Finding

app = standalone()


@app.command("doctor", examples=["registry doctor", "registry doctor --json | jq '.[] | select(.verdict == \"fail\")'"])
def doctor() -> None:
    """Check settings, database, rights, files, cache and packages. Exit code 3 if something is broken."""
    from registry.client.maintenance.doctor import examine

    use_place()
    findings = examine()
    if invocation.current().sets_patience:
        findings = [finding for finding in findings if finding.text != f"{invocation.PATIENCE} is set"]
    output.listing(findings, _COLUMNS)
    if any(finding.verdict == "fail" for finding in findings):
        raise typer.Exit(exit_codes.NO)


_COLUMNS: Final[tuple["Column[Finding]", ...]] = (
    Column("verdict", lambda finding: finding.verdict, whole=True),
    Column("area", lambda finding: finding.area, whole=True),
    Column("finding", lambda finding: finding.text),
    Column("way out", lambda finding: finding.remedy),
)
