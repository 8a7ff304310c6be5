"""Ask before something is destroyed, or require --yes where nobody can be asked."""

import sys
from typing import Annotated

import typer

from registry.cli import invocation, output
from registry.exceptions import InvalidParameterError

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would happen; change nothing.")]


def require(loss: str, yes: bool) -> None:
    """Return if the user consents to a loss.

    Asks only if stdin and stderr are terminals and --no-input is not given.

    Args:
        loss: What is lost, as a sentence that names it.
        yes: Whether --yes was given.

    Raises:
        typer.Exit: The user said no: with code 130, as for Ctrl-C.
        InvalidParameterError: Nobody can be asked.
    """
    if yes:
        return
    if not can_ask():
        raise InvalidParameterError(f"{loss} Give --yes to do it.")
    output.complain(loss)
    sys.stderr.write("Go on? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        output.complain("Nothing was changed.")
        raise typer.Exit(130)


def can_ask() -> bool:
    """Tell whether somebody is there to answer: stdin and stderr are terminals, and --no-input is not given."""
    return not invocation.current().no_input and is_terminal(sys.stdin) and is_terminal(sys.stderr)


def is_terminal(stream: object) -> bool:
    """Tell whether a stream is a terminal; one that is closed is none."""
    isatty = getattr(stream, "isatty", None)
    return bool(isatty and isatty())
