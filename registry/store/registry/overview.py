"""Read what pages show of many models at once: holders, tenures, events, deleted versions, open approvals, relatives.

Guarantees: every query has a limit, however many versions and events a model has.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, FromClause, and_, func, literal_column, or_, select, union_all

from registry.entities.history import PublishedEvent
from registry.entities.model_registry import ModelVersion
from registry.entities.stages import ACTIVE_STAGES
from registry.store.dialects import AnyRow
from registry.store.long_lists import among
from registry.store.registry.history_queries import StageTenure, event_conditions, published_of, select_published
from registry.store.registry.open_approvals import OpenApproval, find_open_approvals
from registry.store.registry.queries import read_versions, require_model, select_versions
from registry.store.tables import (
    DatasetInputRow,
    DatasetRow,
    HistoryRow,
    LoggedModelRow,
    ModelVersionRow,
    RegisteredModelRow,
    RunRow,
    StagePeriodRow,
    TrustedPageRow,
)
from registry.store.transactions import Store, read_transaction, single_query

MAX_COUNTED: Final = 10_000
# Among so many newest events of a model for each period are nearly always those that began the newest periods.
_RECENT: Final = 10


@dataclass(frozen=True, slots=True)
class NamedTenure:
    """A tenure and the present name of its model."""

    name: str
    tenure: StageTenure


@dataclass(frozen=True, slots=True)
class DeletedVersion:
    """A deleted version that may be restored; times in milliseconds since the epoch."""

    version: int
    deleted_time: int
    user_id: str | None


@dataclass(frozen=True, slots=True)
class RelatedVersion:
    """A version that shares a data set, named `shared`, or its bytes with another one.

    `source` is what it was registered from, `origin` the version of another registry that it is a copy of.
    """

    name: str
    version: int
    shared: str = ""
    source: str = ""
    origin: str | None = None


@dataclass(frozen=True, slots=True)
class Rights:
    """What the database lets its user do: change anything at all, and move stages and aliases, delete and rename.

    `user` is the database's; None on SQLite, where whoever can write the file may do all. `speaks_for_others` says that
    its owner trusts this user to name the actor that counts for approvals.
    """

    may_write: bool = True
    may_promote: bool = True
    user: str | None = None
    speaks_for_others: bool = False


@dataclass(frozen=True, slots=True)
class Storage:
    """Numbers of a registry: living models, versions and runs, and the bytes of sealed models.

    More runs than `MAX_COUNTED` are not counted; `runs` is one more then.
    """

    models: int
    versions: int
    runs: int
    logged_models: int
    size_bytes: int


class OverviewStore(Store):
    """Queries for pages."""

    @read_transaction
    def holders(
        self,
        connection: Connection,
        *,
        stages: Sequence[str] = ACTIVE_STAGES,
        names: Collection[str] | None = None,
        limit: int = 200,
        is_explained: bool = True,
    ) -> list[NamedTenure]:
        """Return who holds these stages now, newest first; of all models, or of those with these names.

        Without `stages`, all stages and aliases count.
        Without `is_explained` the tenures name no actor and no reason, and no events are read.
        """
        condition: list[Any] = [StagePeriodRow.until.is_(None)]
        if stages:
            condition.append(StagePeriodRow.stage.in_(stages))
        if names is not None:
            condition.append(among(RegisteredModelRow.name, names, connection.dialect.name))
        return _tenures(connection, limit, *condition, is_explained=is_explained)

    @read_transaction
    def tenures(
        self, connection: Connection, name: str, *, newest: int, before: int | None = None
    ) -> list[NamedTenure]:
        """Return the newest tenures of a model's stages and aliases, newest first.

        With `before` (microseconds since the epoch) they began then or earlier.

        Raises:
            ModelNotFoundError: There is no such model.
        """
        key = require_model(connection, name).id
        return _tenures(connection, newest, periods=_newest_periods(key, newest, before))

    @read_transaction
    def tenures_of_version(self, connection: Connection, name: str, version: int, *, newest: int) -> list[NamedTenure]:
        """Return the newest tenures of a version, newest first, without actor and reason: its events have them.

        Raises:
            ModelNotFoundError: There is no such model.
        """
        key = require_model(connection, name).id
        conditions = (StagePeriodRow.model_id == key, StagePeriodRow.version == version)
        return _tenures(connection, newest, *conditions, is_explained=False)

    @read_transaction
    def events(
        self,
        connection: Connection,
        *,
        name: str | None = None,
        version: int | None = None,
        kinds: Sequence[str] = (),
        since: int | None = None,
        before: int | None = None,
        limit: int = 50,
    ) -> list[PublishedEvent]:
        """Return events of a living model, or of all models, newest first, from before a position."""
        conditions = event_conditions(version, kinds, since)
        if name is not None:
            conditions.append(HistoryRow.model_id == require_model(connection, name).id)
        if before is not None:
            conditions.append(HistoryRow.id < before)
        # A model's events are numbered; sorting by its own numbers uses the index of (model, number).
        order = HistoryRow.id.desc() if name is None else HistoryRow.seq.desc()
        query = select_published().where(*conditions).order_by(order).limit(limit)
        return [published_of(row) for row in connection.execute(query)]

    @read_transaction
    def deleted_versions(self, connection: Connection, name: str, *, limit: int = 50) -> list[DeletedVersion]:
        """Return deleted versions of a model whose files are still there, newest first."""
        query = (
            select(ModelVersionRow.version, ModelVersionRow.deleted_time, ModelVersionRow.user_id)
            .join(LoggedModelRow, LoggedModelRow.id == ModelVersionRow.logged_model_id)
            .where(
                ModelVersionRow.model_id == require_model(connection, name).id,
                ModelVersionRow.deleted_time.is_not(None),
                LoggedModelRow.purged_time.is_(None),
            )
            .order_by(ModelVersionRow.version.desc())
            .limit(limit)
        )
        return [DeletedVersion(row.version, row.deleted_time or 0, row.user_id) for row in connection.execute(query)]

    @read_transaction
    def versions(
        self, connection: Connection, name: str, *, newest: int, before: int | None = None
    ) -> list[ModelVersion]:
        """Return the newest versions of a model, newest first; with `before`, those with lower numbers.

        A search for versions would read all of them to sort them.

        Raises:
            ModelNotFoundError: There is no such model.
        """
        of_model = [ModelVersionRow.model_id == require_model(connection, name).id]
        if before is not None:
            of_model.append(ModelVersionRow.version < before)
        number = ModelVersionRow.version
        # A range of numbers first: a planner might join all versions before it takes the newest.
        chosen = select(number).where(*of_model, ModelVersionRow.deleted_time.is_(None)).order_by(number.desc())
        numbers = connection.execute(chosen.limit(newest)).scalars().all()
        if not numbers:
            return []
        query = select_versions().where(*of_model, number.between(numbers[-1], numbers[0])).order_by(number.desc())
        return read_versions(connection, connection.execute(query))

    @single_query
    def storage(self, connection: Connection) -> Storage:
        """Return how much there is."""
        models = select(func.count()).select_from(RegisteredModelRow).where(RegisteredModelRow.deleted_time.is_(None))
        versions = select(func.count()).select_from(ModelVersionRow).where(ModelVersionRow.deleted_time.is_(None))
        runs = select(RunRow.id).where(RunRow.lifecycle_stage == "active").limit(MAX_COUNTED + 1).subquery()
        logged = (
            select(func.count().label("number"), func.coalesce(func.sum(LoggedModelRow.size_bytes), 0).label("bytes"))
            .where(LoggedModelRow.purged_time.is_(None))
            .subquery()
        )
        query = select(
            models.scalar_subquery(),
            versions.scalar_subquery(),
            select(func.count()).select_from(runs).scalar_subquery(),
            logged.c.number,
            logged.c.bytes,
        )
        return Storage(*(int(value) for value in connection.execute(query).one()))

    @read_transaction
    def open_approvals(self, connection: Connection, *, limit: int = 200) -> list[OpenApproval]:
        """Return the versions that rules with approvals may let into a stage: newer than its holder, newest first."""
        return find_open_approvals(connection, limit)

    @read_transaction
    def with_same_data(self, connection: Connection, run_id: str, *, limit: int = 20) -> list[RelatedVersion]:
        """Return versions of other runs that used a data set of a run, newest first; ``shared`` is its name."""
        mine = (
            select(DatasetInputRow.dataset_id)
            .join(RunRow, RunRow.id == DatasetInputRow.run_id)
            .where(RunRow.run_id == run_id)
        )
        datasets = set(connection.execute(mine).scalars())
        # From the newest version on, asking each for its data: a data set may have 100,000 runs, but few versions.
        shared = (
            select(func.min(DatasetRow.name))
            .join(DatasetInputRow, DatasetInputRow.dataset_id == DatasetRow.id)
            .join(RunRow, RunRow.id == DatasetInputRow.run_id)
            .where(
                RunRow.run_id == ModelVersionRow.run_id,
                among(DatasetInputRow.dataset_id, datasets, connection.dialect.name),
            )
            .correlate(ModelVersionRow)
            .scalar_subquery()
        )
        query = (
            select(RegisteredModelRow.name, ModelVersionRow.version, shared.label("shared"))
            .join(RegisteredModelRow, RegisteredModelRow.id == ModelVersionRow.model_id)
            .where(
                ModelVersionRow.run_id != run_id,
                ModelVersionRow.deleted_time.is_(None),
                RegisteredModelRow.deleted_time.is_(None),
                shared.is_not(None),
            )
            .order_by(ModelVersionRow.id.desc())
            .limit(limit)
        )
        rows = connection.execute(query) if datasets else ()
        return [RelatedVersion(row.name, row.version, row.shared) for row in rows]

    @read_transaction
    def with_same_bytes(self, connection: Connection, digest: str, *, limit: int = 20) -> list[RelatedVersion]:
        """Return the versions whose files have a digest, newest first, with source and origin."""
        query = (
            select(RegisteredModelRow.name, ModelVersionRow.version, ModelVersionRow.source, ModelVersionRow.origin)
            .join(RegisteredModelRow, RegisteredModelRow.id == ModelVersionRow.model_id)
            .join(LoggedModelRow, LoggedModelRow.id == ModelVersionRow.logged_model_id)
            .where(
                LoggedModelRow.digest == digest,
                ModelVersionRow.deleted_time.is_(None),
                RegisteredModelRow.deleted_time.is_(None),
            )
            .order_by(ModelVersionRow.creation_time.desc())
            .limit(limit)
        )
        return [
            RelatedVersion(row.name, row.version, source=row.source, origin=row.origin)
            for row in connection.execute(query)
        ]

    @single_query
    def rights(self, connection: Connection) -> Rights:
        """Return what the database lets its user do."""
        if connection.dialect.name == "sqlite":
            return Rights()
        may_write: ColumnElement[bool] = literal_column("has_table_privilege('history', 'INSERT')")
        may_promote: ColumnElement[bool] = literal_column(
            "has_column_privilege('model_versions', 'current_stage', 'UPDATE')"
        )
        user: ColumnElement[str] = literal_column("session_user::text")
        speaks = select(TrustedPageRow.db_user).where(TrustedPageRow.db_user == user).exists()
        row: Any = connection.execute(select(may_write, may_promote, user, speaks)).one()
        return Rights(bool(row[0]), bool(row[1]), str(row[2]), bool(row[3]))


def _newest_periods(model_id: int, newest: int, before: int | None) -> FromClause:
    """Return a model's newest periods: so many of each stage, and of all aliases.

    Stage by stage, because their index is of model, stage and beginning: no other period is read.
    """
    conditions: list[ColumnElement[bool]] = [StagePeriodRow.model_id == model_id]
    if before is not None:
        conditions.append(StagePeriodRow.since <= before)
    is_alias = (StagePeriodRow.stage >= "@") & (StagePeriodRow.stage < "A")
    parts = [
        select(StagePeriodRow.__table__)
        .where(*conditions, is_in_part)
        .order_by(StagePeriodRow.since.desc())
        .limit(newest)
        .subquery()
        for is_in_part in (*(StagePeriodRow.stage == stage for stage in ACTIVE_STAGES), is_alias)
    ]
    return union_all(*(select(part) for part in parts)).subquery()


def _tenures(
    connection: Connection,
    limit: int,
    *conditions: Any,
    periods: FromClause = StagePeriodRow.__table__,
    is_explained: bool = True,
) -> list[NamedTenure]:
    """Return tenures of living models, newest first, if asked with actor and reason of the event that began each."""
    query = (
        select(periods, RegisteredModelRow.uid, RegisteredModelRow.name, RegisteredModelRow.last_seq)
        .join(RegisteredModelRow, RegisteredModelRow.id == periods.c.model_id)
        .where(RegisteredModelRow.deleted_time.is_(None), *conditions)
        .order_by(periods.c.since.desc())
        .limit(limit)
    )
    rows = connection.execute(query).all()
    began = _began(connection, rows) if rows and is_explained else {}
    tenures = []
    for row in rows:
        event = began.get((row.model_id, row.since))
        actor, reason = (event.actor, event.reason) if event is not None else ("", None)
        tenures.append(
            NamedTenure(row.name, StageTenure(row.uid, row.stage, row.version, row.since, row.until, actor, reason))
        )
    return tenures


def _began(connection: Connection, rows: Sequence[AnyRow]) -> dict[tuple[int, int], AnyRow]:
    """Return the events that began periods, by model and time; those of long ago need a look through all events."""
    # The bounds are values: with a subquery PostgreSQL would not know how few events they leave.
    last_seqs = {row.model_id: row.last_seq for row in rows}
    is_recent = or_(
        *(
            and_(HistoryRow.model_id == key, HistoryRow.seq > last_seq - _RECENT * len(rows))
            for key, last_seq in last_seqs.items()
        )
    )
    recent = _events_at(connection, rows, is_recent)
    missing = [row for row in rows if (row.model_id, row.since) not in recent]
    if missing:
        of_models = among(HistoryRow.model_id, {row.model_id for row in missing}, connection.dialect.name)
        recent |= _events_at(connection, missing, of_models)
    return recent


def _events_at(
    connection: Connection, rows: Sequence[AnyRow], condition: ColumnElement[bool]
) -> dict[tuple[int, int], AnyRow]:
    # One pass over the models' events: a join would look for each period among all events of its model.
    events = select(HistoryRow.model_id, HistoryRow.time_us, HistoryRow.actor, HistoryRow.reason).where(
        condition, among(HistoryRow.time_us, {row.since for row in rows}, connection.dialect.name)
    )
    return {(event.model_id, event.time_us): event for event in connection.execute(events)}
