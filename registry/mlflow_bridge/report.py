"""The reports of an import and an export: what both sides have, what was compared, and what could not be carried."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Count:
    """How many there are of a kind.

    Attributes:
        kind: Such as ``runs``.
        source: How many the source has.
        here: How many of them are here.
        added: How many this import added.

    Example:
        >>> from registry.mlflow_bridge import Count
        >>> Count("runs", source=200, here=200, added=12).added
        12
    """

    kind: str
    source: int
    here: int
    added: int


@dataclass(frozen=True, slots=True)
class ImportReport:
    """Result of an import.

    Attributes:
        source: Where it was imported from, without passwords.
        counts: Both sides, by kind, such as ``runs``, ``points`` or ``versions``.
        compared: How many values of a sample were compared with the source.
        differences: Values of the sample that differ; empty if all is well.
        problems: What could not be imported, and why. The same import tries again what failed.
        notes: Decisions that the source left open, such as which of two versions holds Production.
        seconds: How long it took.

    Example:
        >>> from registry.mlflow_bridge import Count, ImportReport
        >>> report = ImportReport("mlruns", [Count("runs", 3, 2, 2)], 40, [], ["The run 4f was not imported."], [], 1.0)
        >>> report.is_complete, report.by_kind["runs"].source
        (False, 3)
    """

    source: str
    counts: Sequence[Count]
    compared: int
    differences: Sequence[str]
    problems: Sequence[str]
    notes: Sequence[str]
    seconds: float

    @property
    def is_complete(self) -> bool:
        """Whether both sides agree: equal counts, no difference and no problem."""
        agree = all(count.source == count.here for count in self.counts)
        return agree and not self.differences and not self.problems

    @property
    def by_kind(self) -> Mapping[str, Count]:
        """The counts by kind."""
        return {count.kind: count for count in self.counts}


@dataclass(frozen=True, slots=True)
class ExportCount:
    """How many there are of a kind.

    Attributes:
        kind: Such as ``runs``.
        here: How many this registry has.
        there: How many of them MLflow has.
        added: How many this export added.

    Example:
        >>> from registry.mlflow_bridge import ExportCount
        >>> ExportCount("runs", here=200, there=200, added=12).added
        12
    """

    kind: str
    here: int
    there: int
    added: int


@dataclass(frozen=True, slots=True)
class ExportReport:
    """Result of an export.

    Attributes:
        target: Where it was exported to, without passwords.
        counts: Both sides, by kind; MLflow's were read back through its client.
        compared: How many values were read back and compared.
        differences: Values that differ there; empty if all is well.
        problems: What could not be exported, and why. The same export tries again what failed.
        notes: What MLflow cannot hold as it is here.
        seconds: How long it took.

    Example:
        >>> from registry.mlflow_bridge import ExportCount, ExportReport
        >>> report = ExportReport("sqlite:///mlflow.db", [ExportCount("runs", 3, 3, 3)], 40, [], [], [], 1.0)
        >>> report.is_complete, report.by_kind["runs"].there
        (True, 3)
    """

    target: str
    counts: Sequence[ExportCount]
    compared: int
    differences: Sequence[str]
    problems: Sequence[str]
    notes: Sequence[str]
    seconds: float

    @property
    def is_complete(self) -> bool:
        """Whether both sides agree: equal counts, no difference and no problem."""
        agree = all(count.here == count.there for count in self.counts)
        return agree and not self.differences and not self.problems

    @property
    def by_kind(self) -> Mapping[str, ExportCount]:
        """The counts by kind."""
        return {count.kind: count for count in self.counts}
