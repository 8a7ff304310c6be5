"""Open connections to PostgreSQL: wait for a server that is away or full, and give connections back.

Nothing was sent yet, so trying again is safe. Guarantees: a server that is full is waited for without limit, one that
is away for a limited time; both are told in the log each minute. An error that waiting cannot mend is raised at once.
"""

import logging
import random
import threading
import time
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sqlalchemy import Engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

from registry.store.urls import redacted_url

if TYPE_CHECKING:
    from registry.store.refused_connections import Refusals

C = TypeVar("C")
_OPENING: Final = "registry_opening"

_logger = logging.getLogger("registry")

_FIRST_PAUSE_SECONDS: Final = 0.1
_LONGEST_PAUSE_SECONDS: Final = 2.0
_TELL_EACH_SECONDS: Final = 60.0
# How often a connection is asked for again without a pause, after the look at why one was refused was let in.
_MOST_SURPRISES: Final = 10
# While connections are scarce, one is given back after this time without use, and after this time with use; after the
# last time if it had to be waited for, since others wait too.
_SCARCE_IDLE_SECONDS: Final = 1.0
_SCARCE_USE_SECONDS: Final = 5.0
_AWAITED_USE_SECONDS: Final = 0.5
# How long connections count as scarce after the server said so.
_SCARCE_FOR_SECONDS: Final = 300.0


class Connections:
    """The connections of one engine. `patience`: how long a server that is away is waited for, in seconds.

    `idle`: a process that has not used its connections for so long gives them back, in seconds; 0 keeps them.
    """

    def __init__(self, engine: Engine, *, patience: float, idle: float) -> None:
        self._engine = weakref.ref(engine)
        self._place = redacted_url(engine.url)
        self._patience, self._idle = patience, idle
        self._scarce_until = 0.0
        self._used_at = time.monotonic()
        self._generation = 0
        self._refusals: Refusals | None = None
        self._thread: threading.Thread | None = None
        event.listen(engine, "checkin", self._note_use)

    def open(self, connect: Callable[[], C], record: ConnectionPoolEntry, arguments: dict[str, Any]) -> C:
        """Return a new connection, once the server gives one; `arguments` are those of `connect`.

        Raises:
            psycopg.OperationalError: The server stayed away, or refuses for another reason.
        """
        import psycopg

        began = told = time.monotonic()
        attempt = surprises = 0
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
                elif refusal is not Refusal.AWAY or now - began >= self._patience:
                    raise
                if attempt == 0 or now - told >= _TELL_EACH_SECONDS:
                    told = now
                    _logger.warning(
                        "The database %s has no connection for this process (%s). Waiting%s.",
                        self._place,
                        str(error).strip().splitlines()[0],
                        " until it has one" if is_full else f" for at most {self._patience:g} seconds",
                    )
                attempt += 1
                pause = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2 ** min(attempt, 10))
                left = pause if is_full else max(began + self._patience - now, 0)
                # Jitter: processes that a server has refused together do not come back together.
                time.sleep(min(random.uniform(pause / 4, pause), left))  # noqa: S311 - not a secret
            else:
                limit = _AWAITED_USE_SECONDS if attempt else _SCARCE_USE_SECONDS
                record.info[_OPENING] = time.monotonic() + limit, self._generation
                return connection

    def _note_use(self, connection: "DBAPIConnection | None", record: ConnectionPoolEntry) -> None:
        """Give a connection back after long use where connections are scarce; else note when it was used last."""
        now = self._used_at = time.monotonic()
        used_enough_at, generation = record.info.get(_OPENING, (now, self._generation))
        is_needed_elsewhere = now < self._scarce_until and now >= used_enough_at
        if connection is not None and (is_needed_elsewhere or generation != self._generation):
            record.invalidate()
        elif self._idle and (self._thread is None or not self._thread.is_alive()):
            self._thread = threading.Thread(target=self._give_back, name="registry-idle-connections", daemon=True)
            self._thread.start()

    def _give_back(self) -> None:
        """Close the connections when this process has used none for a while; then end."""
        while True:
            time.sleep(min(self._idle, _SCARCE_IDLE_SECONDS))  # no lock, which a fork could copy
            engine = self._engine()
            if engine is None or not isinstance(engine.pool, QueuePool) or engine.pool.checkedin() == 0:
                return
            now = time.monotonic()
            limit = _SCARCE_IDLE_SECONDS if now < self._scarce_until else self._idle
            if now - self._used_at >= min(limit, self._idle):
                self._generation += 1  # a connection that is in use now is closed when it comes back
                engine.dispose()
                return
