"""``registry events``: what happened to all models, and what happens to them now."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from registry.cli import invocation, output
from registry.cli.commands import noun
from registry.cli.event_columns import NAMED_EVENT_COLUMNS, documents
from registry.cli.history import find_events
from registry.cli.options import DAY_SECONDS, Everything, Limit, Since, Until, open_client
from registry.cli.times import parse_moment
from registry.exceptions import InvalidParameterError

if TYPE_CHECKING:
    from registry.client.registry.events import EventSink
    from registry.entities.history import PublishedEvent

app = noun("events", "Events of all models: promotions, versions, tags, rules, refusals.")


@app.command("list", examples=["registry events list --since 1d", "registry events list --kind promotion_refused"])
def list_events(
    since: Since = None,
    until: Until = None,
    kind: Annotated[
        list[str] | None, typer.Option("--kind", metavar="KIND", help="Such as stage_changed; may be repeated.")
    ] = None,
    limit: Limit = 50,
    everything: Everything = False,
) -> None:
    """List the events of all models, newest last."""
    client = open_client()
    events = find_events(
        client, None, None, kind, parse_moment(since), parse_moment(until), None if everything else limit + 1
    )
    more = not everything and len(events) > limit
    events = events[1:] if more else events
    output.listing(
        events, NAMED_EVENT_COLUMNS, nothing="No events.", ids=lambda e: e.position, document=documents(events)
    )
    if more:
        output.note(f"The last {len(events)} are shown; --all shows every one, --limit more.")


@app.command(
    "watch",
    examples=[
        "registry events watch",
        "registry events watch --cursor /var/lib/registry.cursor --webhook https://example.com/hook",
    ],
)
def watch(
    cursor: Annotated[
        Path | None,
        typer.Option(
            "--cursor",
            metavar="FILE",
            help="File that remembers the delivered events across restarts. Without it, only events from now on.",
        ),
    ] = None,
    webhook: Annotated[
        str | None, typer.Option("--webhook", metavar="URL", help="Post events there instead of printing them.")
    ] = None,
    secret_env: Annotated[
        str | None,
        typer.Option("--secret-env", metavar="NAME", help="The environment variable with the secret that signs posts."),
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="Stop after the events so far; without --cursor these are all there are.")
    ] = False,
    from_now: Annotated[
        bool, typer.Option("--from-now", help="Start a new cursor at the next event, not at the first one.")
    ] = False,
    interval: Annotated[
        float, typer.Option("--interval", metavar="SECONDS", min=0.01, max=DAY_SECONDS, help="Time between two looks.")
    ] = 1,
) -> None:
    """Deliver every event at least once, in order: to a webhook, or as one JSON object per line."""
    client = open_client()
    sink = _sink(webhook, secret_env)
    if cursor is None and not once and webhook is None:
        output.note("Waiting for events from now on; --cursor FILE remembers where to go on. Ctrl-C ends it.")
    client.watch_events(
        sink,
        cursor=cursor,
        from_now=from_now or (cursor is None and not once),
        once=once,
        interval_seconds=interval,
    )


class _Printer:
    """A sink that prints events, one JSON object per line, or positions with -q."""

    def deliver(self, event: "PublishedEvent") -> None:
        from registry.client.registry.webhook import event_body

        output.line(str(event.position) if invocation.current().quiet else event_body(event).decode())
        output.flush()


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
