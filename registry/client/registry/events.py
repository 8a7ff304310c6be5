"""Client methods that follow the events of all models: poll them in commit order, or deliver each to a sink.

Guarantees: each event is delivered at least once. The cursor moves past an event only after the sink returned, so a
program that stops anywhere delivers the event again.
"""

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from registry.client.atomic_files import read_json, write_json
from registry.client.base import ClientBase
from registry.exceptions import InvalidParameterError, InvalidStateError, InvalidTypeError
from registry.validation.paths import check_local_path

if TYPE_CHECKING:
    from registry.entities.history import PublishedEvent

_FILE_KIND: Final = "cursor file"
_BATCH: Final = 100


class EventSink(Protocol):
    """A receiver of events, one at a time."""

    def deliver(self, event: "PublishedEvent") -> None:
        """Take one event. If this raises, the event is delivered again later; `position` identifies repetitions."""


class EventMethods(ClientBase):
    """Client methods that follow the events of all models."""

    def poll_events(self, after: int = 0, limit: int = 100) -> list["PublishedEvent"]:
        """Return the next events of all models after a position.

        Keep the `position` of the last event and pass it as `after` in the next call. No event is missed while others
        commit.

        Args:
            after: Position of the last event that was seen; 0 for the beginning.
            limit: At most this many events, 1 to 10,000.

        Returns:
            Events in commit order, each with ``position``, ``model_name`` and ``event``.

        Raises:
            InvalidParameterError: `after` is negative, or `limit` is out of range.

        Example:
            >>> events = client.poll_events(limit=2)
            >>> [(event.position, event.model_name, event.event.kind) for event in events]
            [(1, 'churn', 'created'), (2, 'churn', 'version_created')]
            >>> client.poll_events(after=events[-1].position, limit=1)[0].position
            3
        """
        if not isinstance(after, int) or not 0 <= after < 2**63:
            raise InvalidParameterError(f"after must be a position, 0 or more, got {after!r}.")
        if not isinstance(limit, int) or not 1 <= limit <= 10_000:
            raise InvalidParameterError(f"limit must be 1 to 10000, got {limit!r}.")
        return self.backend.history.poll(after=after, limit=limit)

    def watch_events(
        self,
        sink: EventSink,
        *,
        cursor: str | Path | None = None,
        from_now: bool = False,
        once: bool = False,
        interval_seconds: float = 1.0,
    ) -> int:
        """Deliver events to a sink as they are committed, and remember the position in a file.

        Args:
            sink: An object with a method ``deliver(event)``, such as `registry.WebhookSink`.
            cursor: File that keeps the position of the last delivered event across restarts. None keeps it in memory
                only: the next call begins anew.
            from_now: With a new cursor, skip the events that exist already.
            once: Return after the events that exist now, instead of waiting for more.
            interval_seconds: Pause between polls while no event comes: 0 or more.

        Returns:
            The number of delivered events.

        Raises:
            InvalidParameterError: `interval_seconds` is negative, NaN or infinite.
            InvalidStateError: The cursor file belongs to another registry, or is ahead of this database.
            RegistryError: The sink failed; the event is delivered again by the next call.

        Example:
            >>> class Printer:
            ...     def deliver(self, event):
            ...         print(event.position, event.event.kind)
            >>> client.watch_events(Printer(), cursor="slack.cursor", from_now=True, once=True)
            0
            >>> client.approve("churn", 3, "Production")
            >>> client.watch_events(Printer(), cursor="slack.cursor", once=True)
            9 approved
            1
        """
        if not callable(getattr(sink, "deliver", None)):
            raise InvalidTypeError(f"A sink has a method deliver(event), such as WebhookSink; got {sink!r}.")
        if not 0 <= interval_seconds <= threading.TIMEOUT_MAX:
            raise InvalidParameterError(f"interval_seconds must be a number of seconds, got {interval_seconds!r}.")
        last = self.backend.history.last_position()
        cursor_file = None
        position = last if from_now else 0
        if cursor is not None:
            cursor_file = _Cursor(check_local_path(cursor), self.backend.experiments.registry_id())
            position = cursor_file.read(last, from_now=from_now)
        delivered = 0
        while True:
            events = self.poll_events(position, _BATCH)
            for event in events:
                sink.deliver(event)
                position, delivered = event.position, delivered + 1
                if cursor_file is not None:
                    cursor_file.write(position)
            if once and len(events) < _BATCH:
                return delivered
            if not events:
                time.sleep(interval_seconds)


class _Cursor:
    """The position of the last delivered event and the id of its registry, in a file."""

    def __init__(self, path: Path, registry_id: str) -> None:
        self._path = path
        self._registry_id = registry_id

    def write(self, position: int) -> None:
        write_json(self._path, {"registry_id": self._registry_id, "position": position}, _FILE_KIND)

    def read(self, last: int, *, from_now: bool) -> int:
        """Return the position. A new cursor starts at 0, or at `last` (the newest event) if `from_now`."""
        content = read_json(self._path, _FILE_KIND)
        if content is None:
            start = last if from_now else 0
            self.write(start)
            return start
        position = content.get("position")
        if type(position) is not int or position < 0:
            raise InvalidParameterError(
                f"The {_FILE_KIND} {str(self._path)!r} has no position; delete it to begin anew."
            )
        if content.get("registry_id") != self._registry_id:
            raise InvalidStateError(
                f"The {_FILE_KIND} {str(self._path)!r} is of the registry {content.get('registry_id')}, this one is "
                f"{self._registry_id}; use one file per registry."
            )
        if position > last:
            raise InvalidStateError(
                f"The {_FILE_KIND} {str(self._path)!r} says that event {position} was delivered, but the last event is "
                f"{last}: the database was set back, perhaps restored from a backup. Delete the file to begin anew."
            )
        return position
