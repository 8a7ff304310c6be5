"""Client methods for monitors: which stages are checked, how often, and what an incident sets off."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from registry.client.base import ClientBase
from registry.entities.stages import active_stage
from registry.entities.times import parse_duration
from registry.exceptions import InvalidParameterError
from registry.validation.arguments import check_list
from registry.validation.names import check_key, check_model_name, check_version

if TYPE_CHECKING:
    from registry.entities import Monitor, MonitorCheck

_MAX_TRIGGERS: Final = 20
_GUARD_CHECKS: Final = 24
_LEAST_GUARD_SECONDS: Final = 60


class MonitorMethods(ClientBase):
    """Client methods for monitors. `registry.monitoring.run_due` makes the checks that are due."""

    def add_monitor(
        self,
        name: str,
        stage: str = "Production",
        *,
        every: str = "1d",
        window: str | None = None,
        against: str | int | None = None,
        detectors: Sequence[str] | None = None,
        minimum_rows: int | None = None,
        false_incidents: float | None = None,
        triggers: Sequence[str] = (),
        cooldown: str = "1d",
    ) -> "Monitor":
        """Add a monitor: the holder of a stage is checked regularly. The first check is due at once.

        A monitor is data; nothing runs by itself. `registry monitor run`, started by cron or a timer, makes the checks
        that are due. Each cause that a check finds opens an incident, unless it has one that is not closed.

        Args:
            name: Registered model.
            stage: ``Staging`` or ``Production``, in any case.
            every: Time between two checks, such as ``1h`` or ``1d``.
            window: How far back a check looks. Default: what `monitoring.check` takes.
            against: ``reference``, ``previous`` or a version. Default: the reference.
            detectors: Names of detectors. Default: those that `monitoring.check` takes.
            minimum_rows: With fewer rows there is no result.
            false_incidents: How many checks per month may find drift where there is none, on average. Default: 0.1.
            triggers: Names of what an incident sets off, at most 20. `REGISTRY_TRIGGERS_FILE` on the machine that runs
                the checks says what a name means.
            cooldown: After an incident was opened, its cause opens no other one for this time, even if it is closed.

        Returns:
            The monitor, with its number.

        Raises:
            InvalidParameterError: A duration or another argument is out of range.
            ModelNotFoundError: There is no such model.

        Example:
            >>> monitor = client.add_monitor("churn", every="1h", window="7d", triggers=["page"])
            >>> monitor.every_seconds, monitor.triggers, monitor.guard
            (3600, ('page',), None)
        """
        from registry.store.monitors.monitors import NewMonitor

        return self.backend.monitors.add(
            NewMonitor(
                name=check_model_name(name),
                stage=active_stage(stage),
                every_seconds=_seconds(every, "every", least=1),
                cooldown_seconds=_seconds(cooldown, "cooldown"),
                settings=_check_settings(window, against, detectors, minimum_rows, false_incidents),
                triggers=_check_triggers(triggers),
            )
        )

    def guard_stage(
        self,
        name: str,
        stage: str = "Production",
        *,
        duration: str = "24h",
        every: str | None = None,
        window: str | None = None,
        against: str | int | None = None,
        detectors: Sequence[str] | None = None,
        minimum_rows: int | None = None,
        triggers: Sequence[str] = (),
    ) -> "Monitor":
        """Guard the version that holds a stage now: if a check finds drift in time, the stage is rolled back.

        It is a monitor of this version that ends by itself. The rollback restores the previous holder, and only if the
        guarded version still holds the stage. On PostgreSQL it takes a promoter, as the rollback itself does.

        Args:
            name: Registered model.
            stage: ``Staging`` or ``Production``, in any case.
            duration: How long it is guarded, at least a minute.
            every: Time between two checks. Default: a 24th of `duration`.
            window: How far back a check looks. Default: `duration`.
            against: ``reference``, ``previous`` or a version. Default: the reference.
            detectors: Names of detectors. Default: those that `monitoring.check` takes.
            minimum_rows: With fewer rows there is no result.
            triggers: Names of what an incident sets off, besides the rollback.

        Returns:
            The monitor, with ``guard``.

        Raises:
            InvalidParameterError: A duration or another argument is out of range.
            NotFoundError: The stage is empty.

        Example:
            >>> monitor = client.guard_stage("churn", duration="24h")
            >>> monitor.guard.version, monitor.every_seconds
            (2, 3600)
        """
        from registry.store.monitors.monitors import NewMonitor

        name, stage = check_model_name(name), active_stage(stage)
        seconds = _seconds(duration, "duration", least=_LEAST_GUARD_SECONDS)
        every_seconds = max(1, seconds // _GUARD_CHECKS) if every is None else _seconds(every, "every", least=1)
        return self.backend.monitors.add(
            NewMonitor(
                name=name,
                stage=stage,
                every_seconds=every_seconds,
                cooldown_seconds=0,
                settings=_check_settings(window or duration, against, detectors, minimum_rows, None),
                triggers=_check_triggers(triggers),
                guard_seconds=seconds,
                first_seconds=every_seconds,
            )
        )

    def get_monitors(self, name: str | None = None) -> list["Monitor"]:
        """Return the monitors of a model, or of all models.

        Args:
            name: Registered model. Default: all.

        Returns:
            The monitors by number, each with its newest check.

        Raises:
            ModelNotFoundError: There is no such model.

        Example:
            >>> _ = client.add_monitor("churn", every="12h")
            >>> [(monitor.id, monitor.every_seconds) for monitor in client.get_monitors("churn")]
            [(1, 43200)]
        """
        return list(self.backend.monitors.list(None if name is None else check_model_name(name)))

    def get_monitor(self, monitor_id: int | str) -> "Monitor":
        """Return a monitor.

        Args:
            monitor_id: Its number.

        Returns:
            The monitor with its newest check.

        Raises:
            NotFoundError: There is no such monitor.

        Example:
            >>> monitor = client.add_monitor("churn")
            >>> client.get_monitor(monitor.id) == monitor
            True
        """
        return self.backend.monitors.get(check_version(monitor_id, "monitor_id"))

    def get_monitor_checks(self, monitor_id: int | str, limit: int = 50) -> list["MonitorCheck"]:
        """Return the newest checks of a monitor.

        Args:
            monitor_id: Its number.
            limit: At most this many, 1 to 10,000.

        Returns:
            The checks, newest first.

        Raises:
            InvalidParameterError: `limit` is out of range.
            NotFoundError: There is no such monitor.

        Example:
            >>> monitor = client.add_monitor("churn")
            >>> client.get_monitor_checks(monitor.id)
            []
        """
        if not isinstance(limit, int) or not 1 <= limit <= 10_000:
            raise InvalidParameterError(f"limit must be 1 to 10000, got {limit!r}.")
        return list(self.backend.monitors.list_checks(check_version(monitor_id, "monitor_id"), limit))

    def remove_monitor(self, monitor_id: int | str) -> None:
        """Remove a monitor. Its checks, their reports and its incidents stay.

        Args:
            monitor_id: Its number.

        Raises:
            NotFoundError: There is no such monitor.

        Example:
            >>> monitor = client.add_monitor("churn")
            >>> client.remove_monitor(monitor.id)
            >>> client.get_monitors()
            []
        """
        self.backend.monitors.remove(check_version(monitor_id, "monitor_id"))


def _seconds(text: object, what: str, least: int = 0) -> int:
    if not isinstance(text, str):
        raise InvalidParameterError(f"{what} is a duration such as '12h', got {text!r:.60}.")
    seconds = int(parse_duration(text).total_seconds())
    if seconds < least:
        raise InvalidParameterError(f"{what} must be at least {least}s, got {text!r}.")
    return seconds


def _check_triggers(triggers: object) -> list[str]:
    from registry.entities.monitors import ROLLBACK

    names = [check_key(name, "trigger") for name in check_list(triggers, "triggers", str)]
    if ROLLBACK in names:
        raise InvalidParameterError(f"The trigger {ROLLBACK!r} belongs to guards; use guard_stage.")
    if len(names) > _MAX_TRIGGERS:
        raise InvalidParameterError(f"A monitor may have {_MAX_TRIGGERS} triggers, got {len(names)}.")
    return names


def _check_settings(
    window: str | None,
    against: str | int | None,
    detectors: Sequence[str] | None,
    minimum_rows: int | None,
    false_incidents: float | None,
) -> dict[str, Any]:
    """Return the arguments of the check that were given."""
    settings: dict[str, Any] = {}
    if window is not None:
        _seconds(window, "window", least=1)
        settings["window"] = window
    if against is not None:
        is_word = against in ("reference", "previous")
        settings["against"] = against if is_word else check_version(against, "against")
    if detectors is not None:
        settings["detectors"] = [check_key(name, "detector") for name in check_list(detectors, "detectors", str)]
    if minimum_rows is not None:
        if type(minimum_rows) is not int or minimum_rows < 2:
            raise InvalidParameterError(f"minimum_rows must be 2 or more, got {minimum_rows!r}.")
        settings["minimum_rows"] = minimum_rows
    if false_incidents is not None:
        if not isinstance(false_incidents, int | float) or not 0 < false_incidents < 1_000:
            raise InvalidParameterError(f"false_incidents must be more than 0, got {false_incidents!r}.")
        settings["false_incidents"] = float(false_incidents)
    return settings
