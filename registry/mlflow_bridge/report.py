"""The report of an import or export: what both sides have, what was compared, and what could not be carried."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Count:
    """How many there are of a kind.

    Attributes:
        kind: Such as ``runs``.
        there: How many the other system has.
        here: How many of them this registry has.
        added: How many this import or export added.

    Example:
        >>> from registry.mlflow_bridge import Count
        >>> Count("runs", there=200, here=200, added=12).added
        12
    """

    kind: str
    there: int
    here: int
    added: int


@dataclass(frozen=True, slots=True)
class TransferReport:
    """Result of an import or an export.

    Attributes:
        place: The other system, which was imported from or exported to; without passwords.
        counts: Both sides, by kind, such as ``runs``, ``points`` or ``versions``.
        compared: How many values of both sides were compared: of a sample after an import, all after an export.
        differences: Compared values that differ; empty if all is well.
        problems: What could not be carried over, and why. The same call tries again what failed.
        notes: Decisions that the other system left open, such as which of two versions holds Production, and what it
            cannot hold as it is here.
        seconds: How long it took.

    Example:
        >>> from registry.mlflow_bridge import Count, TransferReport
        >>> report = TransferReport("mlruns", [Count("runs", 3, 2, 2)], 40, [], ["The run 4f was not imported."], [], 1)
        >>> report.is_complete, report.by_kind["runs"].there
        (False, 3)
    """

    place: str
    counts: Sequence[Count]
    compared: int
    differences: Sequence[str]
    problems: Sequence[str]
    notes: Sequence[str]
    seconds: float

    @property
    def is_complete(self) -> bool:
        """Whether both sides agree: equal counts, no difference and no problem."""
        agree = all(count.there == count.here for count in self.counts)
        return agree and not self.differences and not self.problems

    @property
    def by_kind(self) -> Mapping[str, Count]:
        """The counts by kind."""
        return {count.kind: count for count in self.counts}
