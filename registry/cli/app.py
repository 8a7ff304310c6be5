"""The program: its commands, global options and error output.

To add a noun, add a file beside this one and a line in `_build`.
"""

import os
import sys
import warnings
from collections.abc import Sequence
from typing import Annotated

import typer

from registry import __version__
from registry.cli import (
    cache,
    db,
    demo,
    events,
    experiments,
    history,
    import_mlflow,
    maintenance,
    models,
    output,
    promote,
    runs,
    transfer,
    versions,
)
from registry.cli.options import ArtifactLocation, TrackingUri, help_when_alone, use_place
from registry.exceptions import RegistryError

_HELP = "A model registry and run tracker: SQL tables and S3, no server."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return the exit code.

    An error of the library, or a wrong command line, is one line on stderr and 1; an interrupt is 130.
    """
    output.prepare_streams()
    with warnings.catch_warnings():
        warnings.showwarning = output.warning
        try:
            code = _app(arguments, prog_name="registry", standalone_mode=False)
            sys.stdout.flush()
        except RegistryError as error:
            output.error(error.message)
            return 1
        except typer.TyperException as error:
            output.error(f"{error.format_message()} Try 'registry --help'.")
            return 1
        except typer.Abort:
            return 130
        except BrokenPipeError:
            # The reader of our output closed it, as `head` does. Keep the interpreter from flushing into it at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
    return code if isinstance(code, int) else 0


def _show_version(is_given: bool) -> None:
    if is_given:
        output.line(f"registry {__version__}")
        raise typer.Exit


def _global_options(
    context: typer.Context,
    tracking_uri: TrackingUri = None,
    artifact_location: ArtifactLocation = None,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, metavar="", help="Print the version and exit."
        ),
    ] = False,
) -> None:
    use_place(tracking_uri, artifact_location)
    help_when_alone(context)


def _build() -> typer.Typer:
    app = typer.Typer(
        name="registry",
        help=_HELP,
        add_completion=False,
        pretty_exceptions_enable=False,
        callback=_global_options,
        invoke_without_command=True,
    )
    app.command()(demo.demo)
    for noun in (experiments, runs, models, versions, cache, db):
        app.add_typer(noun.app)
    db.app.command()(db.grants)
    app.command()(promote.promote)
    app.command()(promote.rollback)
    app.command()(promote.approve)
    app.add_typer(promote.rules)
    app.command()(history.history)
    app.command()(history.holders)
    app.command()(history.verify)
    app.command()(maintenance.correct_clock)
    app.command()(events.watch)
    app.command()(versions.resolve)
    app.command("export")(transfer.export_model)
    app.command("import")(transfer.import_model)
    app.command("import-mlflow")(import_mlflow.import_mlflow)
    app.command()(versions.sign)
    app.command()(maintenance.gc)
    app.command()(maintenance.relocate)
    app.command()(maintenance.adopt)
    app.command()(maintenance.doctor)
    return app


_app = _build()
