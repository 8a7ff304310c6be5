"""Events of models as rows and as JSON: the same for ``models history``, ``events list`` and ``events watch``."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from registry.cli.formatting import Time
from registry.cli.output import Column

if TYPE_CHECKING:
    from registry.entities.history import HistoryEvent, PublishedEvent


def documents(events: "Sequence[PublishedEvent]") -> list[dict[str, Any]]:
    """Return events as JSON has them: the bodies that webhooks get."""
    from registry.client.registry.webhook import event_document

    return [event_document(event) for event in events]


def _change(event: "HistoryEvent") -> str:
    if event.kind == "created":
        return ""  # the value is the model's name
    before, after = event.from_value, event.to_value
    subject = next((str(event.details[key]) for key in ("alias", "key", "field", "stage") if key in event.details), "")
    change = "" if before is None and after is None else f"{before or '-'} -> {after or '-'}"
    return f"{subject}: {change}" if subject and change else subject or change


_WHAT: Final[tuple["Column[PublishedEvent]", ...]] = (
    Column("time (UTC)", lambda published: Time(published.event.time_us), whole=True),
    Column("kind", lambda published: published.event.kind, whole=True),
    Column("version", lambda published: published.event.version, whole=True, right=True),
    Column("change", lambda published: _change(published.event)),
)
EVENT_COLUMNS: Final[tuple["Column[PublishedEvent]", ...]] = (
    Column("no.", lambda published: published.event.seq, whole=True, right=True),
    *_WHAT,
    Column("actor", lambda published: published.event.actor, leaves=1),
    Column("reason", lambda published: published.event.reason),
)
NAMED_EVENT_COLUMNS: Final[tuple["Column[PublishedEvent]", ...]] = (
    Column("position", lambda published: published.position, whole=True, right=True, leaves=3),
    Column("model", lambda published: published.model_name, whole=True),
    *_WHAT,
    Column("actor", lambda published: published.event.actor, leaves=2),
    Column("reason", lambda published: published.event.reason, leaves=1),
)
