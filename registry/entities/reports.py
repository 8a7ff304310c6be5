"""What an examination found, as values."""

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum


class CheckStatus(StrEnum):
    """How it is with one thing."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was examined; ``remedy`` says what to do about it, empty if nothing."""

    area: str
    verdict: CheckStatus
    text: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class GarbageItem:
    """One thing that nothing reaches any more.

    ``kind`` is ``run``, ``experiment``, ``logged model``, ``upload`` (bytes that never became a model) or ``leftover``
    (bytes that an interrupted gc left). ``since`` is when it was deleted or begun, in milliseconds since the epoch,
    ``location`` where its bytes are, None if it has none. ``versions`` are the deleted versions whose files these were.
    """

    kind: str
    id: str
    name: str
    since: int
    location: str | None
    size_bytes: int
    versions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GarbageReport:
    """A plan, or with ``applied`` what was done; ``failures`` are removals that the next gc will try again."""

    applied: bool
    items: tuple[GarbageItem, ...]
    failures: tuple[str, ...] = ()

    @property
    def size_bytes(self) -> int:
        """The bytes of all items."""
        return sum(item.size_bytes for item in self.items)

    @property
    def counts(self) -> dict[str, int]:
        """How many items there are of each kind."""
        return dict(Counter(item.kind for item in self.items))
