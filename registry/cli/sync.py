"""``registry sync``: send what an offline client logged."""

import time
from typing import TYPE_CHECKING, Annotated, Final

import typer

from registry.cli import output
from registry.cli.commands import standalone
from registry.cli.copying import DryRun, print_report, progress
from registry.cli.formatting import size
from registry.cli.options import DAY_SECONDS, use_place
from registry.exceptions import InvalidParameterError, UnavailableError

if TYPE_CHECKING:
    from registry.client.transfer.sync import Sync

app = standalone()

_REMINDER_SECONDS: Final = 60.0


@app.command(
    "sync",
    examples=[
        "registry sync ./registry-spool --to postgresql://db/registry",
        "registry sync ./registry-spool --to postgresql://db/registry --watch",
    ],
)
def sync(
    directory: Annotated[
        str | None,
        typer.Argument(metavar="[DIR]", help="The spool, or a registry's directory. Default: REGISTRY_SPOOL_DIR."),
    ] = None,
    to: Annotated[
        str | None, typer.Option("--to", metavar="URI", help="The registry. Default: the tracking URI that is set.")
    ] = None,
    dry_run: DryRun = False,
    watch: Annotated[bool, typer.Option("--watch", help="Go on sending what is new, until Ctrl-C.")] = False,
    interval: Annotated[
        float, typer.Option("--interval", metavar="SECONDS", min=0.1, max=DAY_SECONDS, help="How often --watch looks.")
    ] = 5.0,
) -> None:
    """Send the runs of a spool, with their points, files and models; again, it sends what is missing there."""
    from registry.client.transfer.sync import Sync
    from registry.settings import current_settings, spool_directory

    settings = current_settings()
    spool = directory or spool_directory(settings, settings.tracking_uri)
    use_place()
    settings = current_settings()
    if spool is None:
        raise InvalidParameterError("There is no spool to send: give its DIR, or set REGISTRY_SPOOL_DIR.")
    if to is None and "tracking_uri" not in settings.model_fields_set:
        raise InvalidParameterError("Give --to URI, the registry to send to, or set REGISTRY_TRACKING_URI.")
    if watch:
        if dry_run:
            raise InvalidParameterError("Give --watch or --dry-run, not both.")
        _watch(Sync(spool, to or settings.tracking_uri), interval)
    with progress() as on_run:
        report = Sync(spool, to or settings.tracking_uri, on_run=on_run).send(dry_run=dry_run)
    print_report(report)


def _watch(sync: "Sync", interval: float) -> None:
    """Send what is new until the process is interrupted; wait for a registry that is away."""
    said = -_REMINDER_SECONDS
    seen: set[str] = set()
    while True:
        try:
            report = sync.send_new()
        except UnavailableError as error:
            if time.monotonic() - said >= _REMINDER_SECONDS:
                said = time.monotonic()
                output.complain(f"registry: waiting: {error.message}")
        else:
            said = -_REMINDER_SECONDS
            for run in report.runs:
                text = f"{run.run_id} {run.name}: {run.outcome}"
                if run.outcome in ("copied", "continued"):
                    sent = f"{run.points} points, {run.files} files ({size(run.size_bytes)}), {run.models} models"
                    output.note(f"{text}, {sent}")
                elif run.note and f"{text} {run.note}" not in seen:
                    seen.add(f"{text} {run.note}")
                    output.complain(f"registry: {text}: {run.note}")
            if report.models:
                output.note(f"logged models without a run: {report.models} copied")
            for note in report.notes:
                if note not in seen:
                    seen.add(note)
                    output.complain(f"registry: {note}")
        time.sleep(interval)
