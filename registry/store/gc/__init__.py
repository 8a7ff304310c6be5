"""What nothing reaches any more: finding it, and taking it out of the tables in small transactions.

Leaves the bytes to whoever calls. Three steps, each safe to be interrupted and to be repeated by the next gc:

1. `condemn_…`: under row locks, judge once more, take the last name away and note the bytes in `removals`; one commit.
2. The caller removes the bytes of each row of `removals`, then `forget_removal`.
3. `settle_run`, `remove_experiment`: rows that only waited for the steps before.

Invariant: what can be resolved is never condemned, and what was condemned can never be resolved again: whoever names a
logged model in a new version, seals it, or restores a run locks the row that was judged.
"""

from registry.store.gc.plan import Candidate, Removal
from registry.store.gc.reachability import Windows
from registry.store.gc.sweep import GcStore

__all__ = ["Candidate", "GcStore", "Removal", "Windows"]
