"""List what gc may remove now. Read only; the sweep checks each item again.

Guarantees: nothing is listed that this database has no row for.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, select

from registry.store.dialects import AnyRow, table
from registry.store.gc.old_checks import find_old_checks
from registry.store.gc.removal_conditions import (
    Windows,
    is_abandoned,
    is_collectable_run,
    is_expired,
    is_imported_run,
    is_unreached,
)
from registry.store.logged_models.read import is_adopted
from registry.store.long_lists import in_keys, keys_parameter
from registry.store.ownership import root_of_experiment
from registry.store.tables import (
    ExperimentRow,
    LoggedModelRow,
    ModelVersionRow,
    RegisteredModelRow,
    RemovalRow,
    RunRow,
    UploadRow,
)
from registry.store.tracking.run_read import run_location

Kind = Literal["run", "experiment", "logged model", "upload", "leftover", "check"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """An item that gc may remove. `key` is its row; `root` and `path` locate its files, None if it has none.

    `since` is when it was deleted or begun (milliseconds). `size` is known for sealed models only. `versions` are the
    deleted versions that lose their files, as ``churn version 3``. Only the owner of `claimed_root` may remove files.
    `run_id` and `experiment_id` are those that it belongs to, if known.
    """

    kind: Kind
    key: int
    id: str
    name: str
    since: int
    root: str | None = None
    path: str | None = None
    size: int | None = None
    versions: tuple[str, ...] = ()
    claimed_root: str | None = None
    run_id: str | None = None
    experiment_id: str | None = None


@dataclass(frozen=True, slots=True)
class Removal:
    """Files that nothing refers to: everything below `path` of `root`, which is inside `claimed_root`."""

    key: int
    root: str
    path: str
    since: int
    claimed_root: str


def find_candidates(connection: Connection, windows: Windows) -> list[Candidate]:
    """List all candidates, in the order of removal."""
    return [
        *_leftovers(connection),
        *_runs(connection, windows),
        *_logged_models(connection, windows),
        *_uploads(connection, windows),
        *_checks(connection, windows),
        *_experiments(connection, windows),
    ]


def read_removals(connection: Connection) -> list[Removal]:
    """Return the files that wait for removal, oldest first."""
    query = select(RemovalRow.__table__, ExperimentRow.artifact_location).join(
        ExperimentRow, ExperimentRow.id == RemovalRow.experiment_id
    )
    return [
        Removal(row.id, row.artifact_location, row.location, row.since, _claimed_root(row))
        for row in connection.execute(query.order_by(RemovalRow.id))
    ]


def _leftovers(connection: Connection) -> Iterator[Candidate]:
    for removal in read_removals(connection):
        name = removal.path.removesuffix("/artifacts").rpartition("/")[2]
        root, path, claimed = removal.root, removal.path, removal.claimed_root
        yield Candidate("leftover", removal.key, name, name, removal.since, root, path, claimed_root=claimed)


def _runs(connection: Connection, windows: Windows) -> Iterator[Candidate]:
    foreign = is_imported_run().label("is_foreign")
    query = select(RunRow.__table__, ExperimentRow.artifact_location, foreign).join(
        ExperimentRow, ExperimentRow.id == RunRow.experiment_id
    )
    for row in connection.execute(query.where(is_collectable_run(windows)).order_by(RunRow.id)):
        path = None if row.is_foreign else relative_run_location(row.run_id)
        yield Candidate(
            "run",
            row.id,
            row.run_id,
            row.name,
            row.deleted_time,
            row.artifact_location,
            path,
            claimed_root=_claimed_root(row),
            run_id=row.run_id,
            experiment_id=str(row.experiment_id),
        )


def _logged_models(connection: Connection, windows: Windows) -> Iterator[Candidate]:
    query = (
        select(LoggedModelRow.__table__, ExperimentRow.artifact_location, RunRow.run_id.label("source_run_id"))
        .join(ExperimentRow, ExperimentRow.id == LoggedModelRow.experiment_id)
        .outerjoin(RunRow, RunRow.id == LoggedModelRow.run_id)
    )
    rows = connection.execute(query.where(is_unreached(windows)).order_by(LoggedModelRow.id)).all()
    versions = _deleted_versions(connection, rows)
    for row in rows:
        yield Candidate(
            "logged model",
            row.id,
            row.model_id,
            row.name,
            row.deleted_time or row.creation_time,
            row.artifact_location,
            None if is_adopted(row.location) else row.location,
            row.size_bytes,
            tuple(versions[row.id]),
            _claimed_root(row),
            row.source_run_id,
            str(row.experiment_id),
        )


def _deleted_versions(connection: Connection, rows: Sequence[AnyRow]) -> dict[int, list[str]]:
    query = (
        select(ModelVersionRow.logged_model_id, ModelVersionRow.version, RegisteredModelRow.name)
        .join(RegisteredModelRow, RegisteredModelRow.id == ModelVersionRow.model_id)
        .order_by(ModelVersionRow.id)
    )
    dialect = connection.dialect.name
    query = query.where(in_keys(dialect, table(ModelVersionRow).c.logged_model_id))
    versions: dict[int, list[str]] = defaultdict(list)
    for row in connection.execute(query, keys_parameter(dialect, [row.id for row in rows])):
        versions[row.logged_model_id].append(f"{row.name} version {row.version}")
    return versions


def _uploads(connection: Connection, windows: Windows) -> Iterator[Candidate]:
    query = select(UploadRow.__table__, ExperimentRow.artifact_location).join(
        ExperimentRow, ExperimentRow.id == UploadRow.experiment_id
    )
    for row in connection.execute(query.where(is_abandoned(windows)).order_by(UploadRow.id)):
        yield Candidate(
            "upload",
            row.id,
            row.model_id,
            row.model_id,
            row.started,
            row.artifact_location,
            row.location,
            claimed_root=_claimed_root(row),
        )


def _checks(connection: Connection, windows: Windows) -> Iterator[Candidate]:
    for key, name, ended in find_old_checks(connection, windows):
        yield Candidate("check", key, str(key), name, ended)


def _experiments(connection: Connection, windows: Windows) -> Iterator[Candidate]:
    """Yield expired experiments; whether one is empty is decided after the other items are gone."""
    is_present = ExperimentRow.purged_time.is_(None)
    query = (
        select(ExperimentRow.__table__).where(is_expired(ExperimentRow, windows), is_present).order_by(ExperimentRow.id)
    )
    for row in connection.execute(query):
        experiment_id = str(row.id)
        yield Candidate("experiment", row.id, experiment_id, row.name, row.deleted_time, experiment_id=experiment_id)


def _claimed_root(row: AnyRow) -> str:
    return root_of_experiment(row.artifact_location, row.experiment_id)


def relative_run_location(run_id: str) -> str:
    """Return the location of a run's files, relative to its experiment's artifact location."""
    return run_location("", run_id).lstrip("/")
