"""Tell why PostgreSQL gave no connection: it is full, it is away, or something that waiting does not mend.

psycopg's errors of connecting have a text, in the language of the server or of this process, but no SQLSTATE. So a new
kind of text is looked into once: a connection to the same server is begun whose messages libpq writes down. Guarantees:
what PostgreSQL answers is known by its SQLSTATE in any language, where libpq is of version 18 or later.
"""

import errno
import re
import selectors
import socket
import tempfile
import time
from enum import Enum
from typing import Any, Final

import psycopg
from psycopg import pq
from psycopg.conninfo import make_conninfo


class Refusal(Enum):
    """Why there is no connection."""

    FULL = "full"
    AWAY = "away"
    LASTING = "lasting"
    NONE = "none"
    """The next attempt, a moment later, was successful."""


_FULL_STATES: Final = frozenset({"53300"})  # too_many_connections
# admin_shutdown, crash_shutdown, cannot_connect_now.
_AWAY_STATES: Final = frozenset({"57P01", "57P02", "57P03"})
_AWAY_NUMBERS: Final = frozenset(
    {errno.ECONNREFUSED, errno.ECONNRESET, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ETIMEDOUT, errno.EPIPE}
)
# The SQLSTATE of pgbouncer's errors is 08P01 (protocol_violation), whatever they mean. It speaks English only.
_FULL_POOLER: Final = ("no more connections allowed", "query_wait_timeout", "too many client connections")
_AWAY_POOLER: Final = ("server login has been failing", "cannot connect to server", "shutting down")
# The last resort, for libpq before version 18, which does not write down what the server says of a connection that it
# refuses: the English texts of PostgreSQL and of libpq. In another language such a server is not waited for.
_FULL_TEXTS: Final = ("too many clients", "too many connections", "remaining connection slots")
_AWAY_TEXTS: Final = (
    "server closed the connection unexpectedly",
    "starting up",
    "shutting down",
    "recovery mode",
    "not accepting connections",
    "not yet accepting connections",
    "terminating connection",
    "session is read-only",
)
_TRACES_REFUSALS: Final = 18_00_00
# A line of libpq's: the time, F for a message of ours or B for one of the server's, its length, its name and content.
_LINE: Final = re.compile(r"^[^\t]*\t(?P<side>[FB])\t\d+\t(?P<name>\w+)(?P<content>.*)$", re.MULTILINE)
_STATE: Final = re.compile(r' C "(?P<state>[0-9A-Z]{5})"')
_LONGEST_SECONDS: Final = 10.0
_OPTIONS: Final = frozenset(option.keyword.decode() for option in pq.Conninfo.get_defaults())


class Refusals:
    """What the texts of errors mean for the connections of one engine; each text is understood once."""

    def __init__(self) -> None:
        self._known: dict[str, Refusal] = {}

    def of(self, error: psycopg.OperationalError, arguments: dict[str, Any]) -> Refusal:
        """Return why `psycopg.connect` with these arguments failed."""
        if isinstance(error, psycopg.errors.ConnectionTimeout):
            return Refusal.AWAY
        if error.sqlstate is not None:
            return _by_state(error.sqlstate, str(error))
        text = str(error)
        if text not in self._known:
            refusal, cause = _look_into(error, arguments)
            # A moment later the server may have another reason, which says nothing of this text.
            if not cause or cause not in text:
                return refusal
            self._known[text] = refusal
        return self._known[text]


def _by_state(state: str, text: str) -> Refusal:
    if state in _FULL_STATES or _has(text, _FULL_POOLER):
        return Refusal.FULL
    return Refusal.AWAY if state in _AWAY_STATES or _has(text, _AWAY_POOLER) else Refusal.LASTING


def _by_text(text: str) -> Refusal:
    if _has(text, _FULL_TEXTS + _FULL_POOLER):
        return Refusal.FULL
    return Refusal.AWAY if _has(text, _AWAY_TEXTS + _AWAY_POOLER) else Refusal.LASTING


def _has(text: str, parts: tuple[str, ...]) -> bool:
    return any(part in text for part in parts)


def _look_into(error: psycopg.OperationalError, arguments: dict[str, Any]) -> tuple[Refusal, str]:
    """Return why a connection is refused now, and the text that libpq has for it; an empty one if it was not asked."""
    server = error.pgconn
    if server is None:  # no attempt was made: a host without an address, or a malformed argument
        return Refusal.LASTING, ""
    # Of several hosts, the one that failed last.
    place = {"host": server.host.decode(), "hostaddr": server.hostaddr.decode(), "port": server.port.decode()}
    if not _listens(**place):
        return Refusal.AWAY, ""
    if pq.version() < _TRACES_REFUSALS:
        return _by_text(str(error)), str(error)
    options = {name: value for name, value in arguments.items() if name in _OPTIONS}
    return _attempt(make_conninfo(**{**options, **place}), str(error))


def _listens(host: str, hostaddr: str, port: str) -> bool:
    """Tell whether something accepts connections there; False if nothing does now, but may later."""
    is_local = not hostaddr and host.startswith(("/", "@"))
    if not 0 < int(port) < 2**16:  # libpq says so, and a look would be at another port
        return True
    address: Any = f"{host}/.s.PGSQL.{port}".replace("@", "\0", 1) if is_local else (hostaddr or host, int(port))
    try:
        if is_local:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(_LONGEST_SECONDS)
                probe.connect(address)
        else:
            socket.create_connection(address, timeout=_LONGEST_SECONDS).close()
    except OSError as error:
        return not (isinstance(error, TimeoutError) or error.errno in _AWAY_NUMBERS)
    return True


def _attempt(conninfo: str, text: str) -> tuple[Refusal, str]:
    """Begin a connection; tell by the messages that are exchanged why it fails, and return libpq's text for it too."""
    connection = pq.PGconn.connect_start(conninfo.encode())
    with tempfile.TemporaryFile() as file:
        try:
            if connection.status != pq.ConnStatus.BAD:
                connection.trace(file.fileno())
                status = _poll(connection)
                connection.untrace()
                if status is None:
                    return Refusal.AWAY, ""
                if status == pq.PollingStatus.OK:
                    return Refusal.NONE, ""
                if connection.needs_password:
                    return Refusal.LASTING, ""
        except psycopg.NotSupportedError:  # libpq writes messages down on Linux only
            return _by_text(text), text
        finally:
            cause = connection.get_error_message().strip()
            connection.finish()
        file.seek(0)
        lines = list(_LINE.finditer(file.read().decode(errors="replace")))
    answer = next((line for line in lines if line["side"] == "B" and line["name"] == "ErrorResponse"), None)
    if answer is not None:
        state = _STATE.search(answer["content"])
        return (_by_state(state["state"], answer["content"]) if state else Refusal.LASTING), cause
    # The server closed the connection after a message of ours; or it let us in, but is a standby and we ask for the
    # primary (`target_session_attrs`), as in a failover. Else we gave up ourselves: over encryption or a password.
    is_unanswered = bool(lines) and lines[-1]["side"] == "F" and lines[-1]["name"] != "Terminate"
    is_standby = any(line["name"] == "ReadyForQuery" for line in lines)
    return (Refusal.AWAY if is_unanswered or is_standby else Refusal.LASTING), cause


def _poll(connection: pq.abc.PGconn) -> "pq.PollingStatus | None":
    """Take the steps of connecting; return the last one, or None if the server took too long."""
    until = time.monotonic() + _LONGEST_SECONDS
    while True:
        status = pq.PollingStatus(connection.connect_poll())
        if status not in (pq.PollingStatus.READING, pq.PollingStatus.WRITING):
            return status
        event = selectors.EVENT_READ if status == pq.PollingStatus.READING else selectors.EVENT_WRITE
        with selectors.DefaultSelector() as selector:
            selector.register(connection.socket, event)
            if not selector.select(max(until - time.monotonic(), 0)):
                return None
