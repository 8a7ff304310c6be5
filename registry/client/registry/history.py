"""Client methods for history: who changed a model, and which version held a stage or an alias when.

MLflow has none of them. Times are aware datetimes, or ISO texts with a time zone.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from registry.client.base import ClientBase
from registry.entities.stages import active_stage
from registry.entities.times import parse_duration, parse_time
from registry.exceptions import InvalidParameterError, InvalidTypeError, VersionNotFoundError
from registry.uris import ModelAliasUri, ModelStageUri
from registry.validation.arguments import check_list
from registry.validation.names import check_alias, check_model_name, check_version

if TYPE_CHECKING:
    from registry.entities.history import HistoryEvent
    from registry.entities.model_registry import ModelVersion
    from registry.store.registry.history_queries import StageTenure


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
    ) -> list["HistoryEvent"]:
        """Return the events of every model that has or had a name, oldest first.

        Args:
            name: Present or former name of a registered model.
            version: Only events of this version.
            kind: Only events of this kind, or of one of several, such as ``"stage_changed"``.
            since: Earliest time, included: an aware datetime or an ISO text with a time zone.
            until: Latest time, excluded.

        Returns:
            Events with ``kind``, ``version``, ``from_value``, ``to_value``, ``actor``, ``reason`` and ``time`` (UTC).

        Raises:
            InvalidParameterError: A kind is unknown, or a time has no time zone.
            ModelNotFoundError: No model has or had the name.

        Example:
            >>> for event in client.get_history("churn", kind="stage_changed"):
            ...     print(event.version, event.from_value, "->", event.to_value, event.reason)
            1 None -> Production None
            1 Production -> Archived better auc
            2 None -> Production better auc
        """
        from registry.entities.history import EventKind, microseconds_of

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

    def get_holdings(self, name: str) -> list["StageTenure"]:
        """Return each period in which a version held a stage or an alias.

        Args:
            name: Registered model.

        Returns:
            Periods in the order of their beginning. ``stage`` is a stage or ``@alias``; ``since`` and ``until`` are
            microseconds since the epoch, ``until`` None while the period lasts.

        Raises:
            ModelNotFoundError: There is no such model.

        Example:
            >>> [(period.stage, period.version, period.until is None) for period in client.get_holdings("churn")]
            [('Production', 1, False), ('Production', 2, True), ('@champion', 2, True)]
        """
        return self.backend.history.holdings(check_model_name(name))

    def get_model_version_by_stage(self, name: str, stage: str, at: datetime | str | None = None) -> "ModelVersion":
        """Return the version that holds a stage, or held it at a moment.

        Args:
            name: Registered model.
            stage: ``Staging`` or ``Production``, in any case.
            at: A past moment, as an aware datetime or an ISO text with a time zone; None for now.

        Returns:
            The version as it is today.

        Raises:
            InvalidParameterError: `at` is in the future or has no time zone, or the stage is not Staging or Production.
            ModelNotFoundError: There is no such model.
            VersionNotFoundError: The stage is or was empty, or the version was deleted since.

        Example:
            >>> client.get_model_version_by_stage("churn", "Production").version
            2
            >>> promotion = client.get_holdings("churn")[1].since  # microseconds since the epoch
            >>> before = pd.Timestamp(promotion - 1, unit="us", tz="UTC")
            >>> client.get_model_version_by_stage("churn", "Production", at=before).version
            1
        """
        version = self.find_model_version_by_stage(name, stage, at)
        if version is None:
            # Resolving raises the error that lists the stages in use.
            uri = ModelStageUri(name, active_stage(stage), None if at is None else moment(at))
            self.backend.resolver.resolve(uri)
            raise VersionNotFoundError(f"No version of {name!r} holds {stage}.")
        return version

    def find_model_version_by_stage(
        self, name: str, stage: str, at: datetime | str | None = None
    ) -> "ModelVersion | None":
        """Return the version that holds a stage, or held it at a moment, or None.

        Args:
            name: Registered model.
            stage: ``Staging`` or ``Production``, in any case.
            at: A past moment, as an aware datetime or an ISO text with a time zone; None for now.

        Returns:
            The version as it is today, or None if the stage is or was empty.

        Raises:
            InvalidParameterError: `at` is in the future or has no time zone, or the stage is not Staging or Production.
            ModelNotFoundError: There is no such model.
            VersionNotFoundError: The version that held the stage was deleted since.

        Example:
            >>> client.find_model_version_by_stage("churn", "Staging") is None
            True
        """
        uri = ModelStageUri(check_model_name(name), active_stage(stage), None if at is None else moment(at))
        return self.backend.resolver.find_version(uri)

    def find_model_version_by_alias(
        self, name: str, alias: str, at: datetime | str | None = None
    ) -> "ModelVersion | None":
        """Return the version that an alias names, or named at a moment, or None.

        Args:
            name: Registered model.
            alias: Alias.
            at: A past moment, as an aware datetime or an ISO text with a time zone; None for now.

        Returns:
            The version as it is today, or None if there is or was no such alias.

        Raises:
            InvalidParameterError: `at` is in the future or has no time zone.
            ModelNotFoundError: There is no such model.
            VersionNotFoundError: The version that the alias named was deleted since.

        Example:
            >>> client.find_model_version_by_alias("churn", "champion").version
            2
            >>> client.find_model_version_by_alias("churn", "challenger") is None
            True
        """
        uri = ModelAliasUri(check_model_name(name), check_alias(alias), None if at is None else moment(at))
        return self.backend.resolver.find_version(uri)

    def correct_clock(
        self,
        name: str,
        *,
        ahead: timedelta | str | None = None,
        from_seq: int | None = None,
        to_seq: int | None = None,
        reason: str | None = None,
    ) -> "HistoryEvent":
        """Correct the times of events that a machine wrote while its clock was ahead.

        The events stay as they are. One event is appended that records by how much the times of others are off; the
        periods of stages and aliases move with it, so ``?at=`` is right again.

        Args:
            name: Registered model.
            ahead: How far the clock was ahead, as a timedelta or a text such as ``"365d"``. By default the last of
                these events counts as written now.
            from_seq: First event to correct. Default: the first that is ahead of the clock.
            to_seq: Last event to correct. Default: the last of all.
            reason: Why, for the history.

        Returns:
            The appended event.

        Raises:
            InvalidParameterError: The corrected times would not increase, or would be ahead of the clock.
            InvalidStateError: No event is ahead of the clock.
            ModelNotFoundError: There is no such model.

        Example:
            >>> client.correct_clock("churn", reason="clock of worker 7")
            Traceback (most recent call last):
            registry.exceptions.InvalidStateError: ...
        """
        length = parse_duration(ahead) if isinstance(ahead, str) else ahead
        if length is not None and not isinstance(length, timedelta):
            raise InvalidTypeError(f"ahead must be a timedelta or a text such as '365d', got {ahead!r}.")
        return self.backend.clock_repair.correct(
            check_model_name(name),
            from_seq=None if from_seq is None else check_version(from_seq, "from_seq"),
            to_seq=None if to_seq is None else check_version(to_seq, "to_seq"),
            ahead_us=None if length is None else length // timedelta(microseconds=1),
            reason=reason,
        )


def moment(at: datetime | str) -> datetime:
    """Parse a time: an aware datetime, or an ISO text with a time zone.

    Raises:
        InvalidParameterError: It has no time zone, or is not a time.
    """
    if isinstance(at, str):
        return parse_time(at)
    if not isinstance(at, datetime):
        raise InvalidTypeError(f"A time must be a datetime or an ISO text, got {at!r}.")
    if at.utcoffset() is None:
        raise InvalidParameterError(
            f"The time {at.isoformat()} has no time zone. Give an aware datetime, such as datetime.now(timezone.utc)."
        )
    return at
