"""``registry watch``: every event to a webhook, or to the standard output, as it happens."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from registry.cli import output
from registry.cli.options import TrackingUri, open_client
from registry.exceptions import InvalidParameterError

if TYPE_CHECKING:
    from registry.client.registry.events import EventSink
    from registry.entities.history import PublishedEvent


def watch(
    cursor: Annotated[
        Path, typer.Option("--cursor", metavar="FILE", help="Remembers what was delivered, over restarts.")
    ] = Path("registry-watch.json"),
    webhook: Annotated[
        str | None, typer.Option("--webhook", metavar="URL", help="Post events there instead of printing them.")
    ] = None,
    secret_env: Annotated[
        str | None,
        typer.Option("--secret-env", metavar="NAME", help="The environment variable with the secret that signs posts."),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Stop when every event so far is delivered.")] = False,
    from_now: Annotated[
        bool, typer.Option("--from-now", help="A new cursor begins with events that are still to come.")
    ] = False,
    interval: Annotated[float, typer.Option("--interval", metavar="SECONDS", min=0.01, help="How often to look.")] = 1,
    tracking_uri: TrackingUri = None,
) -> None:
    """Deliver every event at least once, in order; one JSON object a line if there is no webhook."""
    client = open_client(tracking_uri)
    sink = _sink(webhook, secret_env)
    client.watch_events(sink, cursor=cursor, from_now=from_now, once=once, interval_seconds=interval)


class _Printer:
    """Prints events, one JSON object a line."""

    def deliver(self, event: "PublishedEvent") -> None:
        from registry.client.registry.webhook import event_body

        output.line(event_body(event).decode())


def _sink(webhook: str | None, secret_env: str | None) -> "EventSink":
    from registry.client.registry.webhook import WebhookSink

    if webhook is None:
        if secret_env is not None:
            raise InvalidParameterError("--secret-env signs what is posted; give --webhook too.")
        return _Printer()
    secret = None if secret_env is None else os.environ.get(secret_env) or None
    if secret_env is not None and not secret:
        raise InvalidParameterError(f"The environment variable {secret_env} is not set; it holds the webhook's secret.")
    return WebhookSink(webhook, secret=secret)
