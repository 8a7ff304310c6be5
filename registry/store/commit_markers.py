"""Commit markers: how a writer on PostgreSQL learns whether a COMMIT whose answer was lost took place.

Every connection that writes has one row in `commit_markers`, and every transaction begins by putting a token of its own
there, in the round trip of BEGIN. A transaction's id would not do: after a failover the promoted server gives the same
id to somebody else.

Guarantees: "committed" is only said of the very transaction that was asked about, and "not committed" only once it can
no longer commit, since the question waits for the row that the transaction holds.
"""

import contextlib
import time
import uuid
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from registry.exceptions import UnavailableError
from registry.store.cursors import run

# How long to wait before each try to look up a COMMIT whose answer was lost.
LOOKUP_PAUSES_SECONDS: tuple[float, ...] = (0.0, 0.1, 0.3, 1.0, 3.0, 5.0)
# Where a connection keeps its `Session`.
SESSION: Final = "registry_session"
# The server or the database may have other defaults.
BEGIN_WRITE: Final = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; "

_NOW_MS: Final = "CAST(extract(epoch FROM now()) * 1000 AS bigint)"
_MARK: Final = f"""
    INSERT INTO commit_markers (writer, token, time) VALUES ({{0}}, {{1}}, {_NOW_MS})
    ON CONFLICT (writer) DO UPDATE SET token = excluded.token, time = excluded.time;
"""  # noqa: S608 - made of the constants above
# Parsed and planned once per session, where the server itself answers.
_PREPARE: Final = "PREPARE registry_mark (text) AS " + _MARK
_EXECUTE: Final = "EXECUTE registry_mark ('{0}');"
# Of connections that wrote last a day ago. A row that is locked belongs to one that writes now.
_FORGET: Final = f"""
    DELETE FROM commit_markers WHERE writer IN (
        SELECT writer FROM commit_markers WHERE time < {_NOW_MS} - 86400000 FOR UPDATE SKIP LOCKED
    );
"""  # noqa: S608 - made of the constants above
# The insertion waits for a transaction that holds the row, even if it is about to insert it.
_ASK: Final = f"""
    INSERT INTO commit_markers AS marker (writer, token, time) VALUES (%s, '', {_NOW_MS})
    ON CONFLICT (writer) DO UPDATE SET token = marker.token RETURNING token
"""  # noqa: S608 - made of the constants above


@dataclass
class Session:
    """What a connection is: `direct` unless a pooler shares sessions; `limits` are set in every transaction."""

    direct: bool
    limits: str
    writer: str = field(default_factory=lambda: uuid.uuid4().hex)
    marks: int = 0


class Marker(NamedTuple):
    """A transaction: the token that this writer put into its row."""

    writer: str
    token: str


def begin_marked(connection: Connection) -> Marker:
    """Begin a transaction that writes, and mark it: one round trip."""
    session: Session = connection.info[SESSION]
    first = session.marks == 0
    session.marks += 1
    marker = Marker(session.writer, str(session.marks))
    writer = f"'{marker.writer}'"
    if session.direct:
        mark = _EXECUTE.format(marker.token)
        if first:
            mark = _PREPARE.format(writer, "$1") + mark
    else:
        mark = _MARK.format(writer, f"'{marker.token}'")
    forget = _FORGET if first else ""
    try:
        run(connection, BEGIN_WRITE + session.limits + forget + mark)
    except DBAPIError as error:
        if first:
            connection.invalidate(error)  # nobody knows whether the statement is prepared
        raise
    return marker


def begin_unmarked(connection: Connection) -> None:
    """Begin a transaction that writes, where the table of markers may not be there yet."""
    session: Session = connection.info[SESSION]
    run(connection, BEGIN_WRITE + session.limits)


def was_committed(engine: Engine, marker: Marker) -> bool:
    """Return whether a transaction whose COMMIT got no answer took place; ask on a new connection.

    Raises:
        UnavailableError: nobody answers, or the transaction does not end.
    """
    for pause in LOOKUP_PAUSES_SECONDS:
        time.sleep(pause)
        with contextlib.suppress(DBAPIError), engine.connect() as fresh, fresh.begin():
            begin_unmarked(fresh)
            ((token,),) = run(fresh, _ASK, (marker.writer,)).rows
            return bool(token == marker.token)
    raise UnavailableError(
        "The connection was lost while committing, and the database does not say whether the change took place. "
        "Look before you repeat it."
    )
