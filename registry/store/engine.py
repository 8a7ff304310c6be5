"""A database with its transactions: how they begin, when they are retried, and what follows a lost COMMIT.

Guarantees: a write is durable when it returns, or left nothing.

Both drivers run in autocommit mode, and BEGIN is issued here. On SQLite a write takes the lock at once (``BEGIN
IMMEDIATE``): a transaction that reads first and writes later fails under contention, whatever the timeout. On
PostgreSQL one round trip begins the transaction, sets its limits and marks it, so that a lost COMMIT can be looked up
(see `commit_markers`).
"""

import atexit
import contextlib
import os
import random
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Final, TypeVar

from sqlalchemy import Connection
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, IntegrityError as ConstraintError, SQLAlchemyError

from registry.exceptions import InvalidParameterError, ReadOnlyError, RegistryError
from registry.garbage_collector import paused_collector
from registry.store.commit_markers import Marker, begin_marked, begin_unmarked, was_committed
from registry.store.connections import DEFAULT_LIMITS, TimeLimits, postgres_engine, sqlite_engine
from registry.store.driver_sql import Statement, begin, run
from registry.store.error_mapping import is_lost_connection, is_retryable, is_stale, to_registry_error
from registry.store.forking import GATE
from registry.store.urls import MEMORY, parse_database_url, redacted_url

R = TypeVar("R")

ATTEMPTS: Final = 12
# No retry after this time; one wait for a lock may take half of it.
GIVE_UP_SECONDS = 60.0
_SQLITE_READ: Final = "BEGIN"
_SQLITE_WRITE: Final = "BEGIN IMMEDIATE"
_POSTGRES_READ: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


class Database:
    """One database, shared by all threads of a process. Use `connect`, which keeps one per URL."""

    def __init__(self, url: URL, *, read_only: bool = False, limits: TimeLimits = DEFAULT_LIMITS) -> None:
        self.url = url
        self.read_only = read_only
        self.is_sqlite = url.get_backend_name() == "sqlite"
        self._memory_lock = _memory_lock(url)
        self._gate = GATE if self.is_sqlite else contextlib.nullcontext()
        self.engine = sqlite_engine(url, read_only=read_only) if self.is_sqlite else postgres_engine(url, limits)
        _all.add(self)
        # A database that nobody holds any more closes its connections, rather than leaving them to the collector.
        weakref.finalize(self, self.engine.dispose).atexit = False

    def __repr__(self) -> str:
        return f"Database({redacted_url(self.url)!r})"

    def read(self, work: Callable[[Connection], R]) -> R:
        """Run `work` in a read-only transaction with one snapshot, and return its result."""
        return self._run(self._read_once, work)

    def look_up(self, work: Callable[[Connection], R]) -> R:
        """Run `work` outside a transaction, and return its result; one statement is a snapshot by itself."""
        return self._run(self._look_up_once, work)

    def write(self, work: Callable[[Connection], R]) -> R:
        """Run `work` in a write transaction, and return its result once the changes are durable.

        `work` may run several times before it succeeds.

        Raises:
            ReadOnlyError: The client is read-only.
            UnavailableError: The database cannot be reached, or stayed locked.
        """
        if self.read_only:
            raise ReadOnlyError("This client is read-only (read_only=True); open another one to make changes.")
        return self._run(self._write_once, work)

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[Connection]:
        """Begin a transaction that excludes other migrations; on SQLite, foreign keys are off until it ends.

        Otherwise, a table that SQLite rebuilds would cascade into its children when it is dropped.
        """
        with self._gate, _map_errors(self), self.engine.connect() as connection:
            driver: Any = connection.connection.driver_connection
            limit = None if self.is_sqlite else driver.limit_seconds
            if self.is_sqlite:
                run(connection, "PRAGMA foreign_keys=OFF")
                connection.commit()  # to SQLAlchemy the PRAGMA began a transaction
            try:
                with connection.begin():
                    if self.is_sqlite:
                        run(connection, _SQLITE_WRITE)
                    else:
                        driver.limit_seconds = None  # creating an index may take long
                        begin_unmarked(connection)
                        run(connection, "SELECT pg_advisory_xact_lock(hashtextextended('registry schema', 0))")
                    yield connection
                    if self.is_sqlite and (broken := run(connection, "PRAGMA foreign_key_check").rows):
                        table = broken[0][0]
                        raise RegistryError(
                            f"The migration left a row of {table!r} without its parent row; it was rolled back."
                        )
            finally:
                if self.is_sqlite:
                    run(connection, "PRAGMA foreign_keys=ON")
                elif not connection.invalidated:
                    driver.limit_seconds = limit

    def dispose(self) -> None:
        """Close all pooled connections."""
        with self._gate:
            self.engine.dispose()

    def replace_lock(self) -> None:
        """Replace the lock of an in-memory database; after a fork, in the child."""
        self._memory_lock = _memory_lock(self.url)

    def _run(self, once: Callable[[Callable[[Connection], R]], R], work: Callable[[Connection], R]) -> R:
        deadline = time.monotonic() + GIVE_UP_SECONDS
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with self._memory_lock, self._gate:
                    return once(work)
            except SQLAlchemyError as error:
                if attempt == ATTEMPTS or time.monotonic() > deadline or not is_retryable(error):
                    raise to_registry_error(error, self.url) from None
            except (UnicodeEncodeError, OverflowError) as error:
                raise InvalidParameterError(f"The database cannot hold a value: {error}.") from None
            # Full jitter: waiting writers spread out instead of colliding again.
            time.sleep(random.uniform(0, min(1.0, 0.005 * 2**attempt)))  # noqa: S311 - not a secret
        raise AssertionError("unreachable")  # pragma: no cover

    def _read_once(self, work: Callable[[Connection], R]) -> R:
        with self._connected() as connection, connection.begin():
            if self.is_sqlite:
                run(connection, _SQLITE_READ)
            else:
                begin(connection, Statement(_POSTGRES_READ), is_snapshot=True)
            return work(connection)

    def _look_up_once(self, work: Callable[[Connection], R]) -> R:
        with self._connected() as connection:
            return work(connection)

    def _write_once(self, work: Callable[[Connection], R]) -> R:
        with self._connected() as connection:
            transaction = connection.begin()
            try:
                marker = self._begin_write(connection)
                result = work(connection)
            except BaseException:
                transaction.rollback()
                raise
            try:
                transaction.commit()
            except DBAPIError as error:
                if marker is None or not is_lost_connection(error) or not was_committed(self.engine, marker):
                    raise
            return result

    @contextlib.contextmanager
    def _connected(self) -> Iterator[Connection]:
        with self.engine.connect() as connection:
            try:
                yield connection
            except DBAPIError as error:
                if is_stale(error):
                    connection.invalidate(error)
                raise

    def _begin_write(self, connection: Connection) -> Marker | None:
        """Begin a write transaction; return its marker on PostgreSQL, where the response to COMMIT can get lost."""
        if self.is_sqlite:
            run(connection, _SQLITE_WRITE)
            return None
        return begin_marked(connection)


def _memory_lock(url: URL) -> AbstractContextManager[object]:
    # An in-memory database has one connection, which serves one thread at a time.
    return threading.RLock() if url.database == MEMORY else contextlib.nullcontext()


_all: "weakref.WeakSet[Database]" = weakref.WeakSet()
_databases: dict[tuple[str, bool, TimeLimits], Database] = {}
_lock = threading.Lock()


def connect(url: str, *, read_only: bool = False, limits: TimeLimits = DEFAULT_LIMITS) -> Database:
    """Return the database at a URL (see `urls.parse_database_url`); one per process, URL, mode and limits.

    Raises:
        UnsupportedStoreError: The URL cannot hold a registry.
        MissingDependencyError: psycopg is not installed.
    """
    parsed = parse_database_url(url)
    key = (parsed.render_as_string(hide_password=False), read_only, limits)
    with _lock:
        if key not in _databases:
            with paused_collector():  # SQLAlchemy imports the dialect and its driver
                _databases[key] = Database(parsed, read_only=read_only, limits=limits)
        return _databases[key]


def disconnect_all() -> None:
    """Close all connections of this process and forget its databases; the next `connect` opens a new one.

    A `Database` that is still referenced opens connections again when it is used.
    """
    with _lock:
        databases = list(_all)  # strong references: a database that is collected first would leave its pool open
        _databases.clear()
    for database in databases:
        database.dispose()


atexit.register(disconnect_all)


def _replace_locks() -> None:
    # A thread of the parent may hold them; it does not exist in the child.
    global _lock
    _lock = threading.Lock()
    for database in list(_all):
        database.replace_lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_replace_locks)


@contextlib.contextmanager
def _map_errors(database: Database) -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        raise to_registry_error(error, database.url) from None


__all__ = ["ConstraintError", "Database", "connect", "disconnect_all"]
