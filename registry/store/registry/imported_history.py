"""The histories that imported models brought along, as they are stored, and whether they are still what they were.

Invariant: what is stored of a model's past elsewhere ends in the hash that the model's own history holds.
"""

import json
from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import Connection, insert, select

from registry.entities.history import (
    HistoryEvent,
    ImportedHistory,
    check_closed,
    check_imported_histories,
    event_from,
    find_import,
)
from registry.exceptions import IntegrityError
from registry.store.dialects import AnyRow, table
from registry.store.tables import ImportedEventRow


def insert_imported_history(connection: Connection, model_key: int, segments: Sequence[ImportedHistory]) -> None:
    """Store the past of a model, oldest segment first."""
    rows = [
        {"model_id": model_key, "segment": number, "seq": event.seq, "event": event.canonical().decode()}
        for number, segment in enumerate(segments, 1)
        for event in segment.events
    ]
    connection.execute(insert(table(ImportedEventRow)), rows)


def read_imported_history(
    connection: Connection, model_key: int, events: Sequence[HistoryEvent]
) -> list[ImportedHistory]:
    """The past of a model with these own events, oldest segment first; empty if it was never imported.

    Raises:
        IntegrityError: a stored event cannot be read, or nothing says what registry a segment is of.
    """
    query = select(ImportedEventRow.__table__).where(ImportedEventRow.model_id == model_key)
    stored: defaultdict[int, list[HistoryEvent]] = defaultdict(list)
    for row in connection.execute(query.order_by(ImportedEventRow.segment, ImportedEventRow.seq)):
        event = event_from(_values(row))
        if event.seq != row.seq:
            raise IntegrityError(f"Event {event.seq} of an imported history is kept as event {row.seq}: it was edited.")
        stored[row.segment].append(event)
    segments: list[ImportedHistory] = []
    after: Sequence[HistoryEvent] = events
    for _, found in sorted(stored.items(), reverse=True):
        closing = find_import(after)
        registry_id = "" if closing is None else str(closing.details.get("registry_id"))
        segments.append(ImportedHistory(registry_id, found[0].model_uid, tuple(found)))
        after = found
    return segments[::-1]


def check_imported_history(connection: Connection, model: AnyRow, events: Sequence[HistoryEvent]) -> None:
    """Compare what is stored of a model's past with its own events.

    Raises:
        IntegrityError: an event of the past was edited, added or removed.
    """
    segments = read_imported_history(connection, model.id, events)
    check_imported_histories(segments)
    if segments:
        check_closed(segments[-1], events, repr(model.name))
    elif find_import(events) is not None:
        raise IntegrityError(f"The history of {model.name!r} says that it was imported, but its past is missing.")


def _values(row: AnyRow) -> object:
    try:
        return json.loads(row.event)
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"Event {row.seq} of an imported history was edited: it is not JSON.") from error
