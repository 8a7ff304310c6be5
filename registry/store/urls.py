"""Parse database URLs: SQLite or PostgreSQL, or an error that says why not.

Guarantees: nothing is connected to, and no message repeats a password.
"""

import re
from pathlib import Path
from typing import Final

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from registry.exceptions import UnsupportedStoreError

_POSTGRES: Final = frozenset({"postgresql", "postgres", "postgresql+psycopg"})
_NETWORK_FILESYSTEMS: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "lustre", "gpfs", "beegfs", "ceph", "glusterfs", "afs", "9p"}
    | {"fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.s3fs"}
)
_MOUNTS: Final = Path("/proc/self/mounts")
SECRET_OPTIONS: Final = frozenset({"password", "sslpassword"})
# The path is taken literally, with its percent signs: SQLAlchemy 2.1 decodes them, 2.0 does not.
_SQLITE: Final = re.compile(
    r"(?is:sqlite(?:\+pysqlite)?)://(?P<host>[^/?]*)(?:/(?P<path>(?s:.)*?))?"
    r"(?:\?(?P<option>[^/?=]+)=(?P<value>[^/?]*))?"
)
_JOURNAL_MODES: Final = ("delete", "truncate", "persist", "wal")

MEMORY: Final = ":memory:"


def parse_database_url(text: str) -> URL:
    """Parse the URL of a database that can hold a registry.

    Accepts ``sqlite:///path`` (with ``?journal_mode=wal|delete|…``), ``sqlite://`` for a database in memory, and
    ``postgresql://``, ``postgres://`` or ``postgresql+psycopg://``, which all mean psycopg 3.

    Raises:
        UnsupportedStoreError: Any other scheme or option; the message says what to use.
    """
    scheme = text.split(":", 1)[0].lower()
    if scheme in ("sqlite", "sqlite+pysqlite"):
        return _sqlite(text)
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise UnsupportedStoreError(
            f"The database URL (scheme {scheme!r}) cannot be parsed. {_EXPECTED} "
            "Percent-encode special characters in user names and passwords."
        ) from None
    if url.drivername in _POSTGRES:
        return url.set(drivername="postgresql+psycopg")
    if scheme.startswith("postgresql+"):
        raise UnsupportedStoreError(
            f"The driver of {scheme!r} is not supported. Write postgresql+psycopg:// (psycopg 3)."
        )
    raise UnsupportedStoreError(f"A {scheme!r} URI cannot hold a registry. {_EXPECTED}")


_EXPECTED: Final = "Use sqlite:///path/to/registry.db or postgresql+psycopg://user@host/database."


def _sqlite(text: str) -> URL:
    match = _SQLITE.fullmatch(text)
    if match is None:
        raise UnsupportedStoreError(f"The SQLite URL {text!r} cannot be parsed. Write sqlite:///path/to/registry.db.")
    option, mode = match["option"], match["value"]
    if option not in (None, "journal_mode"):
        raise UnsupportedStoreError(f"Unknown option {option!r} in the SQLite URL; known: journal_mode.")
    if mode is not None and mode not in _JOURNAL_MODES:
        raise UnsupportedStoreError(f"Unknown journal_mode {mode!r}; it is one of {', '.join(_JOURNAL_MODES)}.")
    if match["host"]:
        raise UnsupportedStoreError(
            f"The SQLite URL names a host ({match['host']!r}). Three slashes make a relative path "
            "(sqlite:///registry.db), four an absolute one (sqlite:////data/registry.db)."
        )
    path = match["path"] or MEMORY
    if "\0" in path or path.startswith("file:"):
        raise UnsupportedStoreError(f"The SQLite path {path!r} cannot be used; give a plain file path.")
    database = path if path == MEMORY else str(Path(path).absolute())
    return URL.create("sqlite", database=database, query={} if mode is None else {"journal_mode": mode})


def redacted_url(url: URL) -> str:
    """Return a URL for messages, without passwords."""
    if url.get_backend_name() == "sqlite":
        mode = url.query.get("journal_mode")
        return f"sqlite:///{url.database}" + (f"?journal_mode={mode}" if mode else "")
    hidden = {key: "hidden" if key in SECRET_OPTIONS else value for key, value in url.query.items()}
    return url.set(query=hidden).render_as_string(hide_password=True)


def refuse_network_filesystem(path: Path) -> None:
    """Refuse an SQLite file where file locks cannot be trusted.

    Raises:
        UnsupportedStoreError: The path is on a network file system.
    """
    kind = filesystem_of(path)
    if kind in _NETWORK_FILESYSTEMS:
        raise UnsupportedStoreError(
            f"The SQLite file {str(path)!r} is on a network file system ({kind}), where file locks are not reliable. "
            "Put it on a local disk, or use PostgreSQL (postgresql+psycopg://user@host/database) to share a registry."
        )


def filesystem_of(path: Path) -> str | None:
    """Return the type of the file system of a path, or None if it is unknown (not Linux)."""
    try:
        mounts = _MOUNTS.read_bytes().decode("utf-8", "surrogateescape")
    except OSError:
        return None
    best, kind = "", None
    target = f"{path.resolve()}/"
    for line in mounts.removesuffix("\n").split("\n"):  # other characters that end a line stand in names
        _, mount_point, mount_kind, *_ = line.split(" ")
        point = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), mount_point).rstrip("/") + "/"
        if target.startswith(point) and len(point) >= len(best):
            best, kind = point, mount_kind
    return kind
