"""The options that stand anywhere on the line, as this invocation gave them.

`commands` fills them in while a line is parsed; `output`, `options` and `consent` read them.
"""

import os
from dataclasses import dataclass
from typing import Final

PATIENCE: Final = "REGISTRY_DATABASE_PATIENCE"


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
    # Whether `begin` set PATIENCE, rather than the user.
    sets_patience: bool = False


_invocation = Invocation()


def current() -> Invocation:
    """Return the options of the command line that runs now."""
    return _invocation


def begin() -> Invocation:
    """Forget the options of an earlier command line of this process, and wait for no database that is away.

    A training waits for a server; who types a command wants to be told.
    """
    global _invocation
    _invocation = Invocation(sets_patience=PATIENCE not in os.environ)
    os.environ.setdefault(PATIENCE, "0")
    return _invocation
