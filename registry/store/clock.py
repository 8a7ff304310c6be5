"""The clock of a database that machines with different clocks share: the server's on PostgreSQL, else the machine's.

Guarantees: a time from `monotonic_now_ms` is at most a minute before the latest time that any machine got from it, so a
slow or adjusted clock cannot shorten a retention window.
"""

import functools
import time
from typing import Any, Final

from sqlalchemy import BigInteger, Connection, bindparam, literal_column, null, select, update

from registry.store.compiled_statements import Compiled, first_value
from registry.store.dialects import table
from registry.store.driver_sql import Statement, run_all
from registry.store.tables import RegistryIdRow

# How far the recorded time may lag. Writing it on each call would make writers queue for its row.
_LAG_MS: Final = 60_000
_SERVER_US: Final = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"


def now_ms() -> int:
    """Return milliseconds since the epoch, by this machine's clock."""
    return time.time_ns() // 1_000_000


def server_us(dialect: str) -> Any:
    """Return the column ``server_us``: the clock of a PostgreSQL server in microseconds, NULL on SQLite."""
    column = null() if dialect == "sqlite" else literal_column(_SERVER_US, BigInteger)
    return column.label("server_us")


def clock_us(server_us: int | None) -> int:
    """Return microseconds since the epoch: the server's time, or this machine's if there is no server."""
    return time.time_ns() // 1_000 if server_us is None else server_us


def read_clock_us(connection: Connection) -> int:
    """Return microseconds since the epoch, by the database's clock."""
    run_all(connection, answered := clock_us_statement(connection))
    return clock_us(first_value(answered))


def clock_us_statement(connection: Connection) -> Statement:
    """Return the query whose value `clock_us` takes."""
    return _now(connection.dialect.name).statement(connection, {})


@functools.cache
def _now(dialect: str) -> Compiled:
    return Compiled(select(server_us(dialect)))


def clock_statement(connection: Connection) -> Statement:
    """Return the query whose answer `monotonic_now_ms` takes."""
    return _latest(connection.dialect.name).statement(connection, {})


def monotonic_now_ms(connection: Connection, answered: Statement | None = None) -> int:
    """Return milliseconds since the epoch: now, or the latest time recorded in this database if that is later."""
    if answered is None:
        run_all(connection, answered := clock_statement(connection))
    ((latest_ms, server_time_us),) = answered.rows
    now, latest = clock_us(server_time_us) // 1_000, int(latest_ms)
    if now > latest + _LAG_MS:
        _RECORD.send(connection, {"now": now})
    return max(now, latest)


@functools.cache
def _latest(dialect: str) -> Compiled:
    return Compiled(select(RegistryIdRow.latest_ms, server_us(dialect)))


_RECORD: Final = Compiled(
    update(table(RegistryIdRow)).where(RegistryIdRow.latest_ms < bindparam("now")).values(latest_ms=bindparam("now"))
)
