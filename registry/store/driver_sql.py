"""Run statements on the driver's own cursor; on hot paths SQLAlchemy's results cost more than the statement.

The text is compiled by Core, or written in the driver's SQL. SQLAlchemy still owns the connection and its pool.

Guarantees: errors are SQLAlchemy's classes, made by their public constructors. If a connection is lost, the idle
connections of its pool are replaced too. An interrupted connection is never used again.
"""

import contextlib
import sqlite3
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, exc

# Error classes of PEP 249, which every driver has under the same names; the most specific come first.
_ERRORS: Final = (
    exc.IntegrityError,
    exc.DataError,
    exc.NotSupportedError,
    exc.ProgrammingError,
    exc.InternalError,
    exc.OperationalError,
    exc.InterfaceError,
    exc.DatabaseError,
)


class Answer(NamedTuple):
    """Result of a statement: its rows, their columns, and the number of rows written."""

    rows: Sequence[tuple[Any, ...]]
    columns: tuple[str, ...]
    written: int


def check(condition: str) -> str:
    """Return an expression for PostgreSQL that fails unless a condition holds, so that the transaction cannot commit.

    Its error becomes a `ConditionFailedError`.
    """
    return f"1 / CASE WHEN {condition} THEN 1 ELSE 0 END"


class Statement:
    """A statement in the driver's SQL; `answer` is None until the database has answered."""

    __slots__ = ("answer", "parameters", "text")

    def __init__(self, text: str, parameters: Any = ()) -> None:
        self.text, self.parameters = text, parameters
        self.answer: Answer | None = None

    @property
    def rows(self) -> Sequence[tuple[Any, ...]]:
        """The rows of an answer that has arrived."""
        assert self.answer is not None  # noqa: S101 - the caller waited for it
        return self.answer.rows


def run(connection: Connection, statement: str, parameters: Any = ()) -> Answer:
    """Run one statement in the driver's SQL."""
    (ran,) = run_all(connection, Statement(statement, parameters))
    return ran


def run_all(connection: Connection, *statements: Statement) -> list[Answer]:
    """Run statements, on PostgreSQL in one round trip, and return their answers."""
    if connection.dialect.name == "sqlite":
        return _run_on_sqlite(connection, statements)
    with _convert_errors(connection):
        _postgres(connection).run(statements)
    return [statement.answer for statement in statements if statement.answer is not None]


def send(connection: Connection, statement: Statement) -> Statement:
    """Let a statement travel with the next one of its transaction, or with COMMIT; SQLite runs it now.

    Its answer arrives then, and so does its error.
    """
    if connection.dialect.name == "sqlite":
        _run_on_sqlite(connection, (statement,))
    else:
        with _convert_errors(connection):
            _postgres(connection).send(statement)
    return statement


def end_with_next(connection: Connection) -> None:
    """Let the COMMIT of a read transaction travel with the next statement, which is its last."""
    if connection.dialect.name != "sqlite":
        _postgres(connection).end_with_next()


def begin(connection: Connection, *statements: Statement, is_snapshot: bool = False) -> None:
    """Begin a transaction on PostgreSQL, in the round trip of its first statement.

    `is_snapshot`: it only reads in one snapshot; if it consists of one statement, it needs no BEGIN and no COMMIT.
    """
    _postgres(connection).begin(statements, is_snapshot=is_snapshot)


def run_many(connection: Connection, statement: str, rows: Sequence[Any]) -> None:
    """Run a statement in the driver's SQL once per row of parameters."""
    if connection.dialect.name == "sqlite":
        with _cursor(connection) as cursor:
            cursor.executemany(statement, rows)
        return
    for row in rows:
        send(connection, Statement(statement, row))


def copy(connection: Connection, statement: str, blocks: Iterable[str]) -> None:
    """Send blocks of rows in the text format of PostgreSQL's COPY."""
    with _cursor(connection) as cursor, cursor.copy(statement) as writer:
        for block in blocks:
            writer.write(block)


def _postgres(connection: Connection) -> Any:
    """Return the `PipelinedConnection`; without psycopg its class cannot be imported."""
    return connection.connection.driver_connection


def _run_on_sqlite(connection: Connection, statements: Sequence[Statement]) -> list[Answer]:
    answers = []
    with _cursor(connection) as cursor:
        for statement in statements:
            cursor.execute(statement.text, statement.parameters)
            if cursor.description:
                columns = tuple([column[0] for column in cursor.description])
                statement.answer = Answer(cursor.fetchall(), columns, cursor.rowcount)
            else:
                statement.answer = Answer((), (), cursor.rowcount)
            answers.append(statement.answer)
    return answers


class _convert_errors:  # noqa: N801 - a verb; as a class, since a generator takes several times as long
    """Convert the driver's errors inside the block to SQLAlchemy's."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            return
        if not isinstance(error, Exception | GeneratorExit):
            self._connection.invalidate(error)  # its response may still arrive
            return
        converted = _to_sqlalchemy_error(self._connection, error)
        if converted is not None:
            raise converted from None


class _cursor:  # noqa: N801 - as above
    """Open a cursor of the driver for the block, and convert its errors."""

    __slots__ = ("_connection", "_cursor")

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __enter__(self) -> Any:
        with _convert_errors(self._connection):
            self._cursor = self._connection.connection.cursor()
        return self._cursor

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            return
        if isinstance(error, Exception | GeneratorExit):
            with contextlib.suppress(Exception):  # report the first error
                self._cursor.close()
        _convert_errors(self._connection).__exit__(kind, error, traceback)


def _to_sqlalchemy_error(connection: Connection, error: BaseException) -> exc.DBAPIError | None:
    """Return SQLAlchemy's error for a driver error, or None for any other exception."""
    driver: Any = sqlite3
    if connection.dialect.name != "sqlite":
        import psycopg

        driver = psycopg
    if not isinstance(error, driver.Error):
        return None
    if _may_be_lost(connection, error):
        # SQLAlchemy notices the lost connection only in a statement of its own; then it replaces the pool.
        with contextlib.suppress(exc.DBAPIError):
            connection.exec_driver_sql("SELECT 1")
    matches = (cls for cls in _ERRORS if isinstance(error, getattr(driver, cls.__name__)))
    error_class = next(matches, exc.DBAPIError)
    return error_class(None, None, error, connection_invalidated=connection.invalidated)


def _may_be_lost(connection: Connection, error: BaseException) -> bool:
    if isinstance(error, sqlite3.Error):
        return isinstance(error, sqlite3.ProgrammingError)  # a closed connection raises this, among others
    driver_connection: Any = connection.connection.driver_connection
    return bool(driver_connection.closed)
