"""Events for others: polling them in the order of their commits, and delivering each to a sink at least once.

Leaves what becomes of an event to the sink (`webhook` is one). Invariant: the cursor moves past an event only after the
sink has taken it, so that a program that is stopped anywhere delivers the event again, and loses none.
"""

import time
from pathlib import Path
from typing import Final, Protocol

from registry.client.atomic_files import read_json, write_json
from registry.client.base import ClientBase
from registry.entities.history import PublishedEvent
from registry.exceptions import InvalidParameterError, InvalidStateError, InvalidTypeError
from registry.validation.paths import check_local_path

_WHAT: Final = "cursor file"
_BATCH: Final = 100


class EventSink(Protocol):
    """Somebody who takes events, one after the other."""

    def deliver(self, event: PublishedEvent) -> None:
        """Take an event. What raises was not taken, and comes again; an event may come twice, with one `position`."""


class EventMethods(ClientBase):
    """How a client follows what happens to all models."""

    def poll_events(self, after: int = 0, limit: int = 100) -> list[PublishedEvent]:
        """The next events of all models after a position; keep the last one's `position` and pass it next time.

        Every event comes at least once, in order per model, and none is missed while others commit.

        Raises:
            InvalidParameterError: `after` is negative, or `limit` is not 1 to 10,000.
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
        cursor: str | Path,
        from_now: bool = False,
        once: bool = False,
        interval_seconds: float = 1.0,
    ) -> int:
        """Deliver events to a sink, those that come too unless `once`; how many it was.

        The file `cursor` remembers the last event that was taken, over restarts. Without such a file it begins with the
        first event of all, or with those that are still to come if `from_now`.

        Raises:
            InvalidStateError: the cursor is not of this registry, or ahead of it.
            RegistryError: whatever the sink raises; the event comes again with the next call.
        """
        if not callable(getattr(sink, "deliver", None)):
            raise InvalidTypeError(f"A sink has a method deliver(event), such as WebhookSink; got {sink!r}.")
        kept = _Cursor(check_local_path(cursor), self.backend.experiments.registry_id())
        position = kept.read(self.backend.history.last_position(), from_now=from_now)
        delivered = 0
        while True:
            events = self.poll_events(position, _BATCH)
            for event in events:
                sink.deliver(event)
                position, delivered = event.position, delivered + 1
                kept.write(position)
            if once and len(events) < _BATCH:
                return delivered
            if not events:
                time.sleep(interval_seconds)


class _Cursor:
    """The position of the last event that was taken, in a file, with the registry that it is of."""

    def __init__(self, path: Path, registry_id: str) -> None:
        self._path = path
        self._registry_id = registry_id

    def write(self, position: int) -> None:
        write_json(self._path, {"registry_id": self._registry_id, "position": position}, _WHAT)

    def read(self, last: int, *, from_now: bool) -> int:
        """The position; a new cursor begins at 0, or at `last`, the position of the last event of all."""
        kept = read_json(self._path, _WHAT)
        if kept is None:
            start = last if from_now else 0
            self.write(start)
            return start
        position = kept.get("position")
        if type(position) is not int or position < 0:
            raise InvalidParameterError(f"The {_WHAT} {str(self._path)!r} has no position; delete it to begin anew.")
        if kept.get("registry_id") != self._registry_id:
            raise InvalidStateError(
                f"The {_WHAT} {str(self._path)!r} is of the registry {kept.get('registry_id')}, this one is "
                f"{self._registry_id}; use one file per registry."
            )
        if position > last:
            raise InvalidStateError(
                f"The {_WHAT} {str(self._path)!r} says that event {position} was delivered, but the last event is "
                f"{last}: the database was set back, perhaps restored from a backup. Delete the file to begin anew."
            )
        return position
