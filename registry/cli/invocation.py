"""The options that stand anywhere on the line, as this invocation gave them.

`commands` fills them in while a line is parsed; `output`, `options` and `consent` read them.
"""

from dataclasses import dataclass


@dataclass(slots=True)
class Invocation:
    """What one command line asked for, whichever command it runs."""

    tracking_uri: str | None = None
    artifact_location: str | None = None
    json: bool = False
    csv: bool = False
    header: bool = False
    quiet: bool = False
    no_input: bool = False


_invocation = Invocation()


def current() -> Invocation:
    """Return the options of the command line that runs now."""
    return _invocation


def begin() -> Invocation:
    """Forget the options of an earlier command line of this process."""
    global _invocation
    _invocation = Invocation()
    return _invocation
