"""The psycopg connection and cursor of our engine: statements may wait for the round trip of the next one.

BEGIN waits for the first statement of its transaction, and statements whose answers nobody needs yet wait for COMMIT.
Guarantees: a statement that waits is sent before any later one, and nothing waits when its transaction has ended. Each
round trip has the connection's time limit.
"""

from collections.abc import Sequence
from typing import Any, Final

import psycopg
from psycopg.pq import TransactionStatus

from registry.store.driver_sql import Answer, Statement
from registry.store.pipeline import Pipeline
from registry.store.time_limits import TimeLimit

_COMMIT: Final = "COMMIT"
# More statements than this do not wait, since they take memory.
_MOST_WAITING: Final = 100


class PipelinedCursor(psycopg.Cursor[Any]):
    """A cursor for SQLAlchemy; what waits on its connection travels with its statement."""

    def execute(self, query: Any, params: Any = None, **options: Any) -> "PipelinedCursor":
        """Run a statement, in one round trip with those that wait."""
        connection: Any = self.connection
        before, after = connection.take_waiting(is_last_alone=True)
        with TimeLimit(connection):
            if not (before or after):
                return super().execute(query, params, **options)
            error: psycopg.Error | None = None
            try:
                with connection.pipeline():  # its end sends Sync; another one here may be another round trip
                    try:
                        others = [psycopg.Cursor(connection) for _ in before]
                        for other, statement in zip(others, before, strict=True):
                            other.execute(statement.text, statement.parameters)
                        super().execute(query, params, **options)
                        for statement in after:
                            psycopg.Cursor(connection).execute(statement.text)
                    except psycopg.Error as first:
                        error = first  # raised inside the block, psycopg would log those that follow from it
            except psycopg.Error as later:
                raise error or _first_of(later) from None
            if error is not None:
                raise error
            for other, statement in zip(others, before, strict=True):
                statement.answer = _answer_of(other)
            return self

    def executemany(self, query: Any, params_seq: Any, **options: Any) -> None:
        """Run a statement for each row of parameters."""
        connection: Any = self.connection
        connection.send_waiting()
        with TimeLimit(connection):
            super().executemany(query, params_seq, **options)

    def copy(self, statement: Any, *arguments: Any, **options: Any) -> Any:
        """Begin a COPY."""
        connection: Any = self.connection
        connection.send_waiting()
        return super().copy(statement, *arguments, **options)


class PipelinedConnection(psycopg.Connection[Any]):
    """A connection whose round trips may take `limit_seconds` each; None is no limit."""

    limit_seconds: float | None = None
    _opening: list[Statement]
    _waiting: list[Statement]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.cursor_factory = PipelinedCursor
        self.set_pipeline(prepares=False)
        self._forget()

    def cursor(self, name: str = "", **options: Any) -> Any:
        """Return a cursor; one with a name is declared on the server, so what waits is sent before."""
        if name:
            self.send_waiting()
        return super().cursor(name, **options)

    def set_pipeline(self, *, prepares: bool) -> None:
        """Use a new pipeline, which prepares statements on the server or does not."""
        self._statements = Pipeline(self, prepares=prepares)

    def begin(self, statements: Sequence[Statement], *, is_snapshot: bool) -> None:
        """Begin a transaction with these statements, in the round trip of its first one.

        `is_snapshot`: it only reads in one snapshot; if it consists of one statement, it needs no BEGIN and no COMMIT.
        """
        self._opening, self._is_snapshot, self._is_open = list(statements), is_snapshot, True

    def end_with_next(self) -> None:
        """Let COMMIT travel with the next statement."""
        self._ends = self._is_open

    def send(self, statement: Statement) -> None:
        """Let a statement travel with the next one, or with COMMIT; outside a transaction, run it now."""
        if self._is_open:
            self._waiting.append(statement)
            if len(self._waiting) >= _MOST_WAITING:
                self.send_waiting()
        else:
            self.exchange([statement])

    def run(self, statements: Sequence[Statement]) -> None:
        """Run statements and those that wait in one round trip."""
        before, after = self.take_waiting(is_last_alone=len(statements) == 1)
        self.exchange([*before, *statements, *after])

    def exchange(self, statements: Sequence[Statement]) -> None:
        """Make one round trip."""
        with TimeLimit(self):
            self._statements.exchange(statements)

    def take_waiting(self, *, is_last_alone: bool) -> tuple[list[Statement], list[Statement]]:
        """Return what to send before and after a statement, and count it as sent."""
        before, after = [*self._opening, *self._waiting], [Statement(_COMMIT)] if self._ends else []
        if self._ends:
            if self._is_snapshot and self._opening and not self._waiting and is_last_alone:
                before, after = [], []
            self._forget()
        else:
            self._opening, self._waiting = [], []
        return before, after

    def send_waiting(self) -> None:
        """Send what waits now."""
        before, _ = self.take_waiting(is_last_alone=False)
        if before:
            self.exchange(before)

    def commit(self) -> None:
        """Commit the transaction, in one round trip with what waits; without a statement there is nothing to do."""
        opening, waiting, was_open = self._opening, self._waiting, self._is_open
        self._forget()
        if not was_open:
            super().commit()  # a transaction of alembic's, or none
        if not was_open or (opening and not waiting):
            return
        try:
            self.exchange([*opening, *waiting, Statement(_COMMIT)])
        except psycopg.Error:
            self._roll_back()
            raise

    def rollback(self) -> None:
        """Roll the transaction back, and forget what waits."""
        self._forget()
        self._roll_back()

    def _roll_back(self) -> None:
        if self.info.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
            with TimeLimit(self):
                super().rollback()

    def _forget(self) -> None:
        self._opening, self._waiting = [], []
        self._is_open = self._is_snapshot = self._ends = False


def _answer_of(cursor: psycopg.Cursor[Any]) -> Answer:
    if cursor.description is None:
        return Answer((), (), cursor.rowcount)
    return Answer(cursor.fetchall(), tuple([column.name for column in cursor.description]), cursor.rowcount)


def _first_of(error: psycopg.Error) -> psycopg.Error:
    """Return the error of the statement that failed first; those that the server skipped fail after it."""
    while isinstance(error.__context__, psycopg.Error):
        error = error.__context__
    return error
