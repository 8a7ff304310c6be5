"""Who held a stage or an alias when, and who changed it and why.

MLflow has none of these methods. Times are aware datetimes, or ISO texts with a time zone.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from registry.client.base import ClientBase
from registry.entities.history import EventKind, HistoryEvent, microseconds_of
from registry.entities.model_registry import ModelVersion
from registry.entities.stages import active_stage
from registry.entities.times import parse_duration, parse_time
from registry.exceptions import InvalidParameterError, InvalidTypeError, VersionNotFoundError
from registry.store.registry.history_queries import StageTenure
from registry.uris import ModelAliasUri, ModelStageUri
from registry.validation.arguments import check_list
from registry.validation.names import check_alias, check_model_name, check_version


class HistoryMethods(ClientBase):
    """Client methods that answer questions about the past of a registered model."""

    def get_history(
        self,
        name: str,
        *,
        version: int | str | None = None,
        kind: str | Sequence[str] | None = None,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
    ) -> list[HistoryEvent]:
        """The events of every model that bears or ever bore a name, oldest first.

        `since` is included, `until` is not.

        Raises:
            ModelNotFoundError: no model ever bore the name.
            InvalidParameterError: an unknown kind, or a time without a time zone.
        """
        kinds = [kind] if isinstance(kind, str) else check_list(kind, "kind", str)
        for unknown in sorted(set(kinds) - set(EventKind)):
            raise InvalidParameterError(f"There is no event kind {unknown!r}; there are {', '.join(EventKind)}.")
        return self.backend.history.events(
            check_model_name(name),
            version=None if version is None else check_version(version),
            kinds=kinds,
            since=None if since is None else microseconds_of(moment(since)),
            until=None if until is None else microseconds_of(moment(until)),
        )

    def get_holdings(self, name: str) -> list[StageTenure]:
        """Every hold of a stage or alias (``@alias``) of a model, in order of their beginning."""
        return self.backend.history.holdings(check_model_name(name))

    def get_model_version_by_stage(self, name: str, stage: str, at: datetime | str | None = None) -> ModelVersion:
        """The version that holds Staging or Production, or held it at a moment.

        Raises:
            VersionNotFoundError: nobody holds or held it, or the holder was deleted since.
            InvalidParameterError: a moment in the future or without a time zone, or a stage that nobody holds.
        """
        found = self.find_model_version_by_stage(name, stage, at)
        if found is None:
            uri = ModelStageUri(name, active_stage(stage), None if at is None else moment(at))
            self.backend.resolver.resolve(uri)
            raise VersionNotFoundError(f"Nobody holds {stage} of {name!r}.")
        return found

    def find_model_version_by_stage(
        self, name: str, stage: str, at: datetime | str | None = None
    ) -> ModelVersion | None:
        """The version that holds Staging or Production, or held it at a moment; None if nobody does or did."""
        uri = ModelStageUri(check_model_name(name), active_stage(stage), None if at is None else moment(at))
        return self._version_of(uri)

    def find_model_version_by_alias(
        self, name: str, alias: str, at: datetime | str | None = None
    ) -> ModelVersion | None:
        """The version that an alias names, or named at a moment; None if it names or named none."""
        uri = ModelAliasUri(check_model_name(name), check_alias(alias), None if at is None else moment(at))
        return self._version_of(uri)

    def correct_clock(
        self,
        name: str,
        *,
        ahead: timedelta | str | None = None,
        from_seq: int | None = None,
        to_seq: int | None = None,
        reason: str | None = None,
    ) -> HistoryEvent:
        """Correct the times of events that a machine made whose clock was ahead.

        Events stay as they are; one is appended that says by how much the times of others are off, and periods of
        stages and aliases move with it, so that ``?at=`` is right again.

        Args:
            ahead: How far the clock was ahead, such as ``"365d"``. Without it the last of these events is taken to have
                happened now.
            from_seq: The first event to correct; by default the first that lies ahead of the clock.
            to_seq: The last event to correct; by default the last of all.

        Returns:
            The event that was appended.

        Raises:
            ModelNotFoundError: no such model.
            InvalidStateError: no event lies ahead of the clock.
            InvalidParameterError: the corrected times would not grow, or would lie ahead of the clock.

        Example:
            >>> client.correct_clock("churn", ahead="365d", reason="clock of worker 7")
        """
        length = parse_duration(ahead) if isinstance(ahead, str) else ahead
        if length is not None and not isinstance(length, timedelta):
            raise InvalidTypeError(f"ahead must be a timedelta or a text such as '365d', got {ahead!r}.")
        return self.backend.clock_repair.correct(
            check_model_name(name),
            from_seq=from_seq,
            to_seq=to_seq,
            ahead_us=None if length is None else length // timedelta(microseconds=1),
            reason=reason,
        )

    def _version_of(self, uri: ModelStageUri | ModelAliasUri) -> ModelVersion | None:
        found = self.backend.resolver.find(uri)
        if found is None or found.name is None or found.version is None:
            return None
        return self.backend.versions.get(found.name, found.version)


def moment(at: datetime | str) -> datetime:
    """An aware datetime, given as one or as an ISO text with a time zone.

    Raises:
        InvalidParameterError: no time zone, or not a time.
    """
    if isinstance(at, str):
        return parse_time(at)
    if not isinstance(at, datetime):
        raise InvalidTypeError(f"A time must be a datetime or an ISO text, got {at!r}.")
    if at.utcoffset() is None:
        raise InvalidParameterError(
            f"The time {at.isoformat()} has no time zone; use datetime.now(timezone.utc) or so."
        )
    return at
