"""Read history: a model's events, its stage tenures, and the events of all models in the order of commits.

Guarantees: a reader that polls from the position of the last event it saw misses none, because positions are assigned
under a lock that is held until the commit (`history_writer`).
"""

import functools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, bindparam, literal_column, select, union

from registry.entities.history import EventKind, HistoryEvent, PublishedEvent, corrected_times
from registry.exceptions import ModelNotFoundError
from registry.store.compiled_statements import Compiled, all_rows
from registry.store.dialects import AnyRow, AnySelect, table
from registry.store.driver_sql import Statement, end_with_next
from registry.store.long_lists import among_selected
from registry.store.registry.history_writer import event_of, near_names
from registry.store.tables import HistoryRow, RegisteredModelRow, RegistryIdRow, StagePeriodRow
from registry.store.transactions import Store, read_transaction, single_query


@dataclass(frozen=True, slots=True)
class StageTenure:
    """A period in which a version held a stage or ``@alias``; in microseconds since the epoch, `until` None if open."""

    model_uid: str
    stage: str
    version: int
    since: int
    until: int | None
    actor: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class ChainHead:
    """The last event of a model's chain, as a checkpoint stores it."""

    model_uid: str
    name: str
    seq: int
    hash: str


class HistoryStore(Store):
    """Queries events and stage tenures."""

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
        """Return the events of every model that has or had a name, oldest model first.

        Times are microseconds since the epoch; `since` is included, `until` is not.

        Raises:
            ModelNotFoundError: No model ever had the name.
        """
        found = _MODELS_NAMED.send(connection, {"given_name": name})
        conditions = [_is_of_name(connection, HistoryRow.model_id, name), *event_conditions(version, kinds, since)]
        if until is not None:
            conditions.append(HistoryRow.time_us < until)
        query = select(HistoryRow.__table__).where(*conditions)
        end_with_next(connection)
        rows = connection.execute(query.order_by(HistoryRow.model_id, HistoryRow.seq))
        models = _uids(connection, found, name)
        return [event_of(row, models[row.model_id]) for row in rows]

    @read_transaction
    def find_published(
        self,
        connection: Connection,
        name: str | None = None,
        *,
        version: int | None = None,
        kinds: Sequence[str] = (),
        since: int | None = None,
        until: int | None = None,
        newest: int | None = None,
    ) -> list[PublishedEvent]:
        """Return the events of all models, or of every model that has or had a name, in the order of commits.

        Times are microseconds since the epoch; `since` is included, `until` is not. `newest` keeps that many last ones.

        Raises:
            ModelNotFoundError: No model ever had the name.
        """
        conditions, found = event_conditions(version, kinds, since), None
        if name is not None:
            found = _MODELS_NAMED.send(connection, {"given_name": name})
            conditions.append(_is_of_name(connection, HistoryRow.model_id, name))
        if until is not None:
            conditions.append(HistoryRow.time_us < until)
        query = select_published().where(*conditions).order_by(HistoryRow.id.desc()).limit(newest)
        end_with_next(connection)
        rows = connection.execute(query)
        if found is not None:
            _uids(connection, found, str(name))
        return [published_of(row) for row in rows][::-1]

    @read_transaction
    def holdings(self, connection: Connection, name: str) -> list[StageTenure]:
        """Return all stage and alias tenures of every model that has or had a name, by beginning.

        Raises:
            ModelNotFoundError: No model ever had the name.
        """
        given = {"given_name": name}
        found = _MODELS_NAMED.send(connection, given)
        corrected = _corrected(connection.dialect.name).send(connection, given)
        began = (HistoryRow.model_id == StagePeriodRow.model_id) & (HistoryRow.time_us == StagePeriodRow.since)
        query = (
            select(StagePeriodRow.__table__, HistoryRow.actor, HistoryRow.reason)
            .outerjoin(HistoryRow, began)
            .where(_is_of_name(connection, StagePeriodRow.model_id, name))
            .order_by(StagePeriodRow.model_id, StagePeriodRow.since)
        )
        end_with_next(connection)
        rows = connection.execute(query)
        models, tenures = _uids(connection, found, name), []
        beginnings = _corrected_beginnings(corrected, models)
        for row in rows:
            event = beginnings.get((row.model_id, row.since))
            actor, reason = (row.actor, row.reason) if event is None else (event.actor, event.reason)
            uid = models[row.model_id]
            tenures.append(StageTenure(uid, row.stage, row.version, row.since, row.until, actor, reason))
        return tenures

    @single_query
    def poll(self, connection: Connection, *, after: int, limit: int) -> list[PublishedEvent]:
        """Return at most `limit` events of all models after a position, in the order of commits."""
        # Limit before the join, since a planner might otherwise join and sort all later events.
        events = (
            select(HistoryRow.__table__).where(HistoryRow.id > after).order_by(HistoryRow.id).limit(limit).subquery()
        )
        query = (
            select(events, RegisteredModelRow.uid, RegisteredModelRow.name)
            .join(RegisteredModelRow, RegisteredModelRow.id == events.c.model_id)
            .order_by(events.c.id)
        )
        return [published_of(row) for row in connection.execute(query)]

    @single_query
    def last_position(self, connection: Connection) -> int:
        """Return the position of the last event of all models; 0 if there is none."""
        return connection.execute(select(RegistryIdRow.last_event)).scalar_one()

    @single_query
    def heads(self, connection: Connection) -> list[ChainHead]:
        """Return the end of every chain by uid, deleted models included."""
        query = select(RegisteredModelRow.__table__).order_by(RegisteredModelRow.uid)
        return [ChainHead(row.uid, row.name, row.last_seq, row.head_hash or "") for row in connection.execute(query)]

    @single_query
    def hash_at(self, connection: Connection, model_uid: str, seq: int) -> str | None:
        """Return the stored hash of one event, or None."""
        query = (
            select(HistoryRow.hash)
            .join(RegisteredModelRow, RegisteredModelRow.id == HistoryRow.model_id)
            .where(RegisteredModelRow.uid == model_uid, HistoryRow.seq == seq)
        )
        return connection.execute(query).scalar_one_or_none()


def _corrected_beginnings(corrected: Statement, models: Mapping[int, str]) -> dict[tuple[int, int], HistoryEvent]:
    """Return the events of models with a clock correction, by model and corrected time: periods begin at those."""
    by_model: defaultdict[int, list[HistoryEvent]] = defaultdict(list)
    for row in all_rows(corrected):
        by_model[row.model_id].append(event_of(row, models[row.model_id]))
    by_time: dict[tuple[int, int], HistoryEvent] = {}
    for key, events in by_model.items():
        times = corrected_times(events)
        by_time |= {(key, times[event.seq]): event for event in events}
    return by_time


def event_conditions(version: int | None, kinds: Sequence[str], since: int | None) -> list[ColumnElement[bool]]:
    """Return the conditions that every search for events may have; `since` is microseconds, and included."""
    conditions = []
    if version is not None:
        conditions.append(HistoryRow.version == version)
    if kinds:
        conditions.append(HistoryRow.kind.in_(kinds))
    if since is not None:
        conditions.append(HistoryRow.time_us >= since)
    return conditions


def select_published() -> AnySelect:
    """Return a query of the columns that `published_of` needs."""
    models = RegisteredModelRow.__table__
    return select(HistoryRow.__table__, models.c.uid, models.c.name).join(models, models.c.id == HistoryRow.model_id)


def published_of(row: AnyRow) -> PublishedEvent:
    """Return an event with its position and the present name of its model."""
    return PublishedEvent(row.id, row.name, event_of(row, row.uid))


def _select_named(name: Any) -> AnySelect:
    """Return a query of the keys of the models that have or had a name."""
    renamed = (HistoryRow.kind == literal_column(f"'{EventKind.RENAMED}'")) & (HistoryRow.from_value == name)
    keys = union(
        select(RegisteredModelRow.id).where(RegisteredModelRow.name == name), select(HistoryRow.model_id).where(renamed)
    )
    return select(keys.subquery())


def _is_of_name(connection: Connection, column: Any, name: str) -> ColumnElement[bool]:
    return among_selected(connection.dialect.name, column, _select_named(name))


_GIVEN_NAME: Final[Any] = bindparam("given_name")
_MODELS_NAMED: Final = Compiled(
    select(RegisteredModelRow.id, RegisteredModelRow.uid).where(RegisteredModelRow.id.in_(_select_named(_GIVEN_NAME)))
)


@functools.cache
def _corrected(dialect: str) -> Compiled:
    """Return the query of all events of the models of a name that have a clock correction."""
    event = table(HistoryRow).alias()
    corrected = select(event.c.model_id).where(
        among_selected(dialect, event.c.model_id, _select_named(_GIVEN_NAME)),
        event.c.kind == str(EventKind.CLOCK_CORRECTED),
    )
    return Compiled(select(HistoryRow.__table__).where(among_selected(dialect, HistoryRow.model_id, corrected)))


def _uids(connection: Connection, found: Statement, name: str) -> dict[int, str]:
    """Return key and uid of every model that has or had a name, which `_MODELS_NAMED` found."""
    if not found.rows:
        close = near_names(connection, name)
        raise ModelNotFoundError(
            f"Registered Model with name={name} not found; no model ever had this name{close or '.'}"
        )
    return dict(found.rows)
