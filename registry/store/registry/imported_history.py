"""Store and check the histories that imported models had in other registries.

Guarantees: an imported history ends in the hash that the model's own history records.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence

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
from registry.store.dialects import AnyRow, AnySelect, table
from registry.store.tables import ImportedEventRow


def insert_imported_history(connection: Connection, model_key: int, segments: Sequence[ImportedHistory]) -> None:
    """Store imported histories of a model, oldest first."""
    rows = [
        {"model_id": model_key, "segment": number, "seq": event.seq, "event": event.canonical().decode()}
        for number, segment in enumerate(segments, 1)
        for event in segment.events
    ]
    connection.execute(insert(table(ImportedEventRow)), rows)


def read_imported_history(
    connection: Connection, model_key: int, events: Sequence[HistoryEvent]
) -> list[ImportedHistory]:
    """Return the imported histories of a model with these events, oldest first; empty if it was never imported.

    Raises:
        IntegrityError: A stored event cannot be read, or the registry of a segment is not recorded.
    """
    query = select_imported_events().where(ImportedEventRow.model_id == model_key)
    return imported_histories_of(connection.execute(query), events)


def select_imported_events() -> AnySelect:
    """Return a query of the rows that `imported_histories_of` takes."""
    return select(ImportedEventRow.__table__).order_by(ImportedEventRow.segment, ImportedEventRow.seq)


def imported_histories_of(rows: Iterable[AnyRow], events: Sequence[HistoryEvent]) -> list[ImportedHistory]:
    """Return the histories of rows of `select_imported_events`; see `read_imported_history`."""
    stored: defaultdict[int, list[HistoryEvent]] = defaultdict(list)
    for row in rows:
        event = event_from(_values(row))
        if event.seq != row.seq:
            raise IntegrityError(f"Event {event.seq} of an imported history is kept as event {row.seq}: it was edited.")
        stored[row.segment].append(event)
    segments: list[ImportedHistory] = []
    after: Sequence[HistoryEvent] = events
    for _, segment in sorted(stored.items(), reverse=True):
        closing = find_import(after)
        registry_id = "" if closing is None else str(closing.details.get("registry_id"))
        segments.append(ImportedHistory(registry_id, segment[0].model_uid, tuple(segment)))
        after = segment
    return segments[::-1]


def check_imported_history(connection: Connection, model: AnyRow, events: Sequence[HistoryEvent]) -> None:
    """Check the imported histories of a model against its own events.

    Raises:
        IntegrityError: An imported event was edited, added or removed.
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
