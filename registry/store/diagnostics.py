"""What a database says about itself: is it whole, how is it run, and what may we do in it?

Reads only. Leaves judging to `client.doctor`.
"""

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
    """`faults` are what the integrity checks found, at most five."""

    version: str
    journal_mode: str
    filesystem: str | None
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PostgresHealth:
    """`missing` are the first rights that the user lacks to be more than `role`; None for both: not even a reader."""

    version: str
    user: str
    role: Role | None
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for gc, and by how many milliseconds the database's latest time is ahead of this machine's clock."""

    removals: int
    uploads: int
    ahead_ms: int


def examine_sqlite(database: Database) -> SqliteHealth:
    """Read the whole file and check it; takes as long as that takes."""
    return database.read(lambda connection: _examine_sqlite(connection, database))


def examine_postgres(database: Database) -> PostgresHealth:
    """The server's version, and which of our roles the user has all rights of."""
    return database.read(_examine_postgres)


def artifact_locations(database: Database) -> list[str]:
    """Where experiments keep their bytes, each place once."""
    query = select(ExperimentRow.artifact_location).distinct().order_by(ExperimentRow.artifact_location)
    return database.read(lambda connection: list(connection.execute(query).scalars()))


def find_stray_series(database: Database) -> int | None:
    """The number of a series that has points but is not there, or None; reads all points."""
    there = exists().where(LatestMetricRow.id == MetricRow.series_id)
    query = select(MetricRow.series_id).where(~there).limit(1)
    return database.read(lambda connection: connection.execute(query).scalar())


def find_waiting(database: Database) -> Waiting:
    """What waits for gc."""
    return database.read(_waiting)


def _examine_sqlite(connection: Connection, database: Database) -> SqliteHealth:
    found = [str(line) for line in connection.exec_driver_sql(f"PRAGMA integrity_check({_MAX_FAULTS})").scalars()]
    faults = [] if found == ["ok"] else found
    for row in connection.exec_driver_sql("PRAGMA foreign_key_check").fetchmany(_MAX_FAULTS):
        faults.append(f"row {row[1]} of {row[0]} names a row of {row[2]} that is not there")
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
    whole = text("SELECT has_table_privilege(:table, :privilege)")
    one = text("SELECT has_column_privilege(:table, :column, :privilege)")
    lacking = []
    for table, privilege, column in _rights(role):
        values = {"table": table, "privilege": privilege, "column": column}
        if not connection.execute(one if column else whole, values).scalar_one():
            lacking.append(f"{privilege} on {table}" + (f".{column}" if column else ""))
    return lacking


def _rights(role: Role) -> Iterator[tuple[str, str, str | None]]:
    """What the statements of a role grant on tables, as (table, privilege, column), the column None for all."""
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
