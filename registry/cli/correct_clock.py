"""``registry correct-clock``: correct the history of a model after a machine's clock was ahead."""

from typing import Annotated

import typer

from registry.cli import output
from registry.cli.options import ModelName, TrackingUri, open_client


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
