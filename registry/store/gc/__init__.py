"""Garbage collection of rows: find what nothing refers to, and remove it in small transactions.

The caller removes the files. Three steps; each may be interrupted, and the next gc repeats it:

1. `purge_…` and `remove_upload` check again under row locks, make the row unresolvable, and record its files in
   `removals`, in one commit.
2. The caller removes the files of each row of `removals`, then calls `forget_removal`.
3. `remove_run`, `remove_experiment` remove rows that had to wait for the steps before.

Guarantees: what can be resolved is never purged, and what was purged can never be resolved again. Registering a
version, sealing a model and restoring a run lock the same row.
"""

from registry.store.gc.candidates import Candidate, Removal
from registry.store.gc.removal_conditions import Windows
from registry.store.gc.sweep import GcStore

__all__ = ["Candidate", "GcStore", "Removal", "Windows"]
