"""What time it is, for a database that machines with different clocks share.

Owns the moments that retention and grace count from. Invariant: a moment that `monotonic_now_ms` gives lies at most a
minute before the latest one that any machine ever got from it, so a slow or adjusted clock cannot shorten a retention
window.
"""

import time
from typing import Final

from sqlalchemy import Connection, select, update

from registry.store.tables import RegistryIdRow

# How far the recorded time may lag: one write a minute instead of one per stamp, for which writers would queue.
_LAG_MS: Final = 60_000


def now_ms() -> int:
    """Milliseconds since the epoch, by this machine's clock."""
    return time.time_ns() // 1_000_000


def monotonic_now_ms(connection: Connection) -> int:
    """Milliseconds since the epoch: now, or the latest time that this database has seen if that is later."""
    now = now_ms()
    seen: int = connection.execute(select(RegistryIdRow.latest_ms)).scalar_one()
    if now > seen + _LAG_MS:
        connection.execute(update(RegistryIdRow).where(RegistryIdRow.latest_ms < now).values(latest_ms=now))
    return max(now, seen)
