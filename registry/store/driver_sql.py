"""Run statements on the driver's own cursor; on hot paths SQLAlchemy's results cost more than the statement.

The text is compiled by Core, or written in the driver's SQL. SQLAlchemy still owns the connection and its pool.

Guarantees: errors are SQLAlchemy's classes, made by their public constructors. If a connection is lost, the idle
connections of its pool are replaced too. An interrupted connection is never used again.
"""

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
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


def run(connection: Connection, statement: str, parameters: Any = ()) -> Answer:
    """Run one statement in the driver's SQL."""
    with _cursor(connection) as cursor:
        cursor.execute(statement, parameters)
        if not cursor.description:
            return Answer((), (), cursor.rowcount)
        return Answer(cursor.fetchall(), tuple([column[0] for column in cursor.description]), cursor.rowcount)


def run_many(connection: Connection, statement: str, rows: Sequence[Any]) -> None:
    """Run a statement in the driver's SQL once per row of parameters."""
    with _cursor(connection) as cursor:
        cursor.executemany(statement, rows)


def copy(connection: Connection, statement: str, blocks: Iterable[str]) -> None:
    """Send blocks of rows in the text format of PostgreSQL's COPY."""
    with _cursor(connection) as cursor, cursor.copy(statement) as writer:
        for block in blocks:
            writer.write(block)


@contextlib.contextmanager
def _cursor(connection: Connection) -> Iterator[Any]:
    """Open a cursor; convert the driver's errors inside the block to SQLAlchemy's."""
    cursor = None
    try:
        cursor = connection.connection.cursor()
        yield cursor
    except (Exception, GeneratorExit) as error:
        if cursor is not None:
            with contextlib.suppress(Exception):  # report the first error
                cursor.close()
        converted = _to_sqlalchemy_error(connection, error)
        if converted is None:
            raise
        raise converted from None
    except BaseException as interruption:
        connection.invalidate(interruption)  # its response may still arrive
        raise


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
