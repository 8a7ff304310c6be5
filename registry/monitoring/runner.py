"""Make the checks that are due, and run the triggers of the incidents that they open.

Guarantees: of several runners, each due check is made and recorded once. A trigger is run at least once: a runner that
is killed, or whose trigger fails, leaves it for the next attempt.
"""

import contextlib
import logging
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from registry.client import MlflowClient
from registry.entities import Incident, Monitor, TriggerDelivery
from registry.entities.monitors import ROLLBACK, CheckOutcome, CheckStatus, DeliveryState
from registry.exceptions import ModelNotFoundError, RegistryError, UnavailableError
from registry.monitoring.checks import CheckSettings, compare, log_report
from registry.monitoring.compaction import compact_observations
from registry.monitoring.guard import roll_back
from registry.monitoring.incidents import outcome_of, payload_of
from registry.monitoring.retraining import retrain
from registry.monitoring.triggers import TriggerFile, describe_failure, read_triggers
from registry.settings import current_settings
from registry.store.incidents.deliveries import DeliveryLease
from registry.store.monitors.monitors import Lease
from registry.validation.values import now_ms

# A runner that was killed is missed after this time. A live one renews its lease in a third of it.
LEASE_SECONDS: Final = 120.0
_COMPACTED: Final = "14d"
_COMPACTED_AT_ONCE: Final = 12
_logger = logging.getLogger(__name__)
Check = Callable[[MlflowClient, Monitor], CheckOutcome]


@dataclass(frozen=True, slots=True)
class FinishedCheck:
    """A check that this runner made: `check_id` is None if another runner had taken it over meanwhile."""

    monitor: Monitor
    check_id: int | None
    status: str
    message: str | None
    incidents: tuple[Incident, ...] = ()


@dataclass(frozen=True, slots=True)
class FinishedDelivery:
    """A trigger that this runner ran: `state` is None if another runner had taken it over meanwhile."""

    delivery: TriggerDelivery
    state: DeliveryState | None
    message: str | None


@dataclass(frozen=True, slots=True)
class RunnerReport:
    """What a runner did.

    Attributes:
        checks: The checks that it made.
        deliveries: The triggers that it ran.

    Example:
        >>> from registry.monitoring.runner import RunnerReport
        >>> RunnerReport().has_failures
        False
    """

    checks: list[FinishedCheck] = field(default_factory=list)
    deliveries: list[FinishedDelivery] = field(default_factory=list)

    @property
    def has_failures(self) -> bool:
        """Tell whether a check ended with an error, or a trigger failed."""
        failed = (DeliveryState.PENDING, DeliveryState.FAILED)
        return any(check.status == CheckStatus.ERROR for check in self.checks) or any(
            delivery.state in failed for delivery in self.deliveries
        )


def run_due(
    client: MlflowClient | None = None,
    *,
    monitor_id: int | None = None,
    limit: int | None = None,
    triggers: TriggerFile | None = None,
    lease_seconds: float = LEASE_SECONDS,
    check: Check | None = None,
) -> RunnerReport:
    """Make every check that is due, then run the triggers that are due; return what was done.

    Any number of runners may do this at once, on any machines.

    Args:
        client: The client. Default: one for the tracking URI that is set.
        monitor_id: Make only the check of this monitor, even if it is not due.
        limit: At most this many checks. Default: all that are due.
        triggers: What the names of triggers mean. Default: the file that ``REGISTRY_TRIGGERS_FILE`` names.
        lease_seconds: After this time without a sign, another runner takes over what this one has begun.
        check: The function that makes a check. Default: `monitoring.check`, logged as a run.

    Returns:
        The checks that were made and the triggers that were run.

    Raises:
        InvalidParameterError: The triggers file cannot be used.
        RegistryError: The database cannot be reached.

    Example:
        >>> from registry.monitoring.runner import run_due
        >>> run_due(client).checks
        []
    """
    client = client or MlflowClient()
    known = read_triggers(current_settings().triggers_file) if triggers is None else triggers
    report = RunnerReport()
    store = client.backend.monitors
    while limit is None or len(report.checks) < limit:
        if monitor_id is None and not store.has_due():
            break
        lease = store.lease(uuid.uuid4().hex, lease_seconds, monitor_id)
        if lease is None:
            break
        report.checks.append(_make_check(client, lease, lease_seconds, check or check_monitor))
        if monitor_id is not None:
            break
    deliveries = client.backend.deliveries
    while deliveries.has_due(known.names):
        found = deliveries.lease(uuid.uuid4().hex, lease_seconds, known.names)
        if found is None:
            break
        report.deliveries.append(_deliver(client, found, known, lease_seconds))
    for name in dict.fromkeys(done.monitor.name for done in report.checks):
        _compact(client, name)
    return report


def _compact(client: MlflowClient, name: str) -> None:
    """Merge small files of the last days of a model that was checked; that it fails does not concern the checks."""
    try:
        compact_observations(name, since=_COMPACTED, limit=_COMPACTED_AT_ONCE, client=client)
    except RegistryError as error:
        _logger.warning("The observations of %r were not compacted: %s", name, error)


def watch(
    client: MlflowClient,
    tell: Callable[[RunnerReport], None],
    *,
    waiting: Callable[[UnavailableError], None],
    interval_seconds: float = 30.0,
    stop: threading.Event | None = None,
) -> None:
    """Make checks and run triggers whenever they are due, until `stop` is set.

    The triggers file is read anew each time. A database that is away is waited for.

    Args:
        client: The client.
        tell: Gets what was done in each round.
        waiting: Gets the error of a round in which the database was away.
        interval_seconds: Time between two rounds.
        stop: Ends it. Default: it goes on until the process is interrupted.
    """
    stop = stop or threading.Event()
    while not stop.is_set():
        try:
            tell(run_due(client))
        except UnavailableError as error:
            waiting(error)
        stop.wait(interval_seconds)


def check_monitor(client: MlflowClient, monitor: Monitor) -> CheckOutcome:
    """Check the version that a monitor watches, log the report as a run, and return what was found."""
    started = now_ms()
    settings = CheckSettings(every=f"{monitor.every_seconds}s", **monitor.settings)
    version = None if monitor.guard is None else monitor.guard.version
    compared = compare(client, monitor.name, settings, stage=monitor.stage, version=version)
    return outcome_of(log_report(client, compared), started)


def _make_check(client: MlflowClient, lease: Lease, lease_seconds: float, check: Check) -> FinishedCheck:
    store, started = client.backend.monitors, now_ms()
    try:
        with _renewed(lambda: store.renew(lease, lease_seconds), lease_seconds):
            outcome = check(client, lease.monitor)
    except Exception as error:  # noqa: BLE001 - a check that fails is recorded, and the others go on
        outcome = CheckOutcome(CheckStatus.ERROR, message=describe_failure(error), start_time=started)
    except BaseException:
        store.release(lease)  # interrupted: somebody else may do it at once
        raise
    try:
        finished = client.backend.incidents.finish_check(lease, outcome)
    except ModelNotFoundError as error:
        return FinishedCheck(lease.monitor, None, CheckStatus.ERROR, str(error))
    if finished is None:
        return FinishedCheck(lease.monitor, None, outcome.status, "another runner has taken it over")
    number, incidents = finished
    return FinishedCheck(lease.monitor, number, outcome.status, outcome.message, tuple(incidents))


def _deliver(client: MlflowClient, lease: DeliveryLease, known: TriggerFile, lease_seconds: float) -> FinishedDelivery:
    store, delivery = client.backend.deliveries, lease.delivery
    try:
        with _renewed(lambda: store.renew(lease, lease_seconds), lease_seconds):
            state, message = _fire(client, delivery, known)
    except Exception as error:  # noqa: BLE001 - a trigger that fails is recorded and tried again
        state, message = DeliveryState.PENDING, describe_failure(error)
    return FinishedDelivery(delivery, store.finish(lease, state, message), message)


def _fire(client: MlflowClient, delivery: TriggerDelivery, known: TriggerFile) -> tuple[DeliveryState, str | None]:
    """Run a trigger; return how it ended, and a sentence about it."""
    if delivery.trigger == ROLLBACK:
        return roll_back(client, delivery)
    if delivery.trigger in known.retrainings:
        retraining = known.retrainings[delivery.trigger]
        since = client.backend.deliveries.find_last_delivered(delivery, retraining.cooldown_seconds)
        if since is not None:
            return DeliveryState.SKIPPED, f"delivery {since} started this retraining within its cool-down"
        result = retrain(delivery.name, retraining, incidents=delivery.incidents, client=client)
        return DeliveryState.DELIVERED, result.message
    known.triggers[delivery.trigger].fire(payload_of(delivery, client.backend.experiments.registry_id()))
    return DeliveryState.DELIVERED, None


@contextlib.contextmanager
def _renewed(renew: Callable[[], bool], lease_seconds: float) -> Iterator[None]:
    """Renew a lease in the background while the block runs."""
    done = threading.Event()

    def keep() -> None:
        while not done.wait(lease_seconds / 3):
            with contextlib.suppress(RegistryError):  # the database may be away for a moment; the lease still runs
                if not renew():
                    return

    thread = threading.Thread(target=keep, name="registry-lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
