"""Which database owns the bytes below a root of artifacts, as the tables have it.

A copy of a database has the rows of the original, and so the original's word for who it is: that is how it is known as
a copy. A copy that cannot be told by its place, such as a restored backup, is told by its generation, which every gc
advances in a row here and in a marker at the root (see `client.ownership`).

Invariant: a row is changed only from the token that was read, so that of two changes one is refused.
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
_BELOW_EXPERIMENT: Final = re.compile(rf"(?P<place>.+?)(?:{_LOGGED_MODEL}|{_RUN})/artifacts")
_POSTGRES: Final = text(
    "SELECT system_identifier, (SELECT oid FROM pg_database WHERE datname = current_database()) AS database, "
    "host(inet_server_addr()) AS address, current_setting('port') AS port FROM pg_control_system()"
)


@dataclass(frozen=True, slots=True)
class DatabaseIdentity:
    """Which database this is: for SQLite its path relative to a root, for PostgreSQL its cluster and oid.

    `server` is the address of a PostgreSQL server, which tells a physical copy of a cluster from the cluster. Neither a
    device nor an inode is part of it: those change with mounts and containers.
    """

    database: str
    server: str | None = None


@dataclass(frozen=True, slots=True)
class RootOwnership:
    """What the tables say of a root: who claimed it, and the generation and token that its marker should have."""

    root: str
    owner: DatabaseIdentity
    generation: int
    token: str
    previous_token: str | None = None


def root_of_experiment(artifact_location: str, experiment_id: int | str) -> str:
    """The root that an experiment's place is below: the place without the experiment's id, or the place itself."""
    place = artifact_location.rstrip("/")
    return place.removesuffix(f"/{experiment_id}") or "/"


def root_of_artifacts(artifact_uri: str, experiment_id: int | str) -> str:
    """The root that the files of a run or logged model are below."""
    match = _BELOW_EXPERIMENT.fullmatch(artifact_uri.rstrip("/"))
    return root_of_experiment(match["place"] if match else artifact_uri, experiment_id)


class OwnershipStore(Store):
    """Claims roots for this database, and counts their generations."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._postgres_identity: DatabaseIdentity | None = None

    def identity(self, root: str) -> DatabaseIdentity:
        """Which database this is, as seen from a root."""
        if self.database.is_sqlite:
            return DatabaseIdentity(f"sqlite:{_relative_to(root, str(self.database.url.database))}")
        if self._postgres_identity is None:
            self._postgres_identity = self._read_postgres_identity()
        return self._postgres_identity

    @single_query
    def find(self, connection: Connection, root: str) -> RootOwnership | None:
        """What the tables say of a root, or None if nobody claimed it through this database."""
        return _find(connection, root)

    @read_transaction
    def roots(self, connection: Connection) -> list[str]:
        """Every root that an experiment keeps its bytes below, sorted."""
        rows = connection.execute(select(ExperimentRow.id, ExperimentRow.artifact_location))
        return sorted({_claimed_root(row) for row in rows})

    @write_transaction
    def claim(self, connection: Connection, ownership: RootOwnership) -> None:
        """Note who owns a root, unless that is known."""
        statement = insert_into(connection.dialect.name, ArtifactRootRow).values(_values(ownership))
        connection.execute(statement.on_conflict_do_nothing())

    @write_transaction
    def advance(self, connection: Connection, ownership: RootOwnership, token: str) -> bool:
        """Begin the next generation of a root; False if another gc of this database did so in the meantime."""
        this = (ArtifactRootRow.root == ownership.root) & (ArtifactRootRow.token == ownership.token)
        values = {"generation": ownership.generation + 1, "token": token, "previous_token": ownership.token}
        return connection.execute(update(ArtifactRootRow).where(this).values(values)).rowcount == 1

    @write_transaction
    def take_over(self, connection: Connection, ownership: RootOwnership) -> None:
        """Note that a root is this database's from now on."""
        upsert(connection, ArtifactRootRow, [_values(ownership)])

    @read_transaction
    def find_sealed_file(self, connection: Connection, root: str) -> str | None:
        """Where a file of the newest sealed model below a root is, relative to the root; None if there is no model."""
        places = connection.execute(select(ExperimentRow.id, ExperimentRow.artifact_location)).all()
        below = {row.id: row.artifact_location.rstrip("/") for row in places if _claimed_root(row) == root}
        query = (
            select(LoggedModelRow.experiment_id, LoggedModelRow.location, ModelFileRow.path)
            .join(ModelFileRow, ModelFileRow.logged_model_id == LoggedModelRow.id)
            .where(
                LoggedModelRow.purged_time.is_(None),
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
    """Let the claims of roots at `old`, or below it by whole segments, be of `new`.

    A database that moved along with its root is the same one: it lies where it did, as seen from the root.
    """
    store = OwnershipStore(database)
    for row in connection.execute(select(ArtifactRootRow.__table__).order_by(ArtifactRootRow.root)).all():
        if not f"{row.root}/".startswith(f"{old}/"):
            continue
        before = _ownership(row)
        root = new + row.root.removeprefix(old)
        own = before.owner
        if database.is_sqlite and store.identity(row.root).database == own.database:
            own = store.identity(root)
        connection.execute(delete(ArtifactRootRow).where(ArtifactRootRow.root == row.root))
        if _find(connection, root) is None:
            moved = RootOwnership(root, own, before.generation, before.token, before.previous_token)
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
    """The path of an SQLite file relative to a root, or absolute if it lies outside."""
    if path == MEMORY:
        return path
    absolute = os.path.realpath(path)
    base = root if root.startswith("s3://") else os.path.realpath(root)
    return absolute.removeprefix(f"{base.rstrip('/')}/")


def _server(address: str | None, port: str) -> str:
    """The address of a server; one that only this machine can mean has the machine's name in it."""
    if address is None or address == "::1" or address.startswith("127."):
        return f"{socket.gethostname()}:{port}"
    return f"{address}:{port}"
