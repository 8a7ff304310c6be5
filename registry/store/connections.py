"""SQLAlchemy engines for SQLite and PostgreSQL: how connections are opened, configured and pooled.

Both drivers run in autocommit mode; `engine` issues BEGIN.

Guarantees: no connection returns to its pool inside a transaction, and none is shared with a forked child.
"""

import contextlib
import importlib.util
import os
import secrets
import sqlite3
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.pool import ConnectionPoolEntry, StaticPool

from registry.exceptions import MissingDependencyError, disk_error
from registry.package_name import install_command
from registry.store.commit_markers import SESSION, Sessions
from registry.store.forking import leave_to_parent
from registry.store.urls import MEMORY, refuse_network_filesystem
from registry.store.waiting_for_servers import Connections

if TYPE_CHECKING:
    import psycopg

BUSY_TIMEOUT_SECONDS = 30.0
# First release with the fix of the WAL-reset bug, which corrupts databases with two or more connections.
_SAFE_WAL: Final = (3, 51, 3)
# For the session, or for one transaction where a pooler shares the session with others.
_LIMITS: Final = (
    "set_config('lock_timeout', '30s', {local}) || set_config('idle_in_transaction_session_timeout', '120s', {local})"
)
_LIMIT_SESSION: Final = f"SELECT CASE WHEN pg_backend_pid() = %s THEN {_LIMITS.format(local='false')} END"
_LIMIT_TRANSACTION: Final = f"SELECT {_LIMITS.format(local='true')}"
# A statement is prepared on the server after it ran this often on a connection.
_PREPARE_AFTER: Final = 2


def sqlite_engine(url: URL, *, read_only: bool) -> Engine:
    """Return the engine of an SQLite file, or of a database in memory."""
    from registry.store.tables.base import complete_for

    complete_for("sqlite")
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
        # A COMMIT failed or was interrupted: the next user of the connection would be inside that transaction.
        if connection is not None and connection.in_transaction:
            record.invalidate()

    leave_to_parent(engine)
    return engine


def _create_file(path: Path) -> None:
    """Create a missing database file with the mode that the umask allows; SQLite would make it 0644.

    Journal and WAL copy the mode of the file. The file appears by a hard link, with no descriptor of ours open: closing
    one would drop the locks that this process holds on the file.
    """
    if path.exists():
        return
    fresh = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    with contextlib.suppress(OSError):  # then SQLite creates it, or reports why it cannot
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
            f"The directory {str(directory)!r} for the SQLite file cannot be created: {error.strerror}. "
            "Choose another place with set_tracking_uri or REGISTRY_TRACKING_URI.",
            error,
        ) from None


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """Seconds that PostgreSQL may take.

    `connect` and `statement`: to accept a connection and to answer a statement; 0 is no limit. `patience`: to come back
    when it is away. `idle`: how long connections are kept that nobody uses; 0 is for ever.
    """

    connect: int = 10
    statement: float = 300.0
    patience: float = 60.0
    idle: float = 300.0


DEFAULT_LIMITS: Final = TimeLimits()


def postgres_engine(url: URL, limits: TimeLimits) -> Engine:
    """Return the engine of a PostgreSQL database.

    Raises:
        MissingDependencyError: psycopg is not installed.
    """
    if importlib.util.find_spec("psycopg") is None:
        raise MissingDependencyError(
            f"PostgreSQL needs the package psycopg (version 3): {install_command('postgres')}."
        )
    from psycopg.pq import TransactionStatus

    from registry.store.postgres_connection import PipelinedConnection
    from registry.store.tables.base import complete_for

    complete_for("postgresql")
    arguments: dict[str, Any] = {"prepare_threshold": None}
    if "connect_timeout" not in url.query and limits.connect:
        arguments["connect_timeout"] = limits.connect
    # Last in, first out: few connections are used, and the others may be given back.
    engine = create_engine(
        url, connect_args=arguments, pool_size=8, max_overflow=32, pool_reset_on_return=None, pool_use_lifo=True
    )
    connections = Connections(engine, patience=limits.patience, idle=limits.idle)
    sessions = Sessions()

    @event.listens_for(engine, "do_connect")
    def _connect(
        _dialect: object, record: ConnectionPoolEntry, args: list[Any], kwargs: dict[str, Any]
    ) -> PipelinedConnection:
        connection = connections.open(lambda: PipelinedConnection.connect(*args, **kwargs), record, kwargs)
        connection.limit_seconds = limits.statement or None
        return connection

    @event.listens_for(engine, "connect")
    def _configure(connection: "PipelinedConnection", record: ConnectionPoolEntry) -> None:
        connection.autocommit = True
        # A connection that soon goes back is not worth a round trip: each of its writes carries the limits.
        is_brief = connections.is_direct is not None and connections.are_scarce
        if not is_brief:
            connections.is_direct = _limit_session(connection)
        if connections.is_direct:
            connection.prepare_threshold = _PREPARE_AFTER
            connection.set_pipeline(prepares=True)
        is_limited = connections.is_direct and not is_brief
        record.info[SESSION] = sessions.begin("" if is_limited else _LIMIT_TRANSACTION)

    @event.listens_for(engine, "checkin")
    def _refuse_open(connection: "psycopg.Connection[Any] | None", record: ConnectionPoolEntry) -> None:
        if connection is not None and connection.info.transaction_status != TransactionStatus.IDLE:
            record.invalidate()

    @event.listens_for(engine, "close")
    def _end(connection: "psycopg.Connection[Any]", record: ConnectionPoolEntry) -> None:
        if SESSION in record.info and connection.info.transaction_status == TransactionStatus.IDLE:
            sessions.end(record.info.pop(SESSION))

    leave_to_parent(engine)
    return engine


def _limit_session(connection: "psycopg.Connection[Any]") -> bool:
    """Limit the waits of a session that goes to the server itself; return False if there is a pooler in between.

    A pooler in transaction mode, such as pgbouncer, gives each transaction to any free session of the server, so no
    state of a session can be kept. It reports invented process ids to its clients, so a mismatch shows a pooler.
    """
    answer = connection.execute(_LIMIT_SESSION, (connection.info.backend_pid,)).fetchone()
    return answer is not None and answer[0] is not None
