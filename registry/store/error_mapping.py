"""Map database errors: retry, or raise one of our exceptions.

Guarantees: no message contains SQL, bound values or a password.
"""

import re
import sqlite3
from pathlib import Path
from typing import Final

from sqlalchemy.engine import URL
from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    InterfaceError,
    OperationalError,
    SQLAlchemyError,
    TimeoutError as PoolTimeoutError,
)

from registry.exceptions import (
    InvalidParameterError,
    PermissionDeniedError,
    ReadOnlyError,
    RegistryError,
    StorageError,
    UnavailableError,
    UnsupportedStoreError,
)
from registry.store.roles import advice
from registry.store.urls import redacted_url

# PostgreSQL: serialization_failure, deadlock_detected, admin_shutdown, crash_shutdown, cannot_connect_now.
_RETRYABLE_STATES: Final = frozenset({"40001", "40P01", "57P01", "57P02", "57P03"})
# feature_not_supported and invalid_sql_statement_name: a prepared statement no longer fits its tables, or is unknown.
_STALE_STATES: Final = frozenset({"0A000", "26000"})
# division_by_zero, which no statement of ours gets otherwise.
_CHECK_STATES: Final = frozenset({"22012"})
_DISK_FULL_STATES: Final = frozenset({"53100"})
_DENIED_STATES: Final = frozenset({"42501"})
_READ_ONLY_STATES: Final = frozenset({"25006"})
# The function of PostgreSQL that refuses BEGIN … READ WRITE on a standby; the error's state is that of any feature that
# is not supported, and its text depends on the server's language.
_STANDBY_REFUSAL: Final = ("0A000", "call_bool_check_hook")
_LOGIN_STATES: Final = frozenset({"28000", "28P01"})
_NO_DATABASE_STATES: Final = frozenset({"3D000"})
_REFUSED_LOGIN: Final = re.compile(r"password authentication failed|no password supplied|role \".*\" does not exist")
_NO_DATABASE: Final = re.compile(r"database \".*\" does not exist")
# The error of pgbouncer in statement mode, where each statement may run in another session.
_STATEMENT_POOLING: Final = "statement pooling mode"
# psycopg's message for a statement that it cannot send on a healthy connection.
_NOT_SENT: Final = ("sending query", "sending prepared query")
_SHARING: Final = (
    " To share it, give a group the right to write: chgrp and chmod g+w for the file, the files beside it and the "
    "directory, chmod g+s for the directory, and umask 002 for every writer."
)
_BUSY: Final = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


class ConditionFailedError(RegistryError):
    """A condition that a statement checks (see `driver_sql.check`) does not hold; the transaction left nothing."""


def _sqlstate(error: SQLAlchemyError) -> str | None:
    return getattr(getattr(error, "orig", None), "sqlstate", None)


def _sqlite_code(error: SQLAlchemyError) -> int | None:
    code = getattr(getattr(error, "orig", None), "sqlite_errorcode", None)
    # The low byte is the primary code; the rest is an extended code.
    return code & 0xFF if isinstance(code, int) else None


def is_lost_connection(error: SQLAlchemyError) -> bool:
    """Tell whether the connection broke, so that the outcome of the last statement is unknown."""
    state = _sqlstate(error)
    return isinstance(error, DBAPIError) and (error.connection_invalidated or (state or "").startswith("08"))


def is_stale(error: SQLAlchemyError) -> bool:
    """Tell whether a prepared statement became invalid; a new connection helps, as it has none."""
    return _sqlstate(error) in _STALE_STATES and not _is_standby(error)


def _is_standby(error: SQLAlchemyError) -> bool:
    diagnosis = getattr(getattr(error, "orig", None), "diag", None)
    return (_sqlstate(error), getattr(diagnosis, "source_function", None)) == _STANDBY_REFUSAL


def is_retryable(error: SQLAlchemyError) -> bool:
    """Tell whether the whole transaction can be retried, because none of it took effect."""
    state = _sqlstate(error)
    if _is_statement_pooling(error):
        return False
    return is_lost_connection(error) or is_stale(error) or state in _RETRYABLE_STATES or _sqlite_code(error) in _BUSY


def to_registry_error(error: SQLAlchemyError, url: URL) -> RegistryError:
    """Return our exception for a database error, with a message that says what to do."""
    place = redacted_url(url)
    state, code = _sqlstate(error), _sqlite_code(error)
    if _is_statement_pooling(error):
        return UnsupportedStoreError(
            f"The pooler of {place} runs in statement mode, but a registry needs transactions. Set "
            "pool_mode = transaction (or session) for this database in pgbouncer, or connect to PostgreSQL itself."
        )
    if state in _CHECK_STATES:
        return ConditionFailedError("A condition of a statement does not hold.")
    if state in _DENIED_STATES or code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH):
        reason = _first_line(error)
        advised = _SHARING if url.get_backend_name() == "sqlite" else advice(reason)
        return PermissionDeniedError(f"The database {place} refused the change: {reason}.{advised}")
    if state in _READ_ONLY_STATES or _is_standby(error):
        return ReadOnlyError(
            f"The database {place} is read-only ({_first_line(error)}). If it is a standby, connect to the primary."
        )
    if state in _DISK_FULL_STATES or code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        return StorageError(f"The database {place} could not write ({_first_line(error)}). Free space and retry.")
    if code == sqlite3.SQLITE_CANTOPEN and _is_missing(url):
        return UnavailableError(
            f"The database {place} cannot be opened: there is no such file. Check the tracking URI, and that its "
            "directory is writable if it shall be created."
        )
    if code == sqlite3.SQLITE_CANTOPEN:
        return UnavailableError(
            f"The database {place} cannot be opened. Check that its directory is writable.{_SHARING}"
        )
    if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
        return StorageError(f"The file of {place} is damaged or not an SQLite database ({_first_line(error)}).")
    if str(getattr(error, "orig", "")).startswith(
        "Could not decode to UTF-8"
    ):  # the rest of the message quotes the text
        return StorageError(f"The file of {place} is damaged: a text in it is not UTF-8.")
    if code in _BUSY:
        return UnavailableError(f"The database {place} stayed locked by another process; retry later.")
    if isinstance(error, DataError) or (state or "").startswith("22") or _is_unbindable(error):
        return InvalidParameterError(f"The database refused a value: {_first_line(error)}.")
    if (
        state in _LOGIN_STATES
        or state in _NO_DATABASE_STATES
        or (state is None and code is None and _is_unreachable(error))
    ):
        reason = _first_line(error)
        return UnavailableError(f"The database {place} cannot be used: {reason}. {_advice_on_connecting(reason)}")
    if isinstance(error, PoolTimeoutError):
        return UnavailableError(
            f"All connections to {place} stayed in use. Use fewer threads, or end some calls first."
        )
    if state and (state.startswith(("08", "53", "57")) or state in _RETRYABLE_STATES or state == "55P03"):
        return UnavailableError(f"The database {place} is not available: {_first_line(error)}. Retry later.")
    return RegistryError(f"The database {place} reported an error: {_first_line(error)}.")


def _is_missing(url: URL) -> bool:
    try:
        Path(str(url.database)).lstat()
    except FileNotFoundError:
        return True
    except (OSError, ValueError):
        return False
    return False


def _advice_on_connecting(reason: str) -> str:
    """Return what to do about a connection that was refused; psycopg gives it no code, only PostgreSQL's text."""
    if _REFUSED_LOGIN.search(reason):
        return "Check the user, and the password in the URL, PGPASSWORD or the file that PGPASSFILE names."
    if _NO_DATABASE.search(reason):
        return "Create it with createdb, or check the tracking URI."
    return "Check the tracking URI and that it is running."


def _is_statement_pooling(error: SQLAlchemyError) -> bool:
    return _STATEMENT_POOLING in str(getattr(error, "orig", ""))


def _is_unbindable(error: SQLAlchemyError) -> bool:
    """Tell whether SQLite's driver refused the type of a value, before the statement ran."""
    return str(getattr(error, "orig", "")).startswith("Error binding parameter")


def _is_unreachable(error: SQLAlchemyError) -> bool:
    """Tell whether no server answered, for errors without a code; a statement that was not sent is different."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    return isinstance(error, OperationalError | InterfaceError) and not str(error.orig).startswith(_NOT_SENT)


def _first_line(error: SQLAlchemyError) -> str:
    """Return the first line of the driver's message, without SQLAlchemy's statement and values."""
    original = getattr(error, "orig", None)
    if original is None:
        return type(error).__name__
    diagnosis = getattr(getattr(original, "diag", None), "message_primary", None)
    return str(diagnosis or original).strip().splitlines()[0].rstrip(".") if str(original) else type(original).__name__
