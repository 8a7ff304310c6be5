"""Facts about a database for `doctor`: integrity, settings and our rights in it. Reads only; `doctor` judges."""

import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, exists, func, select, text

from registry.store.clock import read_clock_us
from registry.store.engine import Database
from registry.store.grants import grants
from registry.store.roles import Role
from registry.store.tables import ExperimentRow, LatestMetricRow, MetricRow, RegistryIdRow, RemovalRow, UploadRow
from registry.store.urls import MEMORY, filesystem_of

_MAX_FAULTS: Final = 5
_GRANT: Final = re.compile(r"GRANT (.+) ON TABLE (.+) TO ")
_PRIVILEGE: Final = re.compile(r"([A-Z]+)(?: \(([^)]*)\))?")


@dataclass(frozen=True, slots=True)
class SqliteHealth:
    """State of an SQLite file; `faults` are findings of the integrity checks, at most five."""

    version: str
    journal_mode: str
    filesystem: str | None
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PostgresHealth:
    """Version, user and role on PostgreSQL; `missing` are rights that the next higher role needs, at most five.

    `role` is None for a user who is not even a reader.
    """

    version: str
    user: str
    role: Role | None
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Waiting:
    """Work that waits for gc, and the milliseconds by which the database's latest time is ahead of its clock."""

    removals: int
    uploads: int
    ahead_ms: int


def examine_sqlite(database: Database) -> SqliteHealth:
    """Run SQLite's integrity checks, which read the whole file."""
    return database.read(lambda connection: _examine_sqlite(connection, database))


def examine_postgres(database: Database) -> PostgresHealth:
    """Return the server's version, and the highest of our roles that the user has all rights of."""
    return database.read(_examine_postgres)


def artifact_locations(database: Database) -> list[str]:
    """Return the distinct artifact locations of experiments, sorted."""
    query = select(ExperimentRow.artifact_location).distinct().order_by(ExperimentRow.artifact_location)
    return database.read(lambda connection: list(connection.execute(query).scalars()))


def find_stray_series(database: Database) -> int | None:
    """Return the key of a series that has points but no row, or None; reads all points."""
    has_row = exists().where(LatestMetricRow.id == MetricRow.series_id)
    query = select(MetricRow.series_id).where(~has_row).limit(1)
    return database.read(lambda connection: connection.execute(query).scalar())


def find_waiting(database: Database) -> Waiting:
    """Count what waits for gc."""
    return database.read(_waiting)


def _examine_sqlite(connection: Connection, database: Database) -> SqliteHealth:
    lines = [str(line) for line in connection.exec_driver_sql(f"PRAGMA integrity_check({_MAX_FAULTS})").scalars()]
    faults = [] if lines == ["ok"] else lines
    for row in connection.exec_driver_sql("PRAGMA foreign_key_check").fetchmany(_MAX_FAULTS):
        faults.append(f"row {row[1]} of {row[0]} refers to a missing row of {row[2]}")
    mode = str(connection.exec_driver_sql("PRAGMA journal_mode").scalar_one())
    path = str(database.url.database)
    filesystem = None if path == MEMORY else filesystem_of(Path(path))
    return SqliteHealth(sqlite3.sqlite_version, mode, filesystem, tuple(faults[:_MAX_FAULTS]))


def _examine_postgres(connection: Connection) -> PostgresHealth:
    version, user = connection.execute(text("SELECT current_setting('server_version'), current_user")).one()
    held: Role | None = None
    for role in Role:
        missing = _missing(connection, role)
        if missing:
            return PostgresHealth(str(version), str(user), held, tuple(missing[:_MAX_FAULTS]))
        held = role
    return PostgresHealth(str(version), str(user), held, ())


def _missing(connection: Connection, role: Role) -> list[str]:
    on_table = text("SELECT has_table_privilege(:table, :privilege)")
    on_column = text("SELECT has_column_privilege(:table, :column, :privilege)")
    missing = []
    for table, privilege, column in _rights(role):
        values = {"table": table, "privilege": privilege, "column": column}
        if not connection.execute(on_column if column else on_table, values).scalar_one():
            missing.append(f"{privilege} on {table}" + (f".{column}" if column else ""))
    return missing


def _rights(role: Role) -> Iterator[tuple[str, str, str | None]]:
    """Yield the table rights of a role as (table, privilege, column); the column is None for the whole table."""
    for granted, tables in _GRANT.findall(grants(role)):
        for privilege, columns in _PRIVILEGE.findall(granted):
            for table in tables.split(", "):
                for column in columns.replace('"', "").split(", ") if columns else (None,):
                    yield table, privilege, column


def _waiting(connection: Connection) -> Waiting:
    removals = connection.execute(select(func.count()).select_from(RemovalRow)).scalar_one()
    uploads = connection.execute(select(func.count()).select_from(UploadRow)).scalar_one()
    latest = connection.execute(select(RegistryIdRow.latest_ms)).scalar_one()
    return Waiting(removals, uploads, latest - read_clock_us(connection) // 1_000)
