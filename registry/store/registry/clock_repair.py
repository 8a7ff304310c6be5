"""Correct the times in a model's history after a clock was ahead.

Events are never edited. The repair appends an event with the correction, and moves the periods of stages and aliases.

Guarantees: corrected times grow with the sequence, and none is ahead of the clock.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, select, update

from registry.entities.history import HistoryEvent, corrected_times, moment_of
from registry.entities.times import format_time
from registry.exceptions import InvalidParameterError, InvalidStateError
from registry.store.clock import read_clock_us
from registry.store.registry.history_writer import TOLERANCE_US, LockedModel, RegistryStore, event_of
from registry.store.tables import HistoryRow, RegisteredModelRow, StagePeriodRow
from registry.store.transactions import read_transaction, write_transaction


@dataclass(frozen=True, slots=True)
class AheadModel:
    """A model whose last event is `ahead_us` microseconds ahead of the clock."""

    name: str
    ahead_us: int


class ClockRepairStore(RegistryStore):
    """Finds models whose history is ahead of the clock, and corrects it."""

    @read_transaction
    def ahead(self, connection: Connection) -> list[AheadModel]:
        """Return the models that cannot be changed because their last event is ahead of the clock, by name."""
        now = read_clock_us(connection)
        query = select(RegisteredModelRow.name, RegisteredModelRow.last_event_us).where(
            RegisteredModelRow.deleted_time.is_(None), RegisteredModelRow.last_event_us > now + TOLERANCE_US
        )
        rows = connection.execute(query.order_by(RegisteredModelRow.name))
        return [AheadModel(row.name, row.last_event_us - now) for row in rows]

    @write_transaction
    def correct(
        self,
        connection: Connection,
        name: str,
        *,
        from_seq: int | None = None,
        to_seq: int | None = None,
        ahead_us: int | None = None,
        reason: str | None = None,
    ) -> HistoryEvent:
        """Append an event that corrects the times of earlier ones, and move the periods that begin or end with them.

        By default, all events ahead of the clock are corrected. `ahead_us` is how far the clock was ahead; by default,
        the last corrected event gets the current time.

        Raises:
            ModelNotFoundError: There is no such model.
            InvalidStateError: No event is ahead of the clock.
            InvalidParameterError: The corrected times would not grow, or would be ahead of the clock.
        """
        with self.locked(connection, name) as model:
            times = _times(connection, model)
            first, last = _range(name, times, model.now_us, from_seq, to_seq)
            shift = model.now_us - times[last] if ahead_us is None else -ahead_us
            _check_shift(name, times, first, last, shift, model.now_us)
            _move_periods(connection, model.key, times[first], times[last], shift)
            details = {"from_seq": first, "to_seq": last, "shift": shift}
            return model.record_correction(details, last_us=_last_time(times, last, shift), reason=reason)


def _times(connection: Connection, model: LockedModel) -> dict[int, int]:
    query = select(HistoryRow.__table__).where(HistoryRow.model_id == model.key).order_by(HistoryRow.seq)
    return corrected_times([event_of(row, model.uid) for row in connection.execute(query)])


def _range(name: str, times: dict[int, int], now: int, from_seq: int | None, to_seq: int | None) -> tuple[int, int]:
    ahead = [seq for seq, moment in times.items() if moment > now]
    if from_seq is None and not ahead:
        raise InvalidStateError(f"No event of {name!r} is ahead of the clock, so there is nothing to correct.")
    first, last = ahead[0] if from_seq is None else from_seq, max(times) if to_seq is None else to_seq
    if not 1 <= first <= last <= max(times):
        raise InvalidParameterError(f"The model {name!r} has events 1 to {max(times)}, not {first} to {last}.")
    return first, last


def _check_shift(name: str, times: dict[int, int], first: int, last: int, shift: int, now: int) -> None:
    earliest, latest = times.get(first - 1, 0), min(now, times.get(last + 1, now + 1) - 1)
    if times[first] + shift <= earliest or times[last] + shift > latest:
        raise InvalidParameterError(
            f"Events {first} to {last} of {name!r} happened after {_shown(earliest)} and not later than "
            f"{_shown(latest)}; moved by {shift / 1e6:.0f} s they would be from {_shown(times[first] + shift)} to "
            f"{_shown(times[last] + shift)}. Give another value for how far the clock was ahead."
        )


def _last_time(times: dict[int, int], last: int, shift: int) -> int:
    end = max(times)
    return times[end] + (shift if end == last else 0)


def _move_periods(connection: Connection, model_key: int, begin: int, end: int, shift: int) -> None:
    """Move periods that begin or end with corrected events, in time order, so that no two begin at the same time."""
    of_model = StagePeriodRow.model_id == model_key
    query = select(StagePeriodRow.id, StagePeriodRow.since, StagePeriodRow.until).where(of_model)
    for row in connection.execute(query.order_by(StagePeriodRow.since)).all():
        moved = {
            name: moment + shift
            for name, moment in (("since", row.since), ("until", row.until))
            if moment is not None and begin <= moment <= end
        }
        if moved:
            connection.execute(update(StagePeriodRow).where(StagePeriodRow.id == row.id).values(**moved))


def _shown(moment_us: int) -> str:
    return format_time(moment_of(moment_us))
