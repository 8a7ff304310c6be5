"""Listen to every statement sent to a database, by SQLAlchemy or by the driver's own cursor."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import Engine, event

Listener = Callable[[str, Any], None]


def hear_statements(engine: Engine, listener: Listener) -> None:
    """Call `listener` with text and parameters before each statement, for as long as the engine lives."""
    if engine.dialect.name == "sqlite":
        # SQLite reports statements with their values written out; those that a trigger runs begin with "--".
        def trace(statement: str) -> None:
            if not statement.startswith(("--", "COMMIT", "ROLLBACK")):
                listener(statement, ())

        event.listen(engine, "checkout", lambda connection, *_: connection.set_trace_callback(trace))
        return
    import psycopg

    class ListeningCursor(psycopg.Cursor[Any]):
        def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
            listener(query, params)
            return super().execute(query, params, **options)

        def executemany(self, query: Any, params_seq: Any, **options: Any) -> Any:
            listener(query, params_seq)
            return super().executemany(query, params_seq, **options)

    def equip(connection: "psycopg.Connection[Any]", *_: object) -> None:
        connection.cursor_factory = ListeningCursor

    event.listen(engine, "checkout", equip)


@contextlib.contextmanager
def heard_statements(engine: Engine) -> Iterator[list[tuple[str, Any]]]:
    """Collect the statements that are sent inside the block, with their parameters."""
    heard: list[tuple[str, Any]] = []
    listening = True

    def note(statement: str, parameters: Any) -> None:
        if listening:
            heard.append((statement, parameters))

    hear_statements(engine, note)
    try:
        yield heard
    finally:
        listening = False
