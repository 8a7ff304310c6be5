"""A database: its pooled connections and its two scopes, `read` and `write`.

Owns transactions: how they begin, how often they are tried, what happens when the answer to COMMIT is lost. Leaves the
statements to its neighbours and the schema to `schema`. Invariant: a write scope either is durable when it returns, or
left nothing.

Both drivers commit by themselves, and BEGIN is issued here. On SQLite a write takes the lock at once (``BEGIN
IMMEDIATE``): a transaction that reads first and writes later would fail under contention whatever the timeout. On
PostgreSQL one round trip begins the transaction, sets its limits and fetches its id, with which a lost COMMIT can be
looked up.
"""

import atexit
import contextlib
import importlib.util
import os
import random
import secrets
import sqlite3
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import IntegrityError as ConstraintError
from sqlalchemy.pool import ConnectionPoolEntry, StaticPool

from registry.exceptions import (
    InvalidParameterError,
    MissingDependencyError,
    ReadOnlyError,
    RegistryError,
    UnavailableError,
    disk_error,
)
from registry.store.compiled import run
from registry.store.error_mapping import is_lost_connection, is_retryable, is_stale, to_registry_error
from registry.store.urls import MEMORY, parse_database_url, redacted_url, refuse_network_filesystem

if TYPE_CHECKING:
    import psycopg

R = TypeVar("R")

BUSY_TIMEOUT_SECONDS = 30.0
ATTEMPTS: Final = 12
# After this time nothing is tried again: each wait for a lock alone may take half of it.
GIVE_UP_SECONDS = 60.0
# From this release on SQLite has the fix of the WAL-reset bug, which corrupts databases with two or more connections.
_SAFE_WAL: Final = (3, 51, 3)
# How long to wait before each try to look up a COMMIT whose answer was lost.
LOOKUP_PAUSES_SECONDS: tuple[float, ...] = (0.0, 0.1, 0.3, 1.0, 3.0, 5.0)
_SQLITE_READ: Final = "BEGIN"
_SQLITE_WRITE: Final = "BEGIN IMMEDIATE"
_POSTGRES_READ: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_POSTGRES_WRITE: Final = "BEGIN; {limits}SELECT pg_current_xact_id()::text"
_POSTGRES_IDLE_LIMIT: Final = "SET LOCAL idle_in_transaction_session_timeout = '120s'; "
_POSTGRES_LOCK_LIMIT: Final = "SET {local}lock_timeout = '30s'; "
# Where a connection keeps how a transaction that writes begins on it.
_BEGIN: Final = "registry_begin"
# How often a statement runs on a connection before the server is asked to keep it, parsed and planned.
_PREPARE_AFTER: Final = 2


class Database:
    """One database, shared by all threads of a process; use `connect`, which keeps one per URL."""

    def __init__(self, url: URL, *, read_only: bool = False) -> None:
        self.url = url
        self.read_only = read_only
        self.is_sqlite = url.get_backend_name() == "sqlite"
        # A database in memory has one connection, for one thread at a time.
        self._turn = threading.RLock() if url.database == MEMORY else contextlib.nullcontext()
        self.engine = _sqlite_engine(url, read_only=read_only) if self.is_sqlite else _postgres_engine(url)

    def __repr__(self) -> str:
        return f"Database({redacted_url(self.url)!r})"

    def read(self, work: Callable[[Connection], R]) -> R:
        """The result of `work`, which sees one snapshot of the database and changes nothing."""
        return self._run(self._read_once, work)

    def look_up(self, work: Callable[[Connection], R]) -> R:
        """The result of `work`, which reads by one statement: that is a snapshot in itself, so none is begun for it."""
        return self._run(self._look_up_once, work)

    def write(self, work: Callable[[Connection], R]) -> R:
        """The result of `work`, whose changes are durable when this returns. `work` may run several times.

        Raises:
            ReadOnlyError: this is a read-only client.
            UnavailableError: the database cannot be reached, or stayed locked.
        """
        if self.read_only:
            raise ReadOnlyError("This client is read-only (read_only=True); open another one to make changes.")
        return self._run(self._write_once, work)

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[Connection]:
        """A transaction that no other migration overlaps, with foreign keys unenforced until it ends (SQLite).

        A table that SQLite must rebuild would otherwise cascade into its children when it is dropped.
        """
        with _translating(self), self.engine.connect() as connection:
            if self.is_sqlite:
                run(connection, "PRAGMA foreign_keys=OFF")
            try:
                with connection.begin():
                    self._begin_write(connection)
                    if not self.is_sqlite:
                        run(connection, "SELECT pg_advisory_xact_lock(hashtextextended('registry schema', 0))")
                    yield connection
                    if self.is_sqlite and (broken := run(connection, "PRAGMA foreign_key_check")[1]):
                        table = broken[0][0]
                        raise RegistryError(f"The migration left a row of {table!r} without its parent; undone.")
            finally:
                if self.is_sqlite:
                    run(connection, "PRAGMA foreign_keys=ON")

    def dispose(self) -> None:
        """Close all pooled connections."""
        self.engine.dispose()

    def _run(self, once: Callable[[Callable[[Connection], R]], R], work: Callable[[Connection], R]) -> R:
        deadline = time.monotonic() + GIVE_UP_SECONDS
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with self._turn:
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
            run(connection, _SQLITE_READ if self.is_sqlite else _POSTGRES_READ)
            return work(connection)

    def _look_up_once(self, work: Callable[[Connection], R]) -> R:
        with self._connected() as connection:
            return work(connection)

    def _write_once(self, work: Callable[[Connection], R]) -> R:
        with self._connected() as connection:
            transaction = connection.begin()
            try:
                transaction_id = self._begin_write(connection)
                result = work(connection)
            except BaseException:
                transaction.rollback()
                raise
            try:
                transaction.commit()
            except DBAPIError as error:
                if not is_lost_connection(error) or not self._was_committed(transaction_id):
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

    def _begin_write(self, connection: Connection) -> str | None:
        """Begin a transaction that writes; its id where the answer to COMMIT can get lost on the way."""
        if self.is_sqlite:
            run(connection, _SQLITE_WRITE)
            return None
        cursor, _ = run(connection, connection.info[_BEGIN])
        while cursor.nextset():  # several statements in one have several results; the last is of interest
            pass
        ((transaction_id,),) = cursor.fetchall()
        return str(transaction_id)

    def _was_committed(self, transaction_id: str | None) -> bool:
        """Whether the transaction whose COMMIT got no answer took place; asked on a new connection."""
        for pause in LOOKUP_PAUSES_SECONDS:
            time.sleep(pause)
            with contextlib.suppress(DBAPIError), self.engine.connect() as fresh:
                query = text("SELECT pg_xact_status(CAST(CAST(:id AS text) AS xid8))")
                status = fresh.execute(query, {"id": transaction_id}).scalar_one()
                if status in ("committed", "aborted"):
                    return bool(status == "committed")
        raise UnavailableError(
            "The connection was lost while committing and the database cannot be asked whether the change took place; "
            "look before repeating it."
        )


_databases: dict[tuple[str, bool], Database] = {}
_lock = threading.Lock()


def connect(url: str, *, read_only: bool = False) -> Database:
    """The database at a URL (see `urls.parse_database_url`); one per process, URL and mode.

    Raises:
        UnsupportedStoreError: the URL cannot hold a registry.
        MissingDependencyError: psycopg is not installed.
    """
    parsed = parse_database_url(url)
    key = (parsed.render_as_string(hide_password=False), read_only)
    with _lock:
        if key not in _databases:
            _databases[key] = Database(parsed, read_only=read_only)
        return _databases[key]


def disconnect_all() -> None:
    """Close every database of this process; the next `connect` opens anew."""
    with _lock:
        for database in _databases.values():
            database.dispose()
        _databases.clear()


atexit.register(disconnect_all)


_engines: "weakref.WeakSet[Engine]" = weakref.WeakSet()


def _forget_inherited_connections() -> None:
    # A child of fork must neither use nor close its parent's connections.
    for engine in list(_engines):
        engine.dispose(close=False)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_inherited_connections)


def _sqlite_engine(url: URL, *, read_only: bool) -> Engine:
    arguments: dict[str, Any] = {"timeout": BUSY_TIMEOUT_SECONDS, "check_same_thread": False}
    if sys.version_info >= (3, 12):
        arguments["autocommit"] = sqlite3.LEGACY_TRANSACTION_CONTROL
    mode = url.query.get("journal_mode") or ("wal" if sqlite3.sqlite_version_info >= _SAFE_WAL else None)
    plain = url.set(query={})
    if url.database == MEMORY:
        engine = create_engine(plain, connect_args=arguments, poolclass=StaticPool)
    else:
        path = Path(str(url.database))
        refuse_network_filesystem(path)
        if read_only:
            # The path is percent-encoded once, by as_uri, and decoded once, by SQLite.
            plain = url.set(database=path.as_uri(), query={"mode": "ro", "uri": "true"})
        else:
            _make_directory(path.parent)
        engine = create_engine(plain, connect_args=arguments, pool_size=8, max_overflow=32)

    if url.database != MEMORY and not read_only:

        @event.listens_for(engine, "do_connect")
        def _create(*_: object) -> None:
            _create_file(path)

    @event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        pragmas = ["foreign_keys=ON", "synchronous=FULL", "trusted_schema=OFF", "cache_size=-4000"]
        if mode and not read_only and url.database != MEMORY:
            pragmas.insert(0, f"journal_mode={mode}")
        for pragma in pragmas:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "checkin")
    def _refuse_open(connection: sqlite3.Connection | None, record: ConnectionPoolEntry) -> None:
        # A COMMIT that failed, or was interrupted: whoever got the connection next would be inside that transaction.
        if connection is not None and connection.in_transaction:
            record.invalidate()

    _engines.add(engine)
    return engine


def _create_file(path: Path) -> None:
    """Create an empty database file as the umask has it, if there is none; SQLite would let nobody else write to it.

    The journal and the WAL get the mode of the file. It appears by a link, with no descriptor of ours open: to close
    one would drop the locks that this process has on the file.
    """
    if path.exists():
        return
    fresh = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    with contextlib.suppress(OSError):  # then SQLite makes it, or says why it cannot
        os.close(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        try:
            path.hardlink_to(fresh)
        finally:
            fresh.unlink()


def _make_directory(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise disk_error(
            f"The directory {str(directory)!r} for the SQLite file cannot be made: {error.strerror}. "
            "Choose another place with set_tracking_uri or REGISTRY_TRACKING_URI.",
            error,
        ) from None


def _postgres_engine(url: URL) -> Engine:
    if importlib.util.find_spec("psycopg") is None:
        raise MissingDependencyError(
            "PostgreSQL needs the package psycopg (version 3): pip install 'registry[postgres]'."
        )
    from psycopg.pq import TransactionStatus

    engine = create_engine(
        url, connect_args={"prepare_threshold": None}, pool_size=8, max_overflow=32, pool_reset_on_return=None
    )

    @event.listens_for(engine, "connect")
    def _configure(connection: "psycopg.Connection[Any]", record: ConnectionPoolEntry) -> None:
        connection.autocommit = True
        if _is_direct(connection):
            connection.prepare_threshold = _PREPARE_AFTER
            connection.execute(_POSTGRES_LOCK_LIMIT.format(local=""))
            limits = _POSTGRES_IDLE_LIMIT
        else:
            limits = _POSTGRES_LOCK_LIMIT.format(local="LOCAL ") + _POSTGRES_IDLE_LIMIT
        record.info[_BEGIN] = _POSTGRES_WRITE.format(limits=limits)

    @event.listens_for(engine, "checkin")
    def _refuse_open(connection: "psycopg.Connection[Any] | None", record: ConnectionPoolEntry) -> None:
        if connection is not None and connection.info.transaction_status != TransactionStatus.IDLE:
            record.invalidate()

    _engines.add(engine)
    return engine


def _is_direct(connection: "psycopg.Connection[Any]") -> bool:
    """Whether the server itself is at the other end, which keeps what a session prepares and sets; and not a pooler.

    A pooler in transaction mode, such as pgbouncer, hands each transaction to whichever session of the server is free.
    It tells its clients numbers of processes that it made up.
    """
    answer = connection.execute("SELECT pg_backend_pid()").fetchone()
    return answer is not None and answer[0] == connection.info.backend_pid


@contextlib.contextmanager
def _translating(database: Database) -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        raise to_registry_error(error, database.url) from None


__all__ = ["ConstraintError", "Database", "connect", "disconnect_all"]
