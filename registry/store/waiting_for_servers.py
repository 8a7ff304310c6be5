"""Open connections to PostgreSQL: wait for a server that is away or full, and give connections back.

Nothing was sent yet, so trying again is safe. Guarantees: a server that is full is waited for without limit, one that
is away for a limited time; both are told in the log each minute. An error that waiting cannot mend is raised at once.

Where connections are scarce, a process holds one only while it uses it. It knows that they are scarce because it was
refused one, or because it asked: a process that came early is never refused, and others would wait for its end.
"""

import logging
import math
import random
import threading
import time
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sqlalchemy import Engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

from registry.store.urls import redacted_url

if TYPE_CHECKING:
    from registry.store.refused_connections import Refusals

C = TypeVar("C")
# Keys of `ConnectionPoolEntry.info`: how a connection was opened, and how long none was wanted before its use now.
_OPENING: Final = "registry_opening"
_PAUSE: Final = "registry_pause"

_logger = logging.getLogger("registry")

_FIRST_PAUSE_SECONDS: Final = 0.1
_LONGEST_PAUSE_SECONDS: Final = 2.0
_TELL_EACH_SECONDS: Final = 60.0
# How often a connection is asked for again without a pause, after the look at why one was refused was let in; then the
# server is waited for as one that is away.
_MOST_SURPRISES: Final = 10
# While connections are scarce, one is given back after this time without use, at once if none was wanted for as long
# before its use, and after this time with use. Then others, who ask now and then, have this time to get it.
_SCARCE_IDLE_SECONDS: Final = 0.05
_SCARCE_USE_SECONDS: Final = 5.0
_SCARCE_YIELD_SECONDS: Final = 0.5
# How long connections count as scarce after the server said so.
_SCARCE_FOR_SECONDS: Final = 300.0
# A process that holds a connection asks this often whether they are scarce; all together do at most 20 times a second,
# because an answer takes time in proportion to the connections.
_ASK_EACH_SECONDS: Final = 5.0
_ASKS_PER_SECOND: Final = 20
# How often unused connections are looked at, where they are not scarce.
_LOOK_EACH_SECONDS: Final = 1.0
# Whether the server, the database or the user has no connection left. Workers of the server do not count; users without
# rights see who works for others only by the user, which autovacuum has none of. Amazon RDS has a reserve of its own.
_IS_SCARCE: Final = """
    WITH taken AS (
        SELECT datid, usesysid FROM pg_stat_activity
        WHERE datid IS NOT NULL AND usesysid IS NOT NULL AND coalesce(backend_type, 'client backend') = 'client backend'
    ),
    limits AS (
        SELECT (SELECT count(*) FROM taken) AS used, current_setting('max_connections')::int
            - current_setting('superuser_reserved_connections')::int
            - coalesce(current_setting('reserved_connections', true)::int, 0)
            - coalesce(current_setting('rds.rds_superuser_reserved_connections', true)::int, 0) AS most
        UNION ALL
        SELECT (SELECT count(*) FROM taken WHERE datid = d.oid), datconnlimit
        FROM pg_database AS d WHERE datname = current_database() AND datconnlimit >= 0
        UNION ALL
        SELECT (SELECT count(*) FROM taken WHERE usesysid = r.oid), rolconnlimit
        FROM pg_roles AS r WHERE rolname = session_user AND rolconnlimit >= 0
    )
    SELECT bool_or(used >= most), (SELECT count(*) FROM taken) FROM limits
"""


class Connections:
    """The connections of one engine. `patience`: how long a server that is away is waited for, in seconds.

    `idle`: a process that has not used its connections for so long gives them back, in seconds; 0 keeps them.
    """

    def __init__(self, engine: Engine, *, patience: float, idle: float) -> None:
        self.is_direct: bool | None = None
        """Whether they go to the server itself, not to a pooler; None before the first one."""
        self._engine = weakref.ref(engine)
        self._place = redacted_url(engine.url)
        self._patience, self._idle = patience, idle
        self._scarce_until = 0.0
        self._told: tuple[bool, float] | None = None
        self._pause = _FIRST_PAUSE_SECONDS
        self._used_at = time.monotonic()
        self._ask_at = self._used_at + _ASK_EACH_SECONDS / 5  # of many that start at once, the first soon make room
        self._open_at = 0.0
        self._generation = 0
        self._refusals: Refusals | None = None
        self._thread: threading.Thread | None = None
        event.listen(engine, "checkout", self._begin_use)
        event.listen(engine, "checkin", self._end_use)
        event.listen(engine, "engine_disposed", self._end_generation)

    @property
    def are_scarce(self) -> bool:
        """Tell whether the server said lately that it has none left."""
        return time.monotonic() < self._scarce_until

    def open(self, connect: Callable[[], C], record: ConnectionPoolEntry, arguments: dict[str, Any]) -> C:
        """Return a new connection, once the server gives one; `arguments` are those of `connect`.

        Raises:
            psycopg.OperationalError: The server stayed away, or refuses for another reason.
        """
        import psycopg

        began, generation = time.monotonic(), self._generation  # the pool may be replaced while it waits
        record.info[_PAUSE] = began - self._used_at
        if self.are_scarce:
            time.sleep(max(self._open_at - began, 0))
        surprises = 0
        is_full = False
        while True:
            try:
                connection = connect()
            except psycopg.OperationalError as error:
                from registry.store.refused_connections import Refusal, Refusals

                self._refusals = self._refusals or Refusals()
                refusal = self._refusals.of(error, arguments)
                if refusal is Refusal.NONE and surprises < _MOST_SURPRISES:
                    surprises += 1
                    continue
                is_full = refusal is Refusal.FULL
                now = time.monotonic()
                if is_full:
                    self._scarce_until = now + _SCARCE_FOR_SECONDS
                elif refusal is Refusal.LASTING or now - began >= self._patience:
                    raise
                self._tell(error, is_full=is_full)
                # It is kept for the next connection: where the server is full for long, the first pause is long too.
                self._pause = min(_LONGEST_PAUSE_SECONDS, self._pause * 2)
                left = self._pause if is_full else max(began + self._patience - now, 0)
                # Jitter: processes that a server has refused together do not come back together.
                time.sleep(min(random.uniform(self._pause / 4, self._pause), left))  # noqa: S311 - not a secret
            else:
                if not is_full:
                    self._pause = max(_FIRST_PAUSE_SECONDS, self._pause / 2)
                record.info[_OPENING] = time.monotonic() + _SCARCE_USE_SECONDS, generation
                return connection

    def _tell(self, error: Exception, *, is_full: bool) -> None:
        """Log that this process waits, each minute and when it waits for something else."""
        now = time.monotonic()
        if self._told is None or self._told[0] != is_full or now - self._told[1] >= _TELL_EACH_SECONDS:
            self._told = is_full, now
            _logger.warning(
                "The database %s has no connection for this process (%s). Waiting%s.",
                self._place,
                str(error).strip().splitlines()[0],
                " until it has one" if is_full else f" for at most {self._patience:g} seconds",
            )

    def _begin_use(self, connection: DBAPIConnection, record: ConnectionPoolEntry, _proxy: object) -> None:
        """Note how long no connection was wanted, and now and then ask the server whether they are scarce.

        An error or an interruption here closes the connection; when it comes back, SQLAlchemy would lose its place.
        """
        now = time.monotonic()
        record.info.setdefault(_PAUSE, now - self._used_at)
        if self.is_direct and now >= max(self._ask_at, self._scarce_until):
            self._ask(connection)

    def _end_use(self, connection: DBAPIConnection | None, record: ConnectionPoolEntry) -> None:
        """Give a connection back that others need more; else note when it was used last."""
        now = self._used_at = time.monotonic()
        pause = record.info.pop(_PAUSE, 0.0)
        if connection is None:
            return
        used_enough_at, generation = record.info[_OPENING]
        is_used_enough = self.are_scarce and now >= used_enough_at
        if is_used_enough:
            self._open_at = now + _SCARCE_YIELD_SECONDS
        if is_used_enough or generation != self._generation or (self.are_scarce and pause >= _SCARCE_IDLE_SECONDS):
            record.invalidate()
        elif self._idle and (self._thread is None or not self._thread.is_alive()):
            self._thread = threading.Thread(target=self._give_back, name="registry-idle-connections", daemon=True)
            self._thread.start()

    def _end_generation(self, _engine: Engine) -> None:
        """Let connections that are in use now be closed when they come back: their pool was replaced."""
        self._generation += 1

    def _ask(self, connection: Any) -> None:
        """Ask the server whether connections are scarce."""
        import psycopg

        self._ask_at = time.monotonic() + _ASK_EACH_SECONDS
        try:
            ((is_scarce, number),) = connection.execute(_IS_SCARCE).fetchall()
        except psycopg.Error as error:
            if connection.closed:
                raise DisconnectionError(str(error)) from error  # SQLAlchemy opens another one
            _logger.debug("It is not known whether connections to %s are scarce: %s", self._place, error)
            self._ask_at = math.inf  # this user may not know
        else:
            now = time.monotonic()
            self._ask_at = now + max(_ASK_EACH_SECONDS, number / _ASKS_PER_SECOND)
            if is_scarce:
                self._scarce_until = now + _SCARCE_FOR_SECONDS

    def _give_back(self) -> None:
        """Close the connections when this process has used none for a while; then end."""
        while True:
            pause = _SCARCE_IDLE_SECONDS if self.are_scarce else _LOOK_EACH_SECONDS
            time.sleep(min(self._idle, pause))  # no lock, which a fork could copy
            engine = self._engine()
            if engine is None or not isinstance(engine.pool, QueuePool) or engine.pool.checkedin() == 0:
                return
            limit = _SCARCE_IDLE_SECONDS if self.are_scarce else self._idle
            if time.monotonic() - self._used_at >= min(limit, self._idle):
                self._generation += 1  # before the pool is emptied: a connection may come back meanwhile
                pool = engine.pool
                engine.dispose()
                time.sleep(pause)
                pool.dispose()  # a connection that was on its way back
