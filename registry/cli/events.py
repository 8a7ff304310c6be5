"""``registry watch``: send every event to a webhook, or print it, as it happens."""

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
        Path, typer.Option("--cursor", metavar="FILE", help="File that remembers the delivered events across restarts.")
    ] = Path("registry-watch.json"),
    webhook: Annotated[
        str | None, typer.Option("--webhook", metavar="URL", help="Post events there instead of printing them.")
    ] = None,
    secret_env: Annotated[
        str | None,
        typer.Option("--secret-env", metavar="NAME", help="The environment variable with the secret that signs posts."),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Stop after delivering every event so far.")] = False,
    from_now: Annotated[
        bool, typer.Option("--from-now", help="Start a new cursor at the next event, not at the first one.")
    ] = False,
    interval: Annotated[
        float, typer.Option("--interval", metavar="SECONDS", min=0.01, help="Time between two looks.")
    ] = 1,
    tracking_uri: TrackingUri = None,
) -> None:
    """Deliver every event at least once, in order: to a webhook, or as one JSON object per line."""
    client = open_client(tracking_uri)
    sink = _sink(webhook, secret_env)
    client.watch_events(sink, cursor=cursor, from_now=from_now, once=once, interval_seconds=interval)


class _Printer:
    """A sink that prints events, one JSON object per line."""

    def deliver(self, event: "PublishedEvent") -> None:
        from registry.client.registry.webhook import event_body

        output.line(event_body(event).decode())


def _sink(webhook: str | None, secret_env: str | None) -> "EventSink":
    from registry.client.registry.webhook import WebhookSink

    if webhook is None:
        if secret_env is not None:
            raise InvalidParameterError("--secret-env signs webhook posts; give --webhook too.")
        return _Printer()
    secret = None if secret_env is None else os.environ.get(secret_env) or None
    if secret_env is not None and not secret:
        raise InvalidParameterError(f"The environment variable {secret_env} is not set; it holds the webhook's secret.")
    return WebhookSink(webhook, secret=secret)
