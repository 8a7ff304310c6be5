"""Back up a database while others use it.

Guarantees: the copy of an SQLite file is one consistent snapshot, and appears complete or not at all.
"""

import contextlib
import os
import secrets
import shlex
import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from registry.exceptions import (
    IntegrityError,
    InvalidParameterError,
    NotSupportedError,
    PathExistsError,
    RegistryError,
    StorageError,
    disk_error,
)
from registry.store.engine import Database
from registry.store.urls import MEMORY, SECRET_OPTIONS


def back_up(database: Database, target: Path, *, replace: bool = False) -> int:
    """Copy an SQLite database to a new file while it is in use, and return the copy's size in bytes.

    The copy holds all transactions that were committed when it began, in one file without a journal. Readers go on;
    writers wait for its end unless the database is in WAL mode.

    Raises:
        NotSupportedError: The database is no SQLite file.
        PathExistsError: The file exists, and `replace` is not given.
        StorageError: The disk reports an error, or the database is damaged; no file was left.
        UnavailableError: The database stayed locked.
    """
    if not database.is_sqlite or database.url.database == MEMORY:
        raise NotSupportedError("Only an SQLite file can be copied; use pg_dump for PostgreSQL.")
    if target.exists() and target.samefile(str(database.url.database)):
        raise InvalidParameterError(f"{str(target)!r} is the database itself; give another file.")
    if target.exists() and not replace:
        raise PathExistsError(f"The file {str(target)!r} exists; give another name, or --force to replace it.")
    staged = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    try:
        # The mode of the database itself: the copy holds the same secrets.
        mode = Path(str(database.url.database)).stat().st_mode & 0o666
        os.close(os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
        database.look_up(lambda connection: _copy(connection, staged))
        _sync(staged)
        _publish(staged, target, replace=replace)
        _sync(target.parent)
        return target.stat().st_size
    except RegistryError:  # what the database says is an OSError too, but not one of the backup's place
        raise
    except FileExistsError as error:
        raise PathExistsError(f"The file {str(target)!r} was made by another process meanwhile.") from error
    except OSError as error:
        raise disk_error(f"The backup {str(target)!r} cannot be written: {error.strerror or error}.", error) from error
    finally:
        for left in (staged, staged.with_name(f"{staged.name}-journal")):
            with contextlib.suppress(OSError):
                left.unlink()


def _copy(connection: Connection, staged: Path) -> None:
    source: Any = connection.connection.driver_connection
    try:
        with contextlib.closing(sqlite3.connect(staged, isolation_level=None)) as copy:
            source.backup(copy)  # one step: a read transaction from the first page to the last
            # A file in WAL mode needs a writable directory to be read; a backup may lie on a read-only one.
            copy.execute("PRAGMA journal_mode=DELETE")
            faults = [row[0] for row in copy.execute("PRAGMA quick_check(1)")]
    except sqlite3.Error as error:
        raise StorageError(f"The database cannot be copied to {str(staged.parent)!r}: {error}.") from error
    if faults != ["ok"]:
        told = " ".join(faults[0].split())
        raise IntegrityError(f"The copy of the database is damaged, as the database may be: {told}.")


def _publish(staged: Path, target: Path, *, replace: bool) -> None:
    if replace:
        staged.replace(target)
        return
    try:
        target.hardlink_to(staged)  # unlike rename, this fails if somebody else made the file meanwhile
    except OSError as error:
        if isinstance(error, FileExistsError):
            raise
        staged.rename(target)  # a file system without hard links


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def pg_dump_command(database: Database, target: str) -> str:
    """Return the shell command that backs up a PostgreSQL database to a file, without the password.

    pg_dump reads the password from ``~/.pgpass`` or ``PGPASSWORD``.
    """
    options = {key: value for key, value in database.url.query.items() if key not in SECRET_OPTIONS}
    url = database.url.set(drivername="postgresql", query=options)._replace(password=None)
    file = [] if target == "-" else [f"--file={target}"]
    return shlex.join(["pg_dump", "--format=custom", *file, url.render_as_string()])
