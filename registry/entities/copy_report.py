"""What a copy of runs to another registry did, as values."""

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from registry.exceptions import RegistryError

_SHOWN: Final = 5


class CopyOutcome(StrEnum):
    """What a copy did with one run."""

    COPIED = "copied"
    CONTINUED = "continued"
    UNCHANGED = "unchanged"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class CopiedRun:
    """What a copy did with one run.

    Attributes:
        run_id: The run's id, in both registries.
        name: Its name.
        experiment: The name of its experiment in the target.
        outcome: ``copied`` (it was not there), ``continued`` (it lacked something), ``unchanged``, ``skipped`` (it was
            deleted) or ``failed``.
        points: How many metric points were sent.
        files: How many files were sent.
        size_bytes: How many bytes these have.
        models: How many logged models were sent.
        note: Why it was skipped, why it failed, or what is still missing.
    """

    run_id: str
    name: str
    experiment: str
    outcome: CopyOutcome
    points: int = 0
    files: int = 0
    size_bytes: int = 0
    models: int = 0
    note: str = ""


@dataclass(frozen=True, slots=True)
class CopyCounts:
    """What one side has of the runs that were asked for.

    Attributes:
        runs: Runs that are not deleted.
        params: Their params.
        points: Their metric points.
        files: Their files, without those of logged models.
        models: Their logged models, and those without a run.
    """

    runs: int = 0
    params: int = 0
    points: int = 0
    files: int = 0
    models: int = 0


@dataclass(frozen=True, slots=True)
class CopyReport:
    """What a copy did, or would do.

    Attributes:
        source: Where the runs come from, without a password.
        target: Where they went.
        dry_run: Whether nothing was changed.
        runs: Each run.
        models: How many logged models without a run were sent.
        notes: What else there is to say.
        errors: The error of each run that failed, and of each logged model without a run.
        source_counts: What the source has of these runs.
        target_counts: What the target has of them now.
    """

    source: str
    target: str
    dry_run: bool
    runs: tuple[CopiedRun, ...]
    models: int = 0
    notes: tuple[str, ...] = ()
    errors: tuple[RegistryError, ...] = ()
    source_counts: CopyCounts = CopyCounts()
    target_counts: CopyCounts = CopyCounts()

    @property
    def outcomes(self) -> dict[str, int]:
        """Return the number of runs of each outcome."""
        return dict(Counter(str(run.outcome) for run in self.runs))

    @property
    def failures(self) -> tuple[CopiedRun, ...]:
        """Return the runs that could not be copied."""
        return tuple(run for run in self.runs if run.outcome == CopyOutcome.FAILED)

    def raise_errors(self) -> None:
        """Raise if something could not be copied; everything else was.

        Raises:
            RegistryError: The error of the one that failed, or the first one with a list of the others.
        """
        if len(self.errors) == 1:
            raise self.errors[0]
        if self.errors:
            listed = "; ".join(error.message for error in self.errors[:_SHOWN])
            more = f"; and {len(self.errors) - _SHOWN} more" if len(self.errors) > _SHOWN else ""
            raise type(self.errors[0])(
                f"{len(self.errors)} runs or logged models could not be copied, the others were: {listed}{more}"
            )
