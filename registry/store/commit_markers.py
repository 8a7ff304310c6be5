"""Commit markers on PostgreSQL: find out whether a COMMIT took place whose response was lost.

Each writing connection has one row in `commit_markers`; one that is closed between transactions leaves it to a later
connection of its process. Each transaction writes a new token there, in the round trip of
its first statement. A transaction id is not enough: after a failover the promoted server may give the same id to
another transaction.

Guarantees: "committed" means this very transaction committed. "Not committed" means that it can no longer commit,
because the lookup waits for the row that the transaction locks.
"""

import contextlib
import os
import time
import uuid
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from registry.exceptions import UnavailableError
from registry.store.driver_sql import Statement, begin, run

# Pauses before each attempt to look up a lost COMMIT.
LOOKUP_PAUSES_SECONDS: tuple[float, ...] = (0.0, 0.1, 0.3, 1.0, 3.0, 5.0)
# Key of a connection's `Session` in `Connection.info`.
SESSION: Final = "registry_session"
# Explicit, because server or database may have other defaults.
BEGIN_WRITE: Final = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"

_NOW_MS: Final = "CAST(extract(epoch FROM now()) * 1000 AS bigint)"
_MARK: Final = f"""
    INSERT INTO commit_markers (writer, token, time) VALUES (%s, %s, {_NOW_MS})
    ON CONFLICT (writer) DO UPDATE SET token = excluded.token, time = excluded.time
"""  # noqa: S608 - made of the constants above
# Rows of connections that have not written for a day. A locked row belongs to one that is writing now.
_FORGET: Final = f"""
    DELETE FROM commit_markers WHERE writer IN (
        SELECT writer FROM commit_markers WHERE time < {_NOW_MS} - 86400000 FOR UPDATE SKIP LOCKED
    )
"""  # noqa: S608 - made of the constants above
# The insert waits for a transaction that has locked the row, even if it is just inserting it.
_ASK: Final = f"""
    INSERT INTO commit_markers AS marker (writer, token, time) VALUES (%s, '', {_NOW_MS})
    ON CONFLICT (writer) DO UPDATE SET token = marker.token RETURNING token
"""  # noqa: S608 - made of the constants above


@dataclass
class Session:
    """State of one connection. `limits`: the statement that limits the waits of each write, if the session has none."""

    limits: str = ""
    writer: str = field(default_factory=lambda: uuid.uuid4().hex)
    marks: int = 0
    process: int = field(default_factory=os.getpid)


class Sessions:
    """The sessions of one engine: a new connection goes on with the row of one that ended, if there is one."""

    def __init__(self) -> None:
        self._ended: deque[Session] = deque()

    def begin(self, limits: str) -> Session:
        """Return the session of a new connection; those that a fork has copied are the parent's."""
        with contextlib.suppress(IndexError):
            while (session := self._ended.pop()).process != os.getpid():
                pass
            session.limits = limits
            return session
        return Session(limits)

    def end(self, session: Session) -> None:
        """Keep the row of a connection that is closed and has no transaction whose end is unknown."""
        self._ended.append(session)


class Marker(NamedTuple):
    """Identity of one transaction: the token that its writer put into the row."""

    writer: str
    token: str


def begin_marked(connection: Connection) -> Marker:
    """Begin a write transaction and mark it, in the round trip of its first statement."""
    session: Session = connection.info[SESSION]
    session.marks += 1
    marker = Marker(session.writer, str(session.marks))
    forget = [Statement(_FORGET)] if session.marks == 1 else []
    begin(connection, *_begin_write(session), *forget, Statement(_MARK, marker))
    return marker


def begin_unmarked(connection: Connection) -> None:
    """Begin a write transaction without a marker, for databases whose marker table may not exist yet."""
    begin(connection, *_begin_write(connection.info[SESSION]))


def _begin_write(session: Session) -> Iterator[Statement]:
    yield Statement(BEGIN_WRITE)
    if session.limits:
        yield Statement(session.limits)


def was_committed(engine: Engine, marker: Marker) -> bool:
    """Tell on a new connection whether a transaction committed whose COMMIT got no response.

    Raises:
        UnavailableError: The server does not answer, or the transaction does not end.
    """
    for pause in LOOKUP_PAUSES_SECONDS:
        time.sleep(pause)
        with contextlib.suppress(DBAPIError), engine.connect() as fresh, fresh.begin():
            begin_unmarked(fresh)
            ((token,),) = run(fresh, _ASK, (marker.writer,)).rows
            return bool(token == marker.token)
    raise UnavailableError(
        "The connection was lost during COMMIT, and the database did not answer whether the change took place. "
        "Check whether it did before you repeat it."
    )
