"""Record which database owns the files below an artifact root.

A copied database has the original's rows, with the original's identity; the mismatch shows that it is a copy. A copy at
the same place, such as a restored backup, is recognised by its generation: every gc increases it in a row here and in
a marker file at the root (see `client.ownership`).

Guarantees: a row changes only by compare-and-set on its token, so of two concurrent changes one is refused.
"""

import os
import re
import socket
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, delete, insert, select, text, update

from registry.store.dialects import AnyRow, insert_into, table, upsert
from registry.store.engine import Database
from registry.store.long_lists import among
from registry.store.tables import ArtifactRootRow, ExperimentRow, LoggedModelRow, ModelFileRow
from registry.store.transactions import Store, read_transaction, single_query, write_transaction
from registry.store.urls import MEMORY

_LOGGED_MODEL: Final = r"/models/m-[^/]+"
_RUN: Final = r"/[^/]+"
_BELOW_EXPERIMENT: Final = re.compile(rf"(?P<location>.+?)(?:{_LOGGED_MODEL}|{_RUN})/artifacts")
_POSTGRES: Final = text(
    "SELECT system_identifier, (SELECT oid FROM pg_database WHERE datname = current_database()) AS database, "
    "host(inet_server_addr()) AS address, current_setting('port') AS port FROM pg_control_system()"
)


@dataclass(frozen=True, slots=True)
class DatabaseIdentity:
    """Identity of a database: for SQLite its path relative to a root, for PostgreSQL its cluster and oid.

    `server` is the address of a PostgreSQL server, which distinguishes a physical copy of a cluster from the original.
    Device and inode are left out, because they change with mounts and containers.
    """

    database: str
    server: str | None = None


@dataclass(frozen=True, slots=True)
class RootOwnership:
    """Owner of a root, with the generation and token that its marker must have."""

    root: str
    owner: DatabaseIdentity
    generation: int
    token: str
    previous_token: str | None = None


def root_of_experiment(artifact_location: str, experiment_id: int | str) -> str:
    """Return the root of an artifact location: the location without a trailing experiment id."""
    location = artifact_location.rstrip("/")
    return location.removesuffix(f"/{experiment_id}") or "/"


def root_of_artifacts(artifact_uri: str, experiment_id: int | str) -> str:
    """Return the root above the files of a run or logged model."""
    match = _BELOW_EXPERIMENT.fullmatch(artifact_uri.rstrip("/"))
    return root_of_experiment(match["location"] if match else artifact_uri, experiment_id)


class OwnershipStore(Store):
    """Claims roots for this database, and increases their generations."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._postgres_identity: DatabaseIdentity | None = None

    def identity(self, root: str) -> DatabaseIdentity:
        """Return the identity of this database, relative to a root."""
        if self.database.is_sqlite:
            return DatabaseIdentity(f"sqlite:{_relative_to(root, str(self.database.url.database))}")
        if self._postgres_identity is None:
            self._postgres_identity = self._read_postgres_identity()
        return self._postgres_identity

    @single_query
    def find(self, connection: Connection, root: str) -> RootOwnership | None:
        """Return the recorded owner of a root, or None if it is unclaimed."""
        return _find(connection, root)

    @read_transaction
    def roots(self, connection: Connection) -> list[str]:
        """Return the roots of all experiments, sorted."""
        rows = connection.execute(select(ExperimentRow.id, ExperimentRow.artifact_location))
        return sorted({_claimed_root(row) for row in rows})

    @write_transaction
    def claim(self, connection: Connection, ownership: RootOwnership) -> None:
        """Record the owner of a root, unless one is recorded."""
        statement = insert_into(connection.dialect.name, ArtifactRootRow).values(_values(ownership))
        connection.execute(statement.on_conflict_do_nothing())

    @write_transaction
    def advance(self, connection: Connection, ownership: RootOwnership, token: str) -> bool:
        """Begin the next generation of a root; return False if another gc of this database was faster."""
        this = (ArtifactRootRow.root == ownership.root) & (ArtifactRootRow.token == ownership.token)
        values = {"generation": ownership.generation + 1, "token": token, "previous_token": ownership.token}
        return connection.execute(update(ArtifactRootRow).where(this).values(values)).rowcount == 1

    @write_transaction
    def take_over(self, connection: Connection, ownership: RootOwnership) -> None:
        """Record a new owner of a root, replacing any other."""
        upsert(connection, ArtifactRootRow, [_values(ownership)])

    @read_transaction
    def find_sealed_file(self, connection: Connection, root: str) -> str | None:
        """Return the path, relative to a root, of one file of its newest sealed model; None if there is no model."""
        experiments = connection.execute(select(ExperimentRow.id, ExperimentRow.artifact_location)).all()
        below = {row.id: row.artifact_location.rstrip("/") for row in experiments if _claimed_root(row) == root}
        query = (
            select(LoggedModelRow.experiment_id, LoggedModelRow.location, ModelFileRow.path)
            .join(ModelFileRow, ModelFileRow.logged_model_id == LoggedModelRow.id)
            .where(
                LoggedModelRow.purged_time.is_(None),
                LoggedModelRow.location.startswith("models/"),  # not adopted
                among(LoggedModelRow.experiment_id, below, connection.dialect.name),
            )
            .order_by(LoggedModelRow.id.desc(), ModelFileRow.path)
        )
        row = connection.execute(query.limit(1)).one_or_none()
        if row is None:
            return None
        return f"{below[row.experiment_id]}/{row.location}/{row.path}".removeprefix(f"{root.rstrip('/')}/")

    @read_transaction
    def _read_postgres_identity(self, connection: Connection) -> DatabaseIdentity:
        row = connection.execute(_POSTGRES).one()
        return DatabaseIdentity(
            f"postgresql:cluster={row.system_identifier},database={row.database}", _server(row.address, row.port)
        )


def relocate_ownership(connection: Connection, database: Database, old: str, new: str) -> None:
    """Move the claims of roots at or below `old` to `new`.

    An SQLite file that moved together with its root keeps its identity, because its path is relative to the root.
    """
    store = OwnershipStore(database)
    for row in connection.execute(select(ArtifactRootRow.__table__).order_by(ArtifactRootRow.root)).all():
        if not f"{row.root}/".startswith(f"{old}/"):
            continue
        claim = _ownership(row)
        root = new + row.root.removeprefix(old)
        owner = claim.owner
        if database.is_sqlite and store.identity(row.root).database == owner.database:
            owner = store.identity(root)
        connection.execute(delete(ArtifactRootRow).where(ArtifactRootRow.root == row.root))
        if _find(connection, root) is None:
            moved = RootOwnership(root, owner, claim.generation, claim.token, claim.previous_token)
            connection.execute(insert(table(ArtifactRootRow)), _values(moved))


def _claimed_root(row: AnyRow) -> str:
    return root_of_experiment(row.artifact_location, row.id)


def _find(connection: Connection, root: str) -> RootOwnership | None:
    query = select(ArtifactRootRow.__table__).where(ArtifactRootRow.root == root)
    row = connection.execute(query).one_or_none()
    return None if row is None else _ownership(row)


def _ownership(row: AnyRow) -> RootOwnership:
    owner = DatabaseIdentity(row.database, row.server)
    return RootOwnership(row.root, owner, row.generation, row.token, row.previous_token)


def _values(ownership: RootOwnership) -> dict[str, object]:
    return {
        "root": ownership.root,
        "database": ownership.owner.database,
        "server": ownership.owner.server,
        "generation": ownership.generation,
        "token": ownership.token,
        "previous_token": ownership.previous_token,
    }


def _relative_to(root: str, path: str) -> str:
    """Return the path of an SQLite file relative to a root, or absolute if it is outside."""
    if path == MEMORY:
        return path
    absolute = os.path.realpath(path)
    base = root if root.startswith("s3://") else os.path.realpath(root)
    return absolute.removeprefix(f"{base.rstrip('/')}/")


def _server(address: str | None, port: str) -> str:
    """Return the address of a server; a loopback address or socket is replaced by the machine's name."""
    if address is None or address == "::1" or address.startswith("127."):
        return f"{socket.gethostname()}:{port}"
    return f"{address}:{port}"
