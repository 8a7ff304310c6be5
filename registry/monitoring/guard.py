"""The rollback that a guard sets off.

Guarantees: a stage is rolled back only for a guard that is in the database, which on PostgreSQL only a promoter can
write, and only if the guarded version still holds the stage. Doing it again changes nothing.
"""

from registry.client import MlflowClient
from registry.entities import TriggerDelivery
from registry.entities.monitors import CheckStatus, DeliveryState
from registry.exceptions import InUseError, NoPreviousHolderError, NotFoundError, StageConflictError


def roll_back(client: MlflowClient, delivery: TriggerDelivery) -> tuple[DeliveryState, str]:
    """Restore the previous holder of a guarded stage; return how it ended, and a sentence about it."""
    check = delivery.check
    try:
        monitor = client.get_monitor(check.monitor_id or 0)
    except NotFoundError:
        return DeliveryState.SKIPPED, "the guard was removed"
    guard = monitor.guard
    if guard is None or check.status != CheckStatus.DRIFT or check.version != guard.version:
        return DeliveryState.SKIPPED, "no guard asked for it"
    reason = f"guard {monitor.id}: check {check.id} of version {guard.version} found {check.message}"
    try:
        version = client.rollback(
            monitor.name, monitor.stage, expected_current=guard.version, reason=f"{reason[:1_000]}; run {check.run_id}"
        )
    except StageConflictError:
        return DeliveryState.SKIPPED, f"version {guard.version} does not hold {monitor.stage} any more"
    except (NoPreviousHolderError, InUseError) as error:
        return DeliveryState.FAILED, str(error)
    return DeliveryState.DELIVERED, f"version {version.version} holds {monitor.stage} again"
