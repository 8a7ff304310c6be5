"""Reading what happened: a model's events, who held what, and the events of all models in the order of their commits.

Changes nothing. Invariant: whoever polls with the position of the last event that they saw misses none, whatever is
committed at the same time; `ledger` hands positions out under a lock that is held until the commit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, literal_column, select, union

from registry.entities.history import EventKind, HistoryEvent, PublishedEvent, corrected_times
from registry.exceptions import ModelNotFoundError
from registry.store.long_lists import among
from registry.store.registry.history_writer import event_of
from registry.store.tables import HistoryRow, RegisteredModelRow, RegistryIdRow, StagePeriodRow
from registry.store.transactions import Store, read_transaction


@dataclass(frozen=True, slots=True)
class StageTenure:
    """A version's hold of a stage (or ``@alias``); microseconds since the epoch, `until` None while it lasts."""

    model_uid: str
    stage: str
    version: int
    since: int
    until: int | None
    actor: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class ChainHead:
    """The end of a model's chain: what a checkpoint keeps."""

    model_uid: str
    name: str
    seq: int
    hash: str


class HistoryStore(Store):
    """Answers what happened, when and by whom."""

    @read_transaction
    def events(
        self,
        connection: Connection,
        name: str,
        *,
        version: int | None = None,
        kinds: Sequence[str] = (),
        since: int | None = None,
        until: int | None = None,
    ) -> list[HistoryEvent]:
        """The events of every model that bears or ever bore a name, oldest model first; times in microseconds.

        `since` is included, `until` is not.

        Raises:
            ModelNotFoundError: no model ever bore the name.
        """
        models = _models_named(connection, name)
        query = select(HistoryRow.__table__).where(among(HistoryRow.model_id, models, connection.dialect.name))
        if version is not None:
            query = query.where(HistoryRow.version == version)
        if kinds:
            query = query.where(HistoryRow.kind.in_(kinds))
        if since is not None:
            query = query.where(HistoryRow.time_us >= since)
        if until is not None:
            query = query.where(HistoryRow.time_us < until)
        rows = connection.execute(query.order_by(HistoryRow.model_id, HistoryRow.seq))
        return [event_of(row, models[row.model_id]) for row in rows]

    @read_transaction
    def holdings(self, connection: Connection, name: str) -> list[StageTenure]:
        """Every hold of a stage or alias of every model that bears or ever bore a name, in order of their beginning.

        Raises:
            ModelNotFoundError: no model ever bore the name.
        """
        models = _models_named(connection, name)
        began = (HistoryRow.model_id == StagePeriodRow.model_id) & (HistoryRow.time_us == StagePeriodRow.since)
        query = (
            select(StagePeriodRow.__table__, HistoryRow.actor, HistoryRow.reason)
            .outerjoin(HistoryRow, began)
            .where(among(StagePeriodRow.model_id, models, connection.dialect.name))
            .order_by(StagePeriodRow.model_id, StagePeriodRow.since)
        )
        corrected = _corrected_beginnings(connection, models)
        holdings = []
        for row in connection.execute(query):
            event = corrected.get((row.model_id, row.since))
            actor, reason = (row.actor, row.reason) if event is None else (event.actor, event.reason)
            uid = models[row.model_id]
            holdings.append(StageTenure(uid, row.stage, row.version, row.since, row.until, actor, reason))
        return holdings

    @read_transaction
    def poll(self, connection: Connection, *, after: int, limit: int) -> list[PublishedEvent]:
        """The next events of all models after a position, at most `limit`, in the order of their commits."""
        # Cut off before the join: otherwise a planner may join and sort everything that is to come.
        events = (
            select(HistoryRow.__table__).where(HistoryRow.id > after).order_by(HistoryRow.id).limit(limit).subquery()
        )
        query = (
            select(events, RegisteredModelRow.uid, RegisteredModelRow.name)
            .join(RegisteredModelRow, RegisteredModelRow.id == events.c.model_id)
            .order_by(events.c.id)
        )
        return [PublishedEvent(row.id, row.name, event_of(row, row.uid)) for row in connection.execute(query)]

    @read_transaction
    def last_position(self, connection: Connection) -> int:
        """The position of the last event of all; 0 if there is none."""
        return connection.execute(select(RegistryIdRow.last_event)).scalar_one()

    @read_transaction
    def heads(self, connection: Connection) -> list[ChainHead]:
        """The end of every chain, deleted models included, by uid."""
        query = select(RegisteredModelRow.__table__).order_by(RegisteredModelRow.uid)
        return [ChainHead(row.uid, row.name, row.last_seq, row.head_hash or "") for row in connection.execute(query)]

    @read_transaction
    def hash_at(self, connection: Connection, model_uid: str, seq: int) -> str | None:
        """The stored hash of one event, or None if there is no such event."""
        query = (
            select(HistoryRow.hash)
            .join(RegisteredModelRow, RegisteredModelRow.id == HistoryRow.model_id)
            .where(RegisteredModelRow.uid == model_uid, HistoryRow.seq == seq)
        )
        return connection.execute(query).scalar_one_or_none()


def _corrected_beginnings(connection: Connection, models: Mapping[int, str]) -> dict[tuple[int, int], HistoryEvent]:
    """Events of models whose history was corrected, by model and corrected time: periods begin with those."""
    query = select(HistoryRow.model_id).where(
        among(HistoryRow.model_id, models, connection.dialect.name), HistoryRow.kind == EventKind.CLOCK_CORRECTED
    )
    found: dict[tuple[int, int], HistoryEvent] = {}
    for key in set(connection.execute(query).scalars()):
        rows = connection.execute(select(HistoryRow.__table__).where(HistoryRow.model_id == key))
        events = [event_of(row, models[key]) for row in rows.all()]
        times = corrected_times(events)
        found |= {(key, times[event.seq]): event for event in events}
    return found


def _models_named(connection: Connection, name: str) -> dict[int, str]:
    """Key and uid of every model that bears or ever bore a name."""
    bearers = union(
        select(RegisteredModelRow.id).where(RegisteredModelRow.name == name),
        select(HistoryRow.model_id).where(
            HistoryRow.kind == literal_column(f"'{EventKind.RENAMED}'"), HistoryRow.from_value == name
        ),
    ).subquery()
    query = select(RegisteredModelRow.id, RegisteredModelRow.uid).where(RegisteredModelRow.id.in_(select(bearers)))
    found: dict[int, str] = {row.id: row.uid for row in connection.execute(query)}
    if not found:
        raise ModelNotFoundError(f"Registered Model with name={name} not found, nor was there ever one.")
    return found
