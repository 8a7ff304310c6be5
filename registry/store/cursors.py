"""Statements on the driver's own cursor, for the hot paths: SQLAlchemy's results cost more than SQLite's answers.

Takes text that Core compiled, or driver SQL. SQLAlchemy still owns the connection and its pool.

Guarantees: errors are SQLAlchemy's classes, made by their public constructors. A lost connection takes the idle
connections of its pool with it, and an interrupted one is never used again.
"""

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, exc

# The classes that PEP 249 names, which every driver has too; the most specific come first.
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
    """The rows that a statement answered, their columns, and how many rows it wrote."""

    rows: Sequence[tuple[Any, ...]]
    columns: tuple[str, ...]
    written: int


def run(connection: Connection, statement: str, parameters: Any = ()) -> Answer:
    """Run a statement in the driver's own SQL."""
    with _cursor(connection) as cursor:
        cursor.execute(statement, parameters)
        if not cursor.description:
            return Answer((), (), cursor.rowcount)
        return Answer(cursor.fetchall(), tuple([column[0] for column in cursor.description]), cursor.rowcount)


def run_many(connection: Connection, statement: str, rows: Sequence[Any]) -> None:
    """Run a statement in the driver's own SQL once for each row of parameters."""
    with _cursor(connection) as cursor:
        cursor.executemany(statement, rows)


def copy(connection: Connection, statement: str, blocks: Iterable[str]) -> None:
    """Send blocks of rows in the text form of PostgreSQL's COPY."""
    with _cursor(connection) as cursor, cursor.copy(statement) as writer:
        for block in blocks:
            writer.write(block)


@contextlib.contextmanager
def _cursor(connection: Connection) -> Iterator[Any]:
    """Lend a cursor; what the driver raises inside the block leaves it as SQLAlchemy's error."""
    cursor = None
    try:
        cursor = connection.connection.cursor()
        yield cursor
    except (Exception, GeneratorExit) as error:
        if cursor is not None:
            with contextlib.suppress(Exception):  # the first error is the one to tell
                cursor.close()
        named = _named(connection, error)
        if named is None:
            raise
        raise named from None
    except BaseException as interruption:
        connection.invalidate(interruption)  # its answer may still be on the way
        raise


def _named(connection: Connection, error: BaseException) -> exc.DBAPIError | None:
    """Return SQLAlchemy's error for the driver's, None for what is not the driver's."""
    driver: Any = sqlite3
    if connection.dialect.name != "sqlite":
        import psycopg

        driver = psycopg
    if not isinstance(error, driver.Error):
        return None
    if _may_be_lost(connection, error):
        # SQLAlchemy's own statement finds out, and replaces all connections of the pool.
        with contextlib.suppress(exc.DBAPIError):
            connection.exec_driver_sql("SELECT 1")
    named = next((one for one in _ERRORS if isinstance(error, getattr(driver, one.__name__))), exc.DBAPIError)
    return named(None, None, error, connection_invalidated=connection.invalidated)


def _may_be_lost(connection: Connection, error: BaseException) -> bool:
    if isinstance(error, sqlite3.Error):
        return isinstance(error, sqlite3.ProgrammingError)  # what a closed connection raises, among others
    driver_connection: Any = connection.connection.driver_connection
    return bool(driver_connection.closed)
