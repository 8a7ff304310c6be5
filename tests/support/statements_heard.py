"""Observe every statement that is sent to a database, by SQLAlchemy or by the driver's own cursor."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sqlalchemy import Engine, event

from registry.store.driver_sql import Statement

Listener = Callable[[str, Any], None]


def hear_statements(engine: Engine, listener: Listener) -> None:
    """Call `listener` with text and parameters before each statement, for as long as the engine lives."""
    if engine.dialect.name == "sqlite":
        # SQLite reports statements with their values filled in; statements of a trigger begin with "--".
        def trace(statement: str) -> None:
            if not statement.startswith(("--", "COMMIT", "ROLLBACK")):
                listener(statement, ())

        event.listen(engine, "checkout", lambda connection, *_: connection.set_trace_callback(trace))
        return
    from registry.store.postgres_connection import PipelinedConnection, PipelinedCursor

    class ListeningCursor(PipelinedCursor):
        def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
            listener(query, params)
            return super().execute(query, params, **options)

        def executemany(self, query: Any, params_seq: Any, **options: Any) -> Any:
            listener(query, params_seq)
            return super().executemany(query, params_seq, **options)

    def equip(connection: PipelinedConnection, *_: object) -> None:
        connection.cursor_factory = ListeningCursor
        run, send = PipelinedConnection.run, PipelinedConnection.send

        def run_heard(statements: Sequence[Statement]) -> None:
            for statement in statements:
                listener(statement.text, statement.parameters)
            run(connection, statements)

        def send_heard(statement: Statement) -> None:
            listener(statement.text, statement.parameters)
            send(connection, statement)

        connection.run, connection.send = run_heard, send_heard  # type: ignore[method-assign]

    event.listen(engine, "checkout", equip)


@contextlib.contextmanager
def record_statements(engine: Engine) -> Iterator[list[tuple[str, Any]]]:
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
